"""What German grammar asks of the phrasebook's sentences, one rule a test."""

import random

import pytest

from xlmd.data.phrasebook.generate import LEXICONS
from xlmd.data.phrasebook.grammars import de as german
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning
from xlmd.data.phrasebook.sampler import load_concepts, meanings

WRITTEN, SPOKEN = 0.9, 0.1
DOCTOR, PATIENT, BOOK = Entity("doctor"), Entity("patient"), Entity("book")
ILL = Clause("be", PATIENT, PAST, predicate="ill")


@pytest.fixture(scope="module")
def lexicon():
    return load(LEXICONS / "de.yaml", german.FIELDS)


@pytest.fixture(scope="module")
def concepts():
    return load_concepts(LEXICONS / "meanings.yaml")


@pytest.fixture
def say(lexicon):
    """Renders a main clause, with whatever clauses around it, in a style chosen here rather than drawn."""

    def say(main, register=WRITTEN, first=False, fronted=False, passive=False, **clauses):
        draws = iter([register, *(0.0 if chosen else 0.99 for chosen in (first, fronted, passive))])
        rng = random.Random()
        rng.random = lambda: next(draws)
        return german.render(Meaning("hospital", main, **clauses), lexicon, rng)

    return say


def test_the_lexicon_has_every_concept(lexicon, concepts):
    check_complete(lexicon, concepts.sections(), LEXICONS / "de.yaml")


def test_no_two_concepts_of_a_topic_share_a_word(lexicon, concepts):
    for topic in concepts.topics:
        for register in (0, 1):
            words = [lexicon["nouns"][noun][register % len(lexicon["nouns"][noun])]["singular"] for noun in topic.nouns]
            assert len(set(words)) == len(words), (topic.name, register)


@pytest.mark.parametrize(
    ("tense", "register", "sentence"),
    [
        (PAST, WRITTEN, "Der Schüler las das Buch."),
        (PAST, SPOKEN, "Das Schulkind hat das Buch durchgelesen."),
        (PRESENT, WRITTEN, "Der Schüler liest das Buch."),
        (PRESENT, SPOKEN, "Das Schulkind liest das Buch durch."),
        (FUTURE, WRITTEN, "Der Schüler wird das Buch lesen."),
        (FUTURE, SPOKEN, "Das Schulkind wird das Buch durchlesen."),
    ],
)
def test_the_register_decides_words_and_past_tense(say, tense, register, sentence):
    assert say(Clause("read", Entity("pupil"), tense, object=BOOK), register) == sentence


def test_reisen_takes_sein_and_the_plural_agrees(say):
    assert say(Clause("travel", Entity("tourist", 0), PAST), SPOKEN) == "Die Urlauber sind gereist."
    assert say(Clause("travel", Entity("tourist", 0), PAST)) == "Die Touristen reisten."
    assert (
        say(Clause("be", Entity("tourist", 2), PRESENT, predicate="lost"))
        == "Die zwei Touristen sind orientierungslos."
    )


def test_the_verb_stands_second_after_a_fronted_time_or_place(say):
    clause = Clause("invite", Entity("king"), PRESENT, object=Entity("knight"), time="today", place="castle")
    assert say(clause, fronted=True) == "Heute lädt der König auf der Burg den Ritter ein."
    clause = Clause("invite", Entity("king"), PRESENT, object=Entity("knight"), place="castle")
    assert say(clause, SPOKEN, fronted=True) == "Im Schloss lädt der König den Ritter ein."


def test_the_verb_stands_last_in_a_subordinate_clause_and_second_after_it(say):
    visit = Clause("visit", DOCTOR, PAST, object=PATIENT, time="yesterday")
    assert say(visit, reason=ILL) == "Der Arzt suchte gestern den Patienten auf, da der Patient krank war."
    assert say(visit, first=True, fronted=True, reason=ILL) == (
        "Da der Patient krank war, suchte der Arzt gestern den Patienten auf."
    )


def test_a_separated_particle_joins_the_verb_at_the_end_of_a_clause(say):
    clause = Clause("visit", DOCTOR, PAST, object=PATIENT, same_subject=True)
    main = Clause("sleep", DOCTOR, PAST)
    assert say(main, moment=("before", clause)) == "Der Arzt schlief, ehe er den Patienten aufsuchte."


@pytest.mark.parametrize(
    ("tense", "register", "sentence"),
    [
        (PAST, WRITTEN, "Der Arzt schlief, nachdem er gewartet hatte."),
        (PAST, SPOKEN, "Der Doktor hat geschlafen, nachdem er gewartet hatte."),
        (PRESENT, WRITTEN, "Der Arzt schläft, nachdem er gewartet hat."),
        (FUTURE, WRITTEN, "Der Arzt wird schlafen, nachdem er gewartet hat."),
    ],
)
def test_nachdem_is_one_tense_earlier(say, tense, register, sentence):
    moment = ("after", Clause("wait", DOCTOR, tense, same_subject=True))
    assert say(Clause("sleep", DOCTOR, tense), register, moment=moment) == sentence


def test_when_is_als_once_in_the_past_and_wenn_otherwise(say):
    for tense, rest in ((PAST, "lachte, als er wartete"), (PRESENT, "lacht, wenn er wartet")):
        moment = ("when", Clause("wait", DOCTOR, tense, same_subject=True))
        assert say(Clause("laugh", DOCTOR, tense), moment=moment) == f"Der Arzt {rest}."


def test_one_of_two_subordinate_clauses_stands_on_each_side(say):
    clauses = {"reason": ILL, "moment": ("before", Clause("sleep", PATIENT, PAST))}
    main = Clause("call", Entity("nurse"), PAST, object=DOCTOR)
    assert say(main, first=True, **clauses) == (
        "Ehe der Patient schlief, rief die Pflegerin den Arzt, da der Patient krank war."
    )
    assert say(main, **clauses) == "Da der Patient krank war, rief die Pflegerin den Arzt, ehe der Patient schlief."


def test_the_passive_has_werden_and_von_with_the_dative(say):
    clause = Clause("treat", DOCTOR, PAST, object=Entity("patient", 0))
    assert say(clause, passive=True) == "Die Patienten wurden von dem Arzt behandelt."
    assert say(clause, SPOKEN, passive=True) == "Die Patienten sind vom Doktor versorgt worden."
    clause = Clause("treat", Entity("nurse", 0), FUTURE, object=PATIENT)
    assert say(clause, passive=True) == "Der Patient wird von den Pflegerinnen behandelt werden."


def test_a_dative_object_stays_dative_in_the_passive_and_the_verb_singular(say):
    clause = Clause("help", Entity("sailor", adjective="brave"), PRESENT, object=Entity("fisherman", 0))
    assert say(clause, SPOKEN) == "Der mutige Matrose hilft den Fischern."
    assert say(clause, SPOKEN, passive=True) == "Den Fischern wird vom mutigen Matrosen geholfen."


def test_no_passive_of_an_indefinite_object_or_before_a_shared_subject(say):
    clause = Clause("treat", DOCTOR, PAST, object=Entity("patient", definite=False))
    assert say(clause, passive=True) == "Der Arzt behandelte einen Patienten."
    addition = ("and", Clause("sleep", DOCTOR, PAST, same_subject=True))
    clause = Clause("treat", DOCTOR, PAST, object=PATIENT)
    assert say(clause, passive=True, addition=addition) == "Der Arzt behandelte den Patienten und schlief."


@pytest.mark.parametrize(
    ("entity", "noun_phrase"),
    [
        (Entity("patient", adjective="young"), "den jungen Patienten"),
        (Entity("patient", definite=False, adjective="young"), "einen jungen Patienten"),
        (Entity("nurse", adjective="young"), "die junge Pflegerin"),
        (Entity("girl", definite=False, adjective="young"), "ein junges Mädchen"),
        (Entity("nurse", 2, adjective="young"), "die zwei jungen Pflegerinnen"),
        (Entity("nurse", 3, definite=False, adjective="young"), "drei junge Pflegerinnen"),
        (Entity("nurse", 0, definite=False, adjective="tired"), "erschöpfte Pflegerinnen"),
        (Entity("traveller", definite=False), "einen Reisenden"),
        (Entity("traveller", 0, definite=False), "Reisende"),
        (Entity("traveller", 4), "die vier Reisenden"),
        (Entity("neighbour"), "den Nachbarn"),
    ],
)
def test_articles_adjectives_and_nouns_agree_in_the_accusative(say, entity, noun_phrase):
    assert say(Clause("examine", DOCTOR, PRESENT, object=entity)) == f"Der Arzt untersucht {noun_phrase}."


@pytest.mark.parametrize(
    ("entity", "noun_phrase"),
    [
        (Entity("guest", 0, adjective="friendly"), "den netten Gästen"),
        (Entity("guest", 0, definite=False, adjective="friendly"), "netten Gästen"),
        (Entity("mother", 0), "den Mamas"),
        (Entity("girl", definite=False, adjective="tired"), "einem müden Mädchen"),
        (Entity("queen", adjective="rich"), "der reichen Königin"),
        (Entity("traveller", 2, definite=False), "zwei Reisenden"),
    ],
)
def test_articles_adjectives_and_nouns_agree_in_the_dative(say, entity, noun_phrase):
    assert say(Clause("help", DOCTOR, PRESENT, object=entity), SPOKEN) == f"Der Doktor hilft {noun_phrase}."


def test_adjectives_that_drop_an_e(say):
    entity = Entity("car", definite=False, adjective="expensive")
    assert say(Clause("buy", Entity("owner"), PRESENT, object=entity), SPOKEN) == "Der Besitzer kauft ein teures Auto."
    assert say(Clause("be", Entity("car"), PRESENT, predicate="expensive"), SPOKEN) == "Das Auto ist teuer."


@pytest.mark.parametrize(
    ("details", "sentence"),
    [
        ({"object": PATIENT}, "Der Arzt untersuchte den Patienten nicht."),
        ({"object": PATIENT, "manner": "carefully"}, "Der Arzt untersuchte den Patienten nicht sorgfältig."),
        ({"object": Entity("patient", definite=False)}, "Der Arzt untersuchte keinen Patienten."),
        ({"object": Entity("patient", 0, False, "young")}, "Der Arzt untersuchte keine jungen Patienten."),
        ({"object": Entity("patient", 2, False)}, "Der Arzt untersuchte zwei Patienten nicht."),
        (
            {"object": Entity("patient", definite=False), "manner": "carefully"},
            "Der Arzt untersuchte nicht sorgfältig einen Patienten.",
        ),
        ({"verb": "sleep", "place": "ward", "time": "today"}, "Der Arzt schlief heute nicht auf der Station."),
        ({"verb": "be", "predicate": "tired", "time": "today"}, "Der Arzt war heute nicht erschöpft."),
    ],
)
def test_what_is_denied_decides_between_nicht_and_kein(say, details, sentence):
    verb = details.get("verb", "examine")
    assert say(Clause(**{"subject": DOCTOR, "tense": PAST, "negated": True, "verb": verb, **details})) == sentence


def test_a_relative_clause_stands_between_commas_or_when_spoken_behind_the_verb(say):
    ill = Clause("be", None, PAST, predicate="ill")
    clause = Clause("treat", DOCTOR, PAST, object=Entity("patient", 0, relative=ill), manner="carefully")
    assert say(clause) == "Der Arzt behandelte die Patienten, die krank waren, sorgfältig."
    assert say(clause, SPOKEN) == "Der Doktor hat die Patienten vorsichtig versorgt, die krank waren."


def test_und_shares_the_subject_and_the_auxiliary_but_aber_repeats_it_as_a_pronoun(say):
    main = Clause("treat", Entity("nurse"), PAST, object=PATIENT)
    call = Clause("call", Entity("nurse"), PAST, object=DOCTOR, same_subject=True)
    assert say(main, SPOKEN, addition=("and", call)) == (
        "Die Krankenschwester hat den Patienten versorgt und den Doktor angerufen."
    )
    assert say(main, addition=("but", call)) == "Die Pflegerin behandelte den Patienten, aber sie rief den Arzt."
    other = Clause("sleep", DOCTOR, PAST)
    assert say(main, reason=ILL, addition=("and", other)) == (
        "Die Pflegerin behandelte den Patienten, da der Patient krank war, und der Arzt schlief."
    )


def test_an_auxiliary_is_repeated_where_nicht_would_seem_to_cover_both(say):
    main = Clause("treat", DOCTOR, PAST, object=PATIENT, negated=True)
    addition = ("and", Clause("sleep", DOCTOR, PAST, same_subject=True))
    assert say(main, SPOKEN, addition=addition) == "Der Doktor hat den Patienten nicht versorgt und hat geschlafen."


def test_sentences_are_tidy(lexicon, concepts):
    for number, meaning in meanings(concepts, "train", 300, seed=5):
        sentence = german.render(meaning, lexicon, random.Random(number))
        assert sentence[0].isupper() and sentence.endswith(".") and sentence.count(".") == 1
        assert not any(flaw in sentence for flaw in ("  ", " ,", ",,", " .", ",.", "None")), sentence
        assert len(sentence.split()) <= 50, sentence


def test_four_draws_are_made_whatever_the_meaning_is(lexicon, concepts):
    states = set()
    for _, meaning in meanings(concepts, "train", 20, seed=6):
        rng = random.Random(1)
        german.render(meaning, lexicon, rng)
        states.add(rng.random())
    assert len(states) == 1
