"""The phrasebook: what it samples, how it is written, its lexicons, and English. The others have their own tests."""

import hashlib
import importlib
import re
from collections import Counter

import pytest

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.generate import LANGUAGES, LEXICONS, generate, meanings, sentences
from xlmd.data.phrasebook.grammars import en as english
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning
from xlmd.errors import UserError

# sha256 of the first 500 sentences of the training set with seed 1. A change of a grammar, a lexicon or the sampler
# changes the corpora, and so every number measured on them: then, and only then, write the new hashes here.
HASHES = {
    "ar": "1508b609287edf4ae0a867a4ef653c9905099ce772fb79f418cd62226d46a2aa",
    "de": "14ed3e0a3316c584e905a2398898d8d6e1752ec91607183ed32f30c37487f817",
    "en": "0bca979eeb671f83517c960315108ff9803e3f7b35dae67dfb485f1d3526a71d",
    "fr": "9d430792048f5c302e140494c4966249821044310c8f25bbffbfc8a0b8de3648",
    "ja": "6b094d84f6e1c22ee794d356ef6309b9012b35df87356eabecf72e56fc56b19f",
    "ko": "2fb909fcc03bef24c32ad1f197c4d4b063d13f5160dec4b4af66f9419662506d",
    "ro": "31a717251910adc3676736f94e031e68a318a45b4b936dc12d40202b96073973",
}

WITH_ARTICLES = ["de", "en", "fr", "ro"]  # and in Latin letters

CONCEPTS = sampler.load_concepts(LEXICONS / "meanings.yaml")
LEXICON = load(LEXICONS / "en.yaml", english.FIELDS)


def sample(language: str, size: int, split: str = "train", seed: int = 1) -> list[str]:
    return list(sentences(language, split, size, seed))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_seed_gives_the_same_bytes_everywhere(language, tmp_path):
    generate(language, "train", 500, 1, tmp_path / "train")
    assert hashlib.sha256((tmp_path / "train").read_bytes()).hexdigest() == HASHES[language]


def test_another_seed_gives_other_sentences():
    assert not set(sample("en", 100)) & set(sample("en", 100, seed=2))


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one():
    assert sample("en", 300)[:50] == sample("en", 50)


def test_no_meaning_occurs_twice_or_in_two_splits_even_with_other_seeds():
    drawn = [meaning for split in sampler.SPLITS for meaning in meanings(split, 1500, 1)]
    assert len(set(drawn)) == 4 * 1500
    assert not set(meanings("train", 1500, 2)) & set(meanings("test", 1500, 1))


def test_no_sentence_of_the_training_set_stands_in_the_test_set():
    assert not set(sample("en", 3000)) & set(sample("en", 500, "test"))


def test_no_event_of_the_training_set_happens_in_the_test_set():
    def event(meaning: Meaning) -> tuple:
        main = meaning.main
        thing = main.object and (main.object.noun, main.object.number)
        return main.verb, main.tense, main.subject.noun, main.subject.number, thing

    assert not {event(meaning) for meaning in meanings("train", 3000, 1)} & {
        event(meaning) for meaning in meanings("test", 500, 1)
    }


@pytest.mark.parametrize("language", WITH_ARTICLES)
def test_sentences_have_4_to_50_words_and_fill_all_length_buckets(language):
    lengths = [len(sentence.split()) for sentence in sample(language, 3000)]
    buckets = Counter(min(length // 10, 4) for length in lengths)
    assert min(lengths) >= 4 and max(lengths) <= 50
    for bucket, least in enumerate((0.3, 0.2, 0.03, 0.01, 0.002)):
        assert buckets[bucket] >= least * 3000, f"{buckets[bucket]} sentences of {10 * bucket} and more words"


@pytest.mark.parametrize("language", ["ar", "ko"])
def test_languages_that_write_articles_and_particles_into_their_words_have_fewer(language):
    lengths = [len(sentence.split()) for sentence in sample(language, 3000)]
    assert min(lengths) >= 4 and max(lengths) <= 50 and sum(length >= 20 for length in lengths) >= 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_punctuated_and_spaced_like_sentences(language):
    stop = "。" if language == "ja" else "."
    for sentence in sample(language, 2000):
        assert sentence.endswith(stop) and sentence.count(stop) == 1
        assert sentence == " ".join(sentence.split()) and (language != "ja" or " " not in sentence)
        assert not re.search(r" [,.،、]|[,،、]{2}|[,،、][.。]", sentence)
        assert language not in WITH_ARTICLES or sentence[0].isupper()


@pytest.mark.parametrize("language", LANGUAGES)
def test_lexicons_are_complete_and_every_concept_has_at_most_two_registers(language):
    grammar = importlib.import_module(f"xlmd.data.phrasebook.grammars.{language}")
    path = LEXICONS / f"{language}.yaml"
    lexicon = load(path, grammar.FIELDS)
    check_complete(lexicon, CONCEPTS.sections(), path)
    contents = [variants for section in CONCEPTS.sections() for variants in lexicon[section].values()]
    assert len(contents) >= 150
    assert sum(len(variants) == 2 for variants in contents) >= 0.35 * len(contents)


LEXICON_TEXT = """nouns:
  cat:
    - {singular: cat, plural: cats}
    - {singular: kitty, plural: kitties}
  dog: {singular: dog, plural: dogs}
times:
  now: [now, right now]
"""
LEXICON_FIELDS = {"nouns": ("singular", "plural"), "times": ("phrase",)}


def read_lexicon(folder, text: str):
    path = folder / "xx.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, LEXICON_FIELDS)


def test_a_bare_string_will_do_where_a_section_has_one_field(tmp_path):
    lexicon = read_lexicon(tmp_path, LEXICON_TEXT)
    assert lexicon["times"]["now"] == ({"phrase": "now"}, {"phrase": "right now"})
    assert lexicon["nouns"]["dog"] == ({"singular": "dog", "plural": "dogs"},)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("singular: dog, ", "", 5, "dog lacks the field 'singular'"),
        ("plural: dogs", "plural: 3", 5, "dog: plural must be a string, not int"),
        ("plural: dogs", "plural: no", 5, "dog: plural must be a string, not bool"),
        ("{singular: dog, plural: dogs}", "dog", 5, "expected a mapping"),
        ("dog:", "cat:", 5, "'cat' stands here a second time"),
        ("[now, right now]", "[now, right now, at once]", 7, "now has 3 variants"),
        ("times:", "tims:", 6, "unknown section 'tims'"),
        ("times:\n  now: [now, right now]\n", "", 1, "section 'times' is missing"),
        ("[now, right now]", "[now, right now", 8, "not valid YAML"),
    ],
)
def test_a_malformed_lexicon_is_reported_with_file_and_line(tmp_path, old, new, line, said):
    assert old in LEXICON_TEXT
    with pytest.raises(UserError, match=f"xx.yaml, line {line}: .*{re.escape(said)}"):
        read_lexicon(tmp_path, LEXICON_TEXT.replace(old, new))


def test_a_concept_without_an_entry_is_named(tmp_path):
    lexicon = read_lexicon(tmp_path, LEXICON_TEXT)
    with pytest.raises(UserError, match="xx.yaml: section 'nouns' has no entry for horse"):
        check_complete(lexicon, {"nouns": {"cat", "horse"}}, tmp_path / "xx.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("subjects: [doctor, nurse]", "subjects: [doctor, nurze]", "'nurze' is not one of"),
        ("every_day: [present]", "every_day: [now]", "'now' is not one of future, past, present"),
        ("    people: [doctor, nurse, patient, surgeon]\n", "", "'people' is missing"),
    ],
)
def test_malformed_concepts_are_reported_with_file_and_line(tmp_path, old, new, said):
    text = (LEXICONS / "meanings.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "meanings.yaml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=r"meanings.yaml, line \d+: " + said):
        sampler.load_concepts(tmp_path / "meanings.yaml")


@pytest.mark.parametrize(
    ("language", "split", "size", "said"),
    [("tlh", "train", 5, "speak 'tlh'"), ("en", "tset", 5, "no split 'tset'"), ("en", "test", 0, "size is 0")],
)
def test_bad_requests_are_refused_and_write_nothing(tmp_path, language, split, size, said):
    with pytest.raises(UserError, match=said):
        generate(language, split, size, 1, tmp_path / "out")
    assert not list(tmp_path.iterdir())


DOCTOR, NURSE = Entity("doctor"), Entity("nurse")


def say(main: Clause, register=0, subordinate_first=False, fronting=False, passive=False, **around) -> str:
    style = english.Style(register, subordinate_first, fronting, passive)
    return english.Sentence(LEXICON, style).render(Meaning("hospital", main, **around))


@pytest.mark.parametrize(
    ("tense", "negated", "number", "sentences"),
    [
        (PAST, False, 1, ("The patient slept.", "The patient dozed.")),
        (PAST, True, 1, ("The patient did not sleep.", "The patient didn't doze.")),
        (PRESENT, False, 1, ("The patient sleeps.", "The patient dozes.")),
        (PRESENT, False, 0, ("The patients sleep.", "The patients doze.")),
        (PRESENT, True, 1, ("The patient does not sleep.", "The patient doesn't doze.")),
        (PRESENT, True, 2, ("The two patients do not sleep.", "The two patients don't doze.")),
        (FUTURE, False, 1, ("The patient will sleep.", "The patient is going to doze.")),
        (FUTURE, True, 0, ("The patients will not sleep.", "The patients aren't going to doze.")),
    ],
)
def test_english_verbs_agree_and_take_do_in_negation(tense, negated, number, sentences):
    clause = Clause("sleep", Entity("patient", number), tense, negated=negated)
    assert tuple(say(clause, register) for register in (0, 1)) == sentences


@pytest.mark.parametrize(
    ("noun", "adjective", "phrase"),
    [
        ("apple", None, "an apple"),
        ("apple", "fresh", "a fresh apple"),
        ("farmer", "old", "an old farmer"),
        ("witness", "honest", "an honest witness"),
    ],
)
def test_english_articles_go_by_the_sound_that_follows(noun, adjective, phrase):
    clause = Clause("find", DOCTOR, PAST, object=Entity(noun, definite=False, adjective=adjective))
    assert say(clause) == f"The doctor found {phrase}."


def test_no_english_article_is_wrong_in_the_corpus():
    text = " ".join(sample("en", 3000)).lower()
    assert not re.findall(r"\ba [aeiou]\w+|\ban (?!honest)[^aeiou ]\w+", text)


def test_english_passives_agree_with_what_was_the_object():
    clause = Clause("treat", DOCTOR, PAST, object=Entity("patient", 0), manner="carefully", negated=True)
    assert say(clause, passive=True) == "The patients were not treated by the doctor carefully."
    assert say(clause, register=1, passive=True) == "The patients weren't tended by the physician with care."


def test_an_english_main_clause_stays_active_if_another_clause_shares_its_subject():
    main = Clause("treat", DOCTOR, PAST, object=Entity("patient"))
    addition = Clause("visit", DOCTOR, PAST, object=NURSE, same_subject=True)
    sentence = say(main, passive=True, addition=("and", addition))
    assert sentence == "The doctor treated the patient and visited the nurse."


def test_an_english_clause_of_time_speaks_of_the_future_in_the_present_tense():
    main = Clause("treat", NURSE, FUTURE, object=Entity("patient"))
    moment = Clause("visit", NURSE, FUTURE, object=DOCTOR, same_subject=True)
    around = {"moment": ("before", moment), "reason": Clause("be", Entity("patient"), FUTURE, predicate="ill")}
    assert say(main, **around) == (
        "The nurse will treat the patient because the patient will be ill before she visits the doctor."
    )
    assert say(main, subordinate_first=True, **around) == (
        "Before she visits the doctor, the nurse will treat the patient because the patient will be ill."
    )


def test_english_time_and_place_stand_last_or_one_of_them_first():
    clause = Clause("work", NURSE, PAST, place="ward", time="yesterday", manner="often")
    assert say(clause) == "The nurse often worked on the ward yesterday."
    assert say(clause, fronting=True) == "Yesterday, the nurse often worked on the ward."


def test_english_relative_pronouns_tell_people_from_things():
    ill = Clause("be", None, PAST, predicate="ill")
    clean = Clause("be", None, PAST, predicate="clean")
    clause = Clause("need", Entity("patient", relative=ill), PAST, object=Entity("bandage", 0, False, relative=clean))
    assert say(clause) == "The patient who was ill needed bandages which were clean."
    assert say(clause, 1) == "The patient that was sick required dressings that were spotless."


def test_both_registers_and_all_constructions_occur_in_english():
    sentences = sample("en", 4000)
    for sign in ("n't ", " not ", "Because ", "Since ", " by the ", "Yesterday, ", " yesterday"):
        assert sum(sign in sentence for sentence in sentences) > 10, sign
    assert not [sentence for sentence in sentences if "n't " in sentence and " not " in sentence]
