"""French in the phrasebook: each rule of its grammar on a sentence that a reader can judge."""

import random
import re

import pytest

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.generate import LEXICONS, sentences
from xlmd.data.phrasebook.grammars import fr as french
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

LEXICON = load(LEXICONS / "fr.yaml", french.FIELDS)
CONCEPTS = sampler.load_concepts(LEXICONS / "meanings.yaml")

DOCTOR, NURSE, PATIENT, WOUND = Entity("doctor"), Entity("nurse"), Entity("patient"), Entity("wound")


def say(main, spoken=False, first=False, fronted=False, passive=False, **around):
    """Renders a main clause, with whatever clauses around it, in a style chosen here rather than drawn."""
    draws = iter([0.1 if spoken else 0.9, *(0.0 if chosen else 0.9 for chosen in (first, fronted, passive))])
    rng = random.Random()
    rng.random = lambda: next(draws)
    return french.render(Meaning("hospital", main, **around), LEXICON, rng)


def treat(object=PATIENT, subject=DOCTOR, tense=PAST, **more):
    return Clause("treat", subject, tense, object, **more)


def be(predicate, subject=None, tense=PAST, **more):
    return Clause("be", subject, tense, predicate=predicate, **more)


# The lexicon


def test_the_lexicon_has_a_word_for_every_concept():
    check_complete(LEXICON, CONCEPTS.sections(), LEXICONS / "fr.yaml")


def test_nouns_have_a_gender_and_a_plural_that_ends_like_one():
    for concept, variants in LEXICON["nouns"].items():
        for noun in variants:
            assert noun["gender"] in ("m", "f"), concept
            assert noun["plural"].split()[0].endswith(("s", "x")), concept


def test_verbs_have_the_endings_of_their_tenses():
    for concept, variants in LEXICON["verbs"].items():
        for verb in variants:
            assert verb["infinitive"].endswith(("er", "ir", "re")), concept
            assert verb["plural"].endswith("ent") or verb["plural"] in ("ont", "vont"), concept
            assert verb["preterite"].endswith(("a", "it", "ut")) and verb["future"].endswith("ra"), concept
            assert verb["participle"].endswith(("é", "i", "u", "s", "t")), concept
            assert verb.get("imperfect", "ait").endswith("ait"), concept


def test_no_written_verb_has_a_preterite_that_could_be_a_present():
    for concept, variants in LEXICON["verbs"].items():
        assert variants[0]["preterite"] != variants[0]["present"] or "imperfect" in variants[0], concept


@pytest.mark.parametrize("section", ["nouns", "verbs", "adjectives", "places", "manners", "times"])
def test_no_two_concepts_share_a_word_in_a_register(section):
    fields = ("infinitive", "with", "reflexive") if section == "verbs" else french.FIELDS[section][:1]
    for register in (0, 1):
        entries = [variants[register % len(variants)] for variants in LEXICON[section].values()]
        words = [tuple(entry.get(field) for field in fields) for entry in entries]
        assert len(set(words)) == len(words), sorted(word for word in words if words.count(word) > 1)


def test_apostrophes_are_plain_and_every_h_is_mute():
    entries = [entry for section in LEXICON.values() for variants in section.values() for entry in variants]
    words = {word for entry in entries for value in entry.values() for word in re.split("[ ']", str(value))}
    assert not [word for word in words if "’" in word]
    assert {word for word in words if word.startswith("h")} <= {"hier", "honnête", "hui", "hôpital"}


# Verbs


@pytest.mark.parametrize(
    ("tense", "negated", "written", "spoken"),
    [
        (PAST, False, "Le médecin traita la plaie.", "Le docteur a soigné la blessure."),
        (PAST, True, "Le médecin ne traita pas la plaie.", "Le docteur a pas soigné la blessure."),
        (PRESENT, True, "Le médecin ne traite pas la plaie.", "Le docteur soigne pas la blessure."),
        (FUTURE, False, "Le médecin traitera la plaie.", "Le docteur va soigner la blessure."),
        (FUTURE, True, "Le médecin ne traitera pas la plaie.", "Le docteur va pas soigner la blessure."),
    ],
)
def test_the_register_decides_words_tenses_and_negation(tense, negated, written, spoken):
    clause = treat(WOUND, tense=tense, negated=negated)
    assert (say(clause), say(clause, spoken=True)) == (written, spoken)


@pytest.mark.parametrize(
    ("verb", "noun", "thing", "sentence"),
    [
        ("eat", "guest", "cake", "Les convives mangèrent le gâteau."),
        ("read", "pupil", "book", "Les élèves lurent le livre."),
        ("sell", "farmer", "cow", "Les agriculteurs vendirent la vache."),
        ("question", "judge", "witness", "Les magistrats interrogèrent le témoin."),
    ],
)
def test_the_plural_of_the_preterite(verb, noun, thing, sentence):
    assert say(Clause(verb, Entity(noun, 0), PAST, Entity(thing))) == sentence


def test_states_in_the_past_stand_in_the_imperfect_in_both_registers():
    wear = Clause("wear", Entity("queen", 0), PAST, Entity("crown"))
    assert say(wear) == say(wear, spoken=True) == "Les reines portaient la couronne."
    assert say(be("tired", Entity("nurse", 3))) == "Les trois infirmières étaient fatiguées."


def test_what_happened_today_stands_in_the_perfect_even_in_writing():
    assert say(treat(time="today")) == "Le médecin a traité le patient aujourd'hui."
    assert say(treat(time="yesterday")) == "Le médecin traita le patient hier."


def test_a_sentence_of_three_words_is_made_longer_by_its_tense():
    assert say(Clause("lie", Entity("lawyer"), PAST, time="yesterday")) == "L'avocat a menti hier."
    assert say(Clause("lie", Entity("lawyer"), FUTURE, time="tomorrow")) == "L'avocat va mentir demain."


def test_verbs_with_etre_and_their_agreeing_participles():
    visit = Clause("visit", Entity("nurse", 0), PAST, PATIENT)
    assert say(visit, spoken=True) == "Les infirmières sont allées voir le patient."
    use = Clause("use", Entity("secretary"), PAST, Entity("computer"), negated=True)
    assert say(use, spoken=True) == "La secrétaire s'est pas servie de l'ordi."
    assert say(Clause("laugh", Entity("king", 0), PAST, negated=True)) == "Les monarques ne s'esclaffèrent pas."


@pytest.mark.parametrize(
    ("manner", "written", "spoken"),
    [
        ("often", "n'oublia pas fréquemment le livre", "a pas souvent oublié le bouquin"),
        ("slowly", "n'oublia pas lentement le livre", "a pas oublié le bouquin doucement"),
        ("quickly", "n'oublia pas rapidement le livre", "a pas vite oublié le bouquin"),
    ],
)
def test_short_adverbs_follow_the_finite_verb_and_others_the_verb_or_its_object(manner, written, spoken):
    clause = Clause("forget", Entity("pupil"), PAST, Entity("book"), negated=True, manner=manner)
    assert say(clause) == f"L'élève {written}."
    assert say(clause, spoken=True) == f"L'écolier {spoken}."


# Noun phrases


@pytest.mark.parametrize(
    ("entity", "written", "spoken"),
    [
        (Entity("tool"), "l'outil", "l'outil"),
        (Entity("tool", adjective="old"), "le vieil outil", "le vieil outil"),
        (Entity("tool", 0, adjective="old"), "les vieux outils", "les vieux outils"),
        (Entity("tool", 0, False, "new"), "de nouveaux outils", "des nouveaux outils"),
        (Entity("tool", 2, False, "heavy"), "deux outils pesants", "deux outils lourds"),
        (Entity("car", 4, adjective="beautiful"), "les quatre belles voitures", "les quatre jolies bagnoles"),
        (Entity("computer", 1, False, "beautiful"), "un bel ordinateur", "un joli ordi"),
        (Entity("cow", 0, False, "brown"), "des vaches brunes", "des vaches marron"),
        (Entity("servant", 0, adjective="loyal"), "les serviteurs loyaux", "les valets fidèles"),
        (Entity("letter", 1, False, "secret"), "une missive confidentielle", "une lettre secrète"),
        (Entity("director", 0, adjective="famous"), "les metteurs en scène célèbres", "les metteurs en scène connus"),
        (Entity("bread", 1, False), "du pain", "du pain"),
        (Entity("money", 1, False), "de l'argent", "du fric"),
    ],
)
def test_articles_and_adjectives_agree_with_the_noun(entity, written, spoken):
    clause = Clause("bring", NURSE, PRESENT, entity)
    assert say(clause) == f"L'infirmière apporte {written}."
    assert say(clause, spoken=True) == f"L'infirmière apporte {spoken}."


@pytest.mark.parametrize(
    ("entity", "phrase"),
    [
        (Entity("bandage"), "du bandage"),
        (Entity("bandage", 0), "des bandages"),
        (Entity("apple"), "de la pomme"),
        (Entity("tool"), "de l'outil"),
        (Entity("tool", 1, False), "d'un outil"),
        (Entity("bandage", 0, False), "de bandages"),
        (Entity("bandage", 0, False, "new"), "de nouveaux bandages"),
        (Entity("bandage", 3, False), "de trois bandages"),
        (Entity("bread", 1, False), "de pain"),
    ],
)
def test_de_contracts_with_the_article_or_swallows_it(entity, phrase):
    assert say(Clause("need", PATIENT, PRESENT, entity)) == f"Le patient a besoin {phrase}."


def test_a_contracts_with_the_article():
    def ask(guide):
        return say(Clause("ask", Entity("tourist"), PRESENT, guide), spoken=True)

    assert ask(Entity("guide")) == "Le vacancier s'adresse au guide."
    assert ask(Entity("guide", 0)) == "Le vacancier s'adresse aux guides."
    assert ask(Entity("actor")) == "Le vacancier s'adresse à l'acteur."


@pytest.mark.parametrize(
    ("details", "written"),
    [
        ({"object": Entity("apple")}, "ne vendit pas la pomme"),
        ({"object": Entity("apple", 1, False)}, "ne vendit pas de pomme"),
        ({"object": Entity("apple", 0, False, "fresh")}, "ne vendit pas de pommes fraîches"),
        ({"object": Entity("tool", 0, False)}, "ne vendit pas d'outils"),
        ({"object": Entity("apple", 2, False)}, "ne vendit pas deux pommes"),
        ({"object": Entity("apple", 1, False), "manner": "quickly"}, "ne vendit pas rapidement une pomme"),
        ({"verb": "need", "object": Entity("bandage", 1, False)}, "n'avait pas besoin de bandage"),
        ({"verb": "answer", "object": Entity("question", 0, False)}, "ne répondit à aucune question"),
        ({"verb": "help", "object": Entity("farmer", 1, False)}, "ne prêta main-forte à aucun agriculteur"),
    ],
)
def test_an_indefinite_object_of_a_negated_verb(details, written):
    clause = Clause(**{"verb": "sell", "subject": Entity("neighbour"), "tense": PAST, "negated": True, **details})
    assert say(clause) == f"Le voisin {written}."


def test_a_relative_clause_agrees_with_its_noun_and_stands_last():
    nurse = Entity("nurse", 0, relative=be("tired"))
    assert say(Clause("sleep", nurse, PAST)) == "Les infirmières qui étaient fatiguées dormirent."
    clause = treat(nurse, time="yesterday", place="hospital", manner="carefully")
    assert say(clause, spoken=True) == (
        "Le docteur a soigné prudemment hier à l'hôpital les infirmières qui étaient crevées."
    )
    bandage = Entity("bandage", 0, False, relative=be("clean"))
    patient = Entity("patient", relative=Clause("need", None, PAST, bandage))
    assert say(Clause("sleep", patient, PAST)) == "Le patient qui avait besoin de bandages qui étaient propres dormit."


# Constructions


@pytest.mark.parametrize(
    ("patient", "tense", "written", "spoken"),
    [
        (WOUND, PAST, "La plaie fut traitée", "La blessure a été soignée"),
        (Entity("wound", 2), PAST, "Les deux plaies furent traitées", "Les deux blessures ont été soignées"),
        (Entity("patient", 0), FUTURE, "Les patients seront traités", "Les patients vont être soignés"),
        (PATIENT, PRESENT, "Le patient est traité", "Le patient est soigné"),
    ],
)
def test_the_participle_of_a_passive_agrees_with_its_subject(patient, tense, written, spoken):
    clause = treat(patient, Entity("nurse", 1, False), tense)
    assert say(clause, passive=True) == f"{written} par une infirmière."
    assert say(clause, spoken=True, passive=True) == f"{spoken} par une infirmière."


def test_the_passive_of_a_state_is_imperfect_and_its_agent_stands_last_with_a_relative_clause():
    actor = Entity("actor", 2, False, relative=be("nervous"))
    clause = Clause("wear", actor, PAST, Entity("costume", 3), place="theatre", negated=True)
    assert say(clause, passive=True) == (
        "Les trois costumes n'étaient pas portés au théâtre par deux comédiens qui étaient nerveux."
    )


def test_no_passive_without_a_direct_definite_object_or_before_a_pronoun():
    assert say(treat(Entity("wound", 1, False)), passive=True) == "Le médecin traita une plaie."
    need = Clause("need", PATIENT, PAST, Entity("medicine"))
    assert say(need, passive=True) == "Le patient avait besoin du remède."
    reason = be("tired", DOCTOR, same_subject=True)
    assert say(treat(), passive=True, reason=reason) == "Le médecin traita le patient, car il était fatigué."


@pytest.mark.parametrize(
    ("wound", "tense", "negated", "sentence"),
    [
        (WOUND, PAST, False, "La blessure, le docteur l'a soignée."),
        (Entity("wound", 2), PAST, True, "Les deux blessures, le docteur les a pas soignées."),
        (WOUND, PRESENT, False, "La blessure, le docteur la soigne."),
        (WOUND, FUTURE, True, "La blessure, le docteur va pas la soigner."),
        (Entity("wound", 0, False), PAST, False, "Le docteur a soigné des blessures."),
    ],
)
def test_who_speaks_puts_a_definite_object_first_and_the_participle_agrees_with_it(wound, tense, negated, sentence):
    assert say(treat(wound, tense=tense, negated=negated), spoken=True, fronted=True) == sentence


def test_the_time_is_fronted_or_else_the_place():
    clause = Clause("sleep", PATIENT, PAST, time="yesterday", place="hospital")
    assert say(clause) == "Le patient dormit hier à l'hôpital."
    assert say(clause, fronted=True) == "Hier, le patient dormit à l'hôpital."
    clause = Clause("sleep", PATIENT, PAST, place="hospital")
    assert say(clause, spoken=True, fronted=True) == "À l'hôpital, le patient a roupillé."


# Sentences of several clauses


def test_a_reason_has_another_conjunction_before_the_main_clause():
    main, reason = Clause("call", NURSE, PAST, DOCTOR), be("ill", Entity("mother"))
    assert say(main, reason=reason) == "L'infirmière appela le médecin, car la mère était souffrante."
    assert say(main, spoken=True, reason=reason) == "L'infirmière a appelé le docteur parce que la maman était malade."
    reason = be("tired", NURSE, same_subject=True)
    assert say(main, first=True, reason=reason) == "Puisqu'elle était fatiguée, l'infirmière appela le médecin."
    assert say(main, True, True, reason=reason) == "Comme elle était crevée, l'infirmière a appelé le docteur."


@pytest.mark.parametrize(
    ("tense", "conjunction", "written", "spoken"),
    [
        (PAST, "when", "appela {} lorsque l'élève patienta", "a appelé {} quand l'écolier a attendu"),
        (FUTURE, "when", "appellera {} lorsque l'élève patientera", "va appeler {} quand l'écolier attendra"),
        (PAST, "before", "appela {} avant que l'élève ne patiente", "a appelé {} avant que l'écolier attende"),
        (PAST, "after", "appela {} après que l'élève eut patienté", "a appelé {} après que l'écolier avait attendu"),
        (PRESENT, "after", "appelle {} après que l'élève a patienté", "appelle {} après que l'écolier a attendu"),
        (
            FUTURE,
            "after",
            "appellera {} après que l'élève aura patienté",
            "va appeler {} après que l'écolier aura attendu",
        ),
    ],
)
def test_moods_and_tenses_of_clauses_of_time(tense, conjunction, written, spoken):
    main, moment = Clause("call", NURSE, tense, DOCTOR), (conjunction, Clause("wait", Entity("pupil"), tense))
    assert say(main, moment=moment) == f"L'infirmière {written.format('le médecin')}."
    assert say(main, spoken=True, moment=moment) == f"L'infirmière {spoken.format('le docteur')}."


@pytest.mark.parametrize(
    ("conjunction", "clause", "sentence"),
    [
        ("before", Clause("call", NURSE, PAST, DOCTOR, same_subject=True), "avant d'appeler le docteur"),
        ("after", Clause("call", NURSE, PAST, DOCTOR, same_subject=True), "après avoir appelé le docteur"),
        ("before", Clause("need", NURSE, PAST, WOUND, same_subject=True), "avant d'avoir besoin de la blessure"),
        ("after", Clause("visit", NURSE, PAST, DOCTOR, same_subject=True), "après être allée voir le docteur"),
        ("before", Clause("use", NURSE, PAST, WOUND, same_subject=True), "avant de se servir de la blessure"),
        ("when", Clause("call", NURSE, PAST, DOCTOR, same_subject=True), "quand elle a appelé le docteur"),
    ],
)
def test_avant_and_apres_take_an_infinitive_if_the_subject_is_the_same(conjunction, clause, sentence):
    main = Clause("sleep", NURSE, PAST)
    assert say(main, spoken=True, moment=(conjunction, clause)) == f"L'infirmière a roupillé {sentence}."


def test_subjunctives():
    def before(verb, number):
        clause = Clause(verb, Entity("pupil", number), PAST, PATIENT)
        return say(Clause("sleep", NURSE, PAST), spoken=True, moment=("before", clause)).partition("avant que ")[2]

    assert before("need", 1) == "l'écolier ait besoin du patient."
    assert before("need", 0) == "les écoliers aient besoin du patient."
    assert before("visit", 1) == "l'écolier aille voir le patient."
    assert before("read", 0) == "les écoliers lisent le patient."


def test_of_two_subordinate_clauses_that_of_time_may_come_first():
    main, reason = Clause("call", NURSE, PAST, DOCTOR), be("ill", PATIENT)
    moment = ("when", Clause("sleep", PATIENT, PAST))
    assert say(main, reason=reason, moment=moment, first=True) == (
        "Lorsque le patient dormit, l'infirmière appela le médecin, car le patient était souffrant."
    )
    assert say(main, True, reason=reason, moment=moment) == (
        "L'infirmière a appelé le docteur quand le patient a roupillé, parce que le patient était malade."
    )


def test_who_writes_leaves_a_repeated_subject_out_and_who_speaks_says_a_pronoun():
    main = treat(subject=NURSE)
    call = Clause("call", NURSE, PAST, DOCTOR, same_subject=True)
    assert say(main, addition=("and", call)) == "L'infirmière traita le patient et appela le médecin."
    assert say(main, addition=("but", call)) == "L'infirmière traita le patient, mais appela le médecin."
    assert say(main, True, addition=("but", call)) == "L'infirmière a soigné le patient, mais elle a appelé le docteur."
    other = Clause("sleep", DOCTOR, PAST)
    assert say(main, addition=("and", other)) == "L'infirmière traita le patient, et le médecin dormit."


def test_a_comma_keeps_what_is_added_apart_from_a_relative_clause():
    main = treat(Entity("patient", relative=be("ill")))
    sleep = Clause("sleep", DOCTOR, PAST, same_subject=True)
    assert say(main, addition=("and", sleep)) == "Le médecin traita le patient qui était souffrant, et dormit."


# The corpus


def test_generated_sentences_are_tidy_and_elided_and_of_4_to_50_words():
    for sentence in sentences("fr", "train", 3000, 1):
        assert sentence[0].isupper() and sentence.endswith(".") and sentence.count(".") == 1
        assert not any(flaw in sentence for flaw in ("  ", " ,", ",,", " .", ",.", "None", "’")), sentence
        assert not re.search(r"\b([ldns]e|la|(lors|puis)?que) [aeiouhàâéèêëîïôœ]", sentence.lower()), sentence
        assert not re.search(r"\b(à|de) les?\b|\bde (du|des|de)\b", sentence.lower()), sentence
        assert 4 <= len(sentence.split()) <= 50, sentence


def test_the_spoken_register_never_says_ne_nor_the_written_one_pas_alone():
    corpus = list(sentences("fr", "train", 2000, 2))
    written, spoken = [], []
    for sentence in corpus:
        if " pas " in sentence:
            (written if re.search(r"\b(ne |n')", sentence) else spoken).append(sentence)
    assert len(written) > 50 and len(spoken) > 50
    assert not [sentence for sentence in written if " parce qu" in sentence or " quand " in sentence]
    assert not [sentence for sentence in spoken if ", car " in sentence or " lorsqu" in sentence]


def test_four_draws_are_made_whatever_the_meaning_is():
    states = set()
    for _, meaning in sampler.meanings(CONCEPTS, "train", 20, seed=6):
        rng = random.Random(1)
        french.render(meaning, LEXICON, rng)
        states.add(rng.random())
    assert len(states) == 1
