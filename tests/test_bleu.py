import re
import sys

import pytest

from xlmd.errors import UserError
from xlmd.files import read_json, write_lines
from xlmd.reporting import bleu

REFERENCES = ["The doctor treats the patient in the hospital .", "We sell well-known books , don 't we ?"]
RAW_REFERENCES = ["The doctor treats the patient in the hospital.", "We sell well-known books, don't we?"]


@pytest.fixture
def score(tmp_path):
    """Scores lines of hypotheses against the two references above (or others) and returns what was written."""

    def score(hypotheses, references=REFERENCES, raw=RAW_REFERENCES, sources=None, language="en", **options):
        paths = {}
        for name, lines in {"hyp": hypotheses, "ref": references, "raw": raw, "src": sources}.items():
            paths[name] = tmp_path / name if lines is not None else None
            if lines is not None:
                write_lines(paths[name], lines)
        out = tmp_path / "score.json"
        bleu.score(paths["hyp"], paths["ref"], paths["raw"], language, out, paths["src"], **options)
        return read_json(out)

    return score


def test_a_perfect_translation_scores_100_in_every_variant(score):
    scores = score(REFERENCES)
    for variant in ("bleu", "bleu_compound_split", "sacrebleu", "chrf"):
        assert scores[variant]["score"] == pytest.approx(100), variant
    assert scores["counts"] == {
        "sentences": 2, "hypothesis_tokens": 18, "reference_tokens": 18, "empty_hypotheses": 0,
    }  # fmt: skip


def test_bleu_is_that_of_the_tokens_as_they_stand(score):
    scores = score(["a b c d e"], ["a b c d f"], ["a b c d f"])["bleu"]
    assert scores["precisions"] == pytest.approx([80, 75, 200 / 3, 50])
    assert scores["score"] == pytest.approx((0.8 * 0.75 * (2 / 3) * 0.5) ** 0.25 * 100)
    assert "tok:none" in scores["signature"] and "case:mixed" in scores["signature"]


def test_bleu_is_case_sensitive(score):
    assert score([REFERENCES[0].lower(), REFERENCES[1]])["bleu"]["score"] < 95


def test_a_short_translation_pays_the_brevity_penalty(score):
    scores = score(["The doctor treats the", REFERENCES[1]])["bleu"]
    assert scores["brevity_penalty"] < 1 and scores["precisions"] == [100, 100, 100, 100]


def test_compounds_are_split_on_both_sides(score):
    hypothesis, reference = ["a b c well-known books"], ["a b c well-loved books"]
    scores = score(hypothesis, reference, reference)
    assert scores["bleu"]["precisions"][0] == pytest.approx(100 * 4 / 5)
    assert scores["bleu_compound_split"]["precisions"][0] == pytest.approx(100 * 6 / 7)


@pytest.mark.parametrize(
    ("line", "split"),
    [
        ("well-known", "well ##AT##-##AT## known"),
        ("Müller-Öl", "Müller ##AT##-##AT## Öl"),
        ("a - b", "a - b"),
        ("a-b-c", "a ##AT##-##AT## b-c"),
        ("well @-@ known", "well @ ##AT##-##AT## @ known"),
    ],
)
def test_compound_splitting_follows_the_customary_script(line, split):
    assert bleu.split_compounds(line) == split


def test_copying_the_source_is_scored_when_sources_are_given(score):
    assert score(REFERENCES)["copy_bleu"] is None
    copied = score(REFERENCES, sources=["The doctor in the hospital .", "x"])["copy_bleu"]
    assert 0 < copied["score"] < 50


def test_sacrebleu_tokenizer_follows_the_language_and_can_be_set(score):
    assert "tok:13a" in score(REFERENCES)["sacrebleu"]["signature"]
    assert "tok:char" in score(REFERENCES, language="th")["sacrebleu"]["signature"]
    assert "tok:char" in score(REFERENCES, tokenizer="char")["sacrebleu"]["signature"]
    with pytest.raises(UserError, match="'words'"):
        score(REFERENCES, tokenizer="words")


@pytest.mark.parametrize(
    ("language", "text"), [("ja", "医者が患者を治療します。"), ("ko", "의사가 환자를 치료합니다.")]
)
def test_languages_without_spaces_between_words_are_scored_by_words(score, language, text):
    result = score([text], [text], [text], language=language)["sacrebleu"]
    assert f"tok:{language}-mecab" in result["signature"] and result["score"] == pytest.approx(100)


@pytest.mark.parametrize("language", ["ja", "ko"])
def test_a_tokenizer_that_is_not_installed_is_named_with_what_brings_it(score, language, monkeypatch):
    for module in ("MeCab", "mecab_ko", "ipadic"):
        monkeypatch.setitem(sys.modules, module, None)
    for tokenizer in ("ja_mecab", "ko_mecab"):
        monkeypatch.delitem(sys.modules, f"sacrebleu.tokenizers.tokenizer_{tokenizer}", raising=False)
    with pytest.raises(UserError, match=re.escape(f"sacrebleu[{language}]")):
        score(["a"], ["a"], ["a"], language=language)


def test_text_that_was_not_tokenised_is_not_detokenised(score):
    lines, raw = ["we don 't often go there"], ["we don't often go there"]
    assert score(lines, lines, raw)["sacrebleu"]["score"] == pytest.approx(100)
    assert score(lines, lines, raw, tokenize="none")["sacrebleu"]["score"] < 90


def test_scoring_twice_gives_the_same_bytes(score, tmp_path):
    score(["The doctor treats", "We sell"])
    first = (tmp_path / "score.json").read_bytes()
    score(["The doctor treats", "We sell"])
    assert (tmp_path / "score.json").read_bytes() == first


@pytest.mark.parametrize("which", ["hyp", "raw", "src"])
def test_a_missing_line_is_an_error_that_names_the_file(score, tmp_path, which):
    lines = {"hypotheses": REFERENCES, "raw": RAW_REFERENCES, "sources": REFERENCES}
    lines[{"hyp": "hypotheses", "raw": "raw", "src": "sources"}[which]] = ["only one"]
    with pytest.raises(UserError, match=rf"{which} has 1 lines but .*ref has 2"):
        score(**lines)
    assert not (tmp_path / "score.json").exists()


def test_empty_files_are_an_error(score):
    with pytest.raises(UserError, match="ref is empty"):
        score([], [], [])


def test_an_empty_hypothesis_is_counted(score):
    assert score(["", REFERENCES[1]])["counts"]["empty_hypotheses"] == 1
