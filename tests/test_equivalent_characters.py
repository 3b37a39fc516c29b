"""What looks the same is the same text however it was encoded: in corpora, held out, to be translated, and scored."""

import unicodedata

import pytest
from results_example import ROOT, example_config, make_table
from text_example import write_text

from xlmd.data.phrasebook.lexicon import load
from xlmd.data.preprocess import Cleaning, preprocess_monolingual, preprocess_pair, tokenize_lines
from xlmd.data.sources import gather
from xlmd.data.text import read_lines
from xlmd.errors import UserError
from xlmd.files import write_lines
from xlmd.reporting.bleu import score

COMPOSED = {
    "de": "Das Mädchen führte die Kuh.",
    "fr": "L'élève a reçu un œuf.",
    "ro": "Țară și viață.",
    "ja": "がぎぐげご。",
    "ko": "한국어 문장.",
    "en": "Ångström's naïve café.",
}


def encodings(line):
    """The line as other programs may have written it."""
    return [
        unicodedata.normalize("NFD", line),
        "\ufeff" + line,
        line.replace(" ", " \ufeff"),
        line.replace("Å", "\u212b"),
        line.translate(str.maketrans("ȘșȚț", "ŞşŢţ")),
        unicodedata.normalize("NFD", line.translate(str.maketrans("ȘșȚț", "ŞşŢţ"))),
    ]


@pytest.mark.parametrize("language", COMPOSED)
def test_a_corpus_is_the_same_however_its_characters_are_encoded(tmp_path, language):
    line = COMPOSED[language]
    for number, other in enumerate(encodings(line)):
        raw = write_text(tmp_path / "raw", ["x", other])
        gather([{"file": str(raw)}], tmp_path / "gathered")
        folder = tmp_path / str(number)
        preprocess_pair(tmp_path / "gathered", raw, language, "xx", folder, "dev")
        assert read_lines(folder / f"dev.raw.{language}")[1] == line
        assert read_lines(folder / f"dev.{language}") == tokenize_lines(["x", line], language)
        preprocess_monolingual(raw, language, folder / "alone")
        assert read_lines(folder / "alone")[1] == tokenize_lines([line], language)[0]


@pytest.mark.parametrize("language", COMPOSED)
def test_a_sentence_to_translate_is_the_same_however_it_is_encoded(language):
    line = COMPOSED[language]
    for other in encodings(line):
        assert tokenize_lines([other], language) == tokenize_lines([line], language)


@pytest.mark.parametrize("tokenize", ["moses", "none"])
@pytest.mark.parametrize("space", ["\x85", "\u00a0", "\u2028", "\u3000", "\t"])
def test_white_space_is_a_space_before_any_tokenizer_sees_it(space, tokenize):
    # sentencepiece's tokenizers differ on what is white space, U+0085 for one.
    assert tokenize_lines([f"ein{space}Haus"], "de", tokenize) == ["ein Haus"]


HIDDEN = [
    *encodings(COMPOSED["ro"]),
    "Țară\u200b și viață.",
    "Ţară\u00a0 şi viaţă.",
    "\u200eȚară și via\u00adță.",
    "Țară și viață．",
]


@pytest.mark.parametrize("side_held_out", ["pair", "side"])
@pytest.mark.parametrize("other", HIDDEN)
def test_a_held_out_pair_cannot_hide_in_another_encoding(tmp_path, other, side_held_out):
    for held, line in ((COMPOSED["ro"], other), (other, COMPOSED["ro"])):
        files = [write_text(tmp_path / name, lines) for name, lines in (("en", ["a", "b"]), ("ro", [line, "c"]))]
        dev = [write_text(tmp_path / "dev.en", ["\ufeffa"]), write_text(tmp_path / "dev.ro", [held])]
        cleaning = Cleaning(held_out=side_held_out)
        report = preprocess_pair(*files, "en", "ro", tmp_path / "out", "train", cleaning=cleaning, held_out=[dev])
        assert report["dropped"]["in dev or test"] == 1 and read_lines(tmp_path / "out/train.ro") == ["c"]
        preprocess_monolingual(files[1], "ro", tmp_path / "out/alone", held_out=[dev[1]])
        assert read_lines(tmp_path / "out/alone") == ["", "c"]


def test_held_out_files_are_held_out_unless_it_is_said_otherwise(tmp_path):
    files = [write_text(tmp_path / "en", ["a", "b"]), write_text(tmp_path / "de", ["A", "B"])]
    dev = [write_text(tmp_path / "dev.en", ["a"]), write_text(tmp_path / "dev.de", ["A"])]
    assert preprocess_pair(*files, "en", "de", tmp_path / "out", "train", held_out=[dev])["kept"] == 1


def test_a_lexicon_is_the_same_however_its_characters_are_encoded(tmp_path):
    text = "nouns:\n  girl: Mädchen\n"
    for other in (text, unicodedata.normalize("NFD", text), "\ufeff" + text):
        (tmp_path / "de.yaml").write_text(other, encoding="utf-8")
        assert load(tmp_path / "de.yaml", {"nouns": ("word",)})["nouns"]["girl"][0]["word"] == "Mädchen"


CEDILLAS = "Ţară şi viaţă."


@pytest.mark.parametrize(
    ("letters", "expected"),
    [("comma", "Țară și viață."), ("without_diacritics", "Tara si viata."), ("unchanged", CEDILLAS)],
)
def test_romanian_is_spelt_as_the_configuration_says_and_other_languages_are_left_alone(tmp_path, letters, expected):
    raw = write_text(tmp_path / "raw", [CEDILLAS])
    preprocess_pair(raw, raw, "ro", "tr", tmp_path, "train", romanian=letters)
    assert read_lines(tmp_path / "train.raw.ro") == [expected] and read_lines(tmp_path / "train.raw.tr") == [CEDILLAS]
    assert tokenize_lines([CEDILLAS], "ro", romanian=letters) == read_lines(tmp_path / "train.ro")
    with pytest.raises(UserError, match="romanian: expected one of comma, .* got 'cedilla'"):
        tokenize_lines([CEDILLAS], "ro", romanian="cedilla")


def scored(folder, hypothesis, reference, language="ro"):
    for name, line in (("hyp", hypothesis), ("ref", reference)):
        write_lines(folder / name, [line])
    return score(folder / "hyp", folder / "ref", folder / "ref", language, folder / "score.json")


def test_a_perfect_translation_scores_100_however_it_is_encoded(tmp_path):
    line = "Țară și viață și mâine ."
    for other in encodings(line):
        scores = scored(tmp_path, other, line)
        assert all(scores[name]["score"] == pytest.approx(100) for name in ("bleu", "sacrebleu", "chrf"))


def test_romanian_is_scored_with_diacritics_and_beside_it_without(tmp_path):
    scores = scored(tmp_path, "O tara si un om batran .", "O țară și un om bătrân .")
    assert scores["bleu"]["score"] < 60 and scores["bleu_without_diacritics"]["score"] == pytest.approx(100)
    assert scored(tmp_path, "a b c d", "a b c d", "en")["bleu_without_diacritics"] is None


def test_the_table_of_all_scores_shows_romanian_without_diacritics(tmp_path):
    config = example_config(tmp_path)
    make_table(config, "table1")
    *_, scores = (tmp_path / "results/table1.md").read_text(encoding="utf-8").split("## ")
    filled = {
        line.split("/")[0].strip("| "): line.split("|")[-2].strip() for line in scores.splitlines() if "/" in line
    }
    assert "BLEU, Romanian without diacritics" in scores
    assert filled["en-ro"] and not filled["ro-en"] and not filled["en-de"]


def test_the_projects_own_text_is_composed():
    for path in (ROOT / "xlmd/resources/phrasebook").glob("*.yaml"):
        assert unicodedata.is_normalized("NFC", path.read_text(encoding="utf-8")), path
