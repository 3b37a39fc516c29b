"""Romanian in the phrasebook: each rule of its grammar on a sentence that a reader can judge."""

import dataclasses
import random

import pytest

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.generate import LEXICONS, sentences
from xlmd.data.phrasebook.grammars import ro as romanian
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

LEXICON = load(LEXICONS / "ro.yaml", romanian.FIELDS)

DOCTOR, NURSE, PATIENT, WOUND = Entity("doctor"), Entity("nurse"), Entity("patient"), Entity("wound")


class Draws(random.Random):
    """The sentence's choices instead of chance, in the order in which they are drawn."""

    def __init__(self, colloquial=False, subordinate_first=False, fronted=False, passive=False):
        super().__init__()
        self.draws = [
            0.9 if colloquial else 0.1,
            *(0.0 if yes else 0.9 for yes in (subordinate_first, fronted, passive)),
        ]

    def random(self):
        return self.draws.pop(0)


def say(main, reason=None, moment=None, addition=None, **draws):
    return romanian.render(Meaning("hospital", main, reason, moment, addition), LEXICON, Draws(**draws))


def treat(object, subject=DOCTOR, tense=PRESENT, **more):
    return Clause("treat", subject, tense, object, **more)


def test_the_lexicon_has_a_word_for_every_concept():
    check_complete(LEXICON, sampler.load_concepts(LEXICONS / "meanings.yaml").sections(), LEXICONS / "ro.yaml")


def test_nouns_have_a_known_gender_and_kind_and_end_in_their_article():
    endings = {("m", "singular"): ("l", "le"), ("n", "singular"): ("l",), ("f", "singular"): ("a",)}
    endings |= {("m", "plural"): ("ii",), ("n", "plural"): ("le",), ("f", "plural"): ("le",)}
    for concept, variants in LEXICON["nouns"].items():
        for noun in variants:
            assert noun["kind"] in ("person", "animal", "thing"), concept
            for number in ("plural",) if noun.get("tantum") else ("singular", "plural"):
                assert noun[f"definite_{number}"].endswith(endings[noun["gender"], number]), concept


def test_s_and_t_have_a_comma_below_not_a_cedilla():
    text = (LEXICONS / "ro.yaml").read_text(encoding="utf-8")
    assert "ș" in text and "ț" in text
    assert not set("şţŞŢ") & set(text)


@pytest.mark.parametrize(
    ("patient", "tense", "sentence"),
    [
        (PATIENT, PRESENT, "Medicul îl tratează pe pacient."),
        (PATIENT, PAST, "Medicul l-a tratat pe pacient."),
        (PATIENT, FUTURE, "Medicul îl va trata pe pacient."),
        (NURSE, PRESENT, "Medicul o tratează pe asistentă."),
        (NURSE, PAST, "Medicul a tratat-o pe asistentă."),
        (Entity("patient", 0), PAST, "Medicul i-a tratat pe pacienți."),
        (Entity("nurse", 0), PRESENT, "Medicul le tratează pe asistente."),
        (Entity("nurse", 2), PAST, "Medicul le-a tratat pe cele două asistente."),
        (Entity("patient", adjective="young"), PAST, "Medicul l-a tratat pe pacientul tânăr."),
        (Entity("patient", definite=False), PAST, "Medicul a tratat un pacient."),
        (Entity("patient", 0, definite=False), PAST, "Medicul a tratat pacienți."),
        (WOUND, PAST, "Medicul a tratat rana."),
    ],
)
def test_a_definite_personal_object_is_marked_and_doubled_and_loses_its_article_when_bare(patient, tense, sentence):
    assert say(treat(patient, tense=tense)) == sentence


@pytest.mark.parametrize(
    ("patient", "tense", "sentence"),
    [
        (PATIENT, PRESENT, "Doctorul nu-l îngrijește pe pacient."),
        (NURSE, PRESENT, "Doctorul n-o îngrijește pe infirmieră."),
        (PATIENT, PAST, "Doctorul nu l-a îngrijit pe pacient."),
        (NURSE, PAST, "Doctorul n-a îngrijit-o pe infirmieră."),
        (PATIENT, FUTURE, "Doctorul n-o să-l îngrijească pe pacient."),
        (NURSE, FUTURE, "Doctorul n-o s-o îngrijească pe infirmieră."),
        (Entity("wound", definite=False), PAST, "Doctorul n-a îngrijit nicio rană."),
    ],
)
def test_the_colloquial_register_contracts_and_has_its_own_words_and_future(patient, tense, sentence):
    assert say(treat(patient, tense=tense, negated=True), colloquial=True) == sentence


@pytest.mark.parametrize(
    ("noun", "number", "definite", "phrase"),
    [
        ("horse", 1, True, "calul frumos"),
        ("horse", 1, False, "un cal frumos"),
        ("horse", 0, False, "niște cai frumoși"),
        ("crown", 1, True, "coroana frumoasă"),
        ("crown", 2, False, "două coroane frumoase"),
        ("crown", 3, True, "cele trei coroane frumoase"),
        ("costume", 1, False, "un costum frumos"),
        ("costume", 2, True, "cele două costume frumoase"),
        ("horse", 2, True, "cei doi cai frumoși"),
        ("money", 1, True, "banii frumoși"),
    ],
)
def test_articles_numerals_and_adjectives_agree_with_the_noun(noun, number, definite, phrase):
    clause = Clause("sleep", Entity(noun, number, definite, "beautiful"), PRESENT)
    verb = "dorm" if number != 1 or noun == "money" else "doarme"
    assert say(clause) == f"{phrase[0].upper()}{phrase[1:]} {verb}."


def test_old_people_and_old_things_are_called_differently():
    king, sword = Entity("king", adjective="old"), Entity("sword", adjective="old")
    assert say(Clause("hide", king, PRESENT, sword)) == "Monarhul vârstnic ascunde spada veche."


@pytest.mark.parametrize(
    ("wound", "tense", "draws", "sentence"),
    [
        (WOUND, PAST, {}, "Rana a fost tratată de către medic."),
        (Entity("wound", 0), FUTURE, {}, "Rănile vor fi tratate de către medic."),
        (PATIENT, PRESENT, {"colloquial": True}, "Pacientul e îngrijit de doctor."),
        (Entity("patient", 2), PAST, {}, "Cei doi pacienți au fost tratați de către medic."),
        (Entity("wound", definite=False), PAST, {}, "Medicul a tratat o rană."),
    ],
)
def test_the_participle_of_a_passive_agrees_and_an_indefinite_object_stays_active(wound, tense, draws, sentence):
    assert say(treat(wound, tense=tense), passive=True, **draws) == sentence


def test_participles_whose_stem_vowel_changes():
    def passive(verb, noun, number):
        return say(Clause(verb, DOCTOR, PAST, Entity(noun, number)), passive=True, colloquial=True).split()[3]

    assert [passive("bake", "bread", number) for number in (1, 0)] == ["coaptă", "coapte"]
    assert [passive("repair", "wheel", number) for number in (1, 0)] == ["dreasă", "drese"]
    assert [passive("pick", "wound", number) for number in (1, 0)] == ["culeasă", "culese"]


def test_a_prepositional_object_has_no_passive_and_loses_its_article_when_bare():
    def need(medicine, **more):
        return say(Clause("need", PATIENT, PAST, medicine, **more), passive=True)

    assert need(Entity("medicine")) == "Pacientul a avut nevoie de medicament."
    assert need(Entity("medicine", adjective="new")) == "Pacientul a avut nevoie de medicamentul nou."
    assert need(Entity("medicine", definite=False), negated=True) == "Pacientul nu a avut nevoie de niciun medicament."


def test_after_a_passive_only_its_grammatical_subject_goes_unsaid():
    def reason(subject, predicate, **more):
        clause = Clause("be", subject, PAST, predicate=predicate, **more)
        return say(treat(PATIENT, tense=PAST), reason=clause, passive=True).partition(", deoarece ")[2]

    assert reason(PATIENT, "ill") == "era bolnav."
    assert reason(DOCTOR, "tired", same_subject=True) == "medicul era obosit."


@pytest.mark.parametrize(
    ("conjunction", "same", "draws", "sentence"),
    [
        ("after", False, {}, "Medicul a așteptat după ce asistenta a tratat-o pe mamă."),
        ("when", True, {"subordinate_first": True}, "Când a tratat-o pe mamă, medicul a așteptat."),
        ("before", True, {}, "Medicul a așteptat înainte de a o trata pe mamă."),
        ("before", True, {"colloquial": True}, "Doctorul a așteptat înainte s-o îngrijească pe mamă."),
        ("before", False, {}, "Medicul a așteptat înainte ca asistenta să o trateze pe mamă."),
    ],
)
def test_temporal_clauses(conjunction, same, draws, sentence):
    clause = treat(Entity("mother"), subject=DOCTOR if same else NURSE, tense=PAST, same_subject=same)
    assert say(Clause("wait", DOCTOR, PAST), moment=(conjunction, clause), **draws) == sentence


def test_a_reason_comes_first_or_last_with_its_comma():
    main, reason = Clause("wait", NURSE, PAST), Clause("be", NURSE, PAST, predicate="tired", same_subject=True)
    assert say(main, reason) == "Asistenta a așteptat, deoarece era obosită."
    assert say(main, reason, subordinate_first=True, colloquial=True) == "Pentru că era obosită, infirmiera a așteptat."


def test_and_depends_on_whether_the_subject_is_the_same():
    main = Clause("wait", DOCTOR, PRESENT)
    same = Clause("sleep", DOCTOR, PRESENT, same_subject=True)
    assert say(main, addition=("and", same)) == "Medicul așteaptă și doarme."
    assert say(main, addition=("and", Clause("sleep", NURSE, PRESENT))) == "Medicul așteaptă, iar asistenta doarme."
    assert say(main, addition=("but", same)) == "Medicul așteaptă, însă doarme."


def test_a_relative_clause_keeps_the_article_and_agrees_with_its_noun():
    nurses = Entity("nurse", 0, relative=Clause("be", None, PAST, predicate="tired"))
    assert say(treat(nurses, tense=PAST)) == "Medicul le-a tratat pe asistentele care erau obosite."


def test_the_time_is_fronted_or_else_the_place():
    clause = Clause("sleep", PATIENT, PAST, place="ward", time="yesterday")
    assert say(clause) == "Pacientul a dormit ieri în salon."
    assert say(clause, fronted=True) == "Ieri pacientul a dormit în salon."
    assert say(dataclasses.replace(clause, time=None), fronted=True) == "În salon pacientul a dormit."


def test_generated_sentences_are_tidy_and_of_4_to_50_words():
    for sentence in sentences("ro", "train", 2000, 1):
        assert sentence[0].isupper() and sentence.endswith(".") and sentence.count(".") == 1
        assert "  " not in sentence and " ," not in sentence and ",," not in sentence
        assert 4 <= len(sentence.split()) <= 50, sentence
