"""Korean in the phrasebook: each rule of its grammar on a sentence that a reader can judge."""

import random

import pytest

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.generate import LEXICONS, sentences
from xlmd.data.phrasebook.grammars import ko as korean
from xlmd.data.phrasebook.grammars.ko import Predicate, Stem
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

LEXICON = load(LEXICONS / "ko.yaml", korean.FIELDS)
CONCEPTS = sampler.load_concepts(LEXICONS / "meanings.yaml")

DOCTOR, NURSE, PATIENT = Entity("doctor"), Entity("nurse"), Entity("patient")
FIRST, INSIDE, LAST = 0.1, 0.5, 0.9


def say(main, colloquial=False, order=INSIDE, fronted=False, passive=False, **clauses):
    """A main clause, with whatever clauses around it, in a style chosen here rather than drawn."""
    draws = iter([0.1 if colloquial else 0.9, order, 0.0 if fronted else 0.9, 0.0 if passive else 0.9])
    rng = random.Random()
    rng.random = lambda: next(draws)
    return korean.render(Meaning("hospital", main, **clauses), LEXICON, rng)


def visit(object=PATIENT, subject=DOCTOR, tense=PAST, **more):
    return Clause("visit", subject, tense, object, **more)


def sleep(subject=NURSE, tense=PAST, **more):
    return Clause("sleep", subject, tense, **more)


def test_the_lexicon_has_a_word_for_every_concept():
    check_complete(LEXICON, CONCEPTS.sections(), LEXICONS / "ko.yaml")


def test_entries_are_well_formed():
    # Only people do something in meanings.yaml.
    people = {noun for topic in CONCEPTS.topics for action in topic.actions for noun in action.subjects}
    for concept, variants in LEXICON["nouns"].items():
        for noun in variants:
            assert (noun["counter"] == "명") == (concept in people), concept
    for section in ("verbs", "adjectives"):
        for concept, variants in LEXICON[section].items():
            for entry in variants:
                assert all(entry[field].endswith("다") for field in ("form", "passive", "negative") if field in entry)
                assert entry.get("irregular", "ㅂ") in "ㅂㄷㅅ", concept
                assert entry.get("particle", "에게") in ("에게", "에") and entry.get("agent", "에게") == "에게", concept
    assert all(place["form"].endswith("에서") for variants in LEXICON["places"].values() for place in variants)


def test_an_irregular_stem_ends_in_the_consonant_that_changes():
    for section in ("verbs", "adjectives"):
        for variants in LEXICON[section].values():
            for entry in variants:
                if "irregular" in entry:
                    assert korean._final(entry["form"].removesuffix("다")) == entry["irregular"], entry


def test_no_two_concepts_of_a_topic_share_a_word():
    for register in (0, 1):
        for topic in CONCEPTS.topics:
            words = [LEXICON["nouns"][noun][register % len(LEXICON["nouns"][noun])]["form"] for noun in topic.nouns]
            assert len(set(words)) == len(words), (topic.name, register)
        for section in ("verbs", "adjectives"):
            entries = {concept: variants[register % len(variants)] for concept, variants in LEXICON[section].items()}
            words = [entry["form"] for concept, entry in entries.items() if concept in CONCEPTS.sections()[section]]
            assert len(set(words)) == len(words), (section, register)


@pytest.mark.parametrize(
    ("stem", "infinitive", "adnominal", "reason", "declarative"),
    [
        (Stem("하"), "해", "한", "하니까", "합니다"),
        (Stem("가"), "가", "간", "가니까", "갑니다"),
        (Stem("오"), "와", "온", "오니까", "옵니다"),
        (Stem("주"), "줘", "준", "주니까", "줍니다"),
        (Stem("기다리"), "기다려", "기다린", "기다리니까", "기다립니다"),
        (Stem("되"), "되어", "된", "되니까", "됩니다"),
        (Stem("읽"), "읽어", "읽은", "읽으니까", "읽습니다"),
        (Stem("잡"), "잡아", "잡은", "잡으니까", "잡습니다"),
        (Stem("팔"), "팔아", "판", "파니까", "팝니다"),
        (Stem("아프"), "아파", "아픈", "아프니까", "아픕니다"),
        (Stem("슬프"), "슬퍼", "슬픈", "슬프니까", "슬픕니다"),
        (Stem("머리에 쓰"), "머리에 써", "머리에 쓴", "머리에 쓰니까", "머리에 씁니다"),
        (Stem("자르"), "잘라", "자른", "자르니까", "자릅니다"),
        (Stem("게으르"), "게을러", "게으른", "게으르니까", "게으릅니다"),
        (Stem("굽", "ㅂ"), "구워", "구운", "구우니까", "굽습니다"),
        (Stem("돕", "ㅂ"), "도와", "도운", "도우니까", "돕습니다"),
        (Stem("묻", "ㄷ"), "물어", "물은", "물으니까", "묻습니다"),
        (Stem("짓", "ㅅ"), "지어", "지은", "지으니까", "짓습니다"),
        (Stem("유죄이"), "유죄여", "유죄인", "유죄이니까", "유죄입니다"),
        (Stem("유죄가 아니"), "유죄가 아니어", "유죄가 아닌", "유죄가 아니니까", "유죄가 아닙니다"),
    ],
)
def test_stems_change_before_vowels(stem, infinitive, adnominal, reason, declarative):
    assert (stem.infinitive(), stem.linked("ㄴ"), stem.linked("니까")) == (infinitive, adnominal, reason)
    assert stem.declarative() == declarative


def test_the_past_is_dark_after_itself():
    assert [Stem(text).past().infinitive() for text in ("가", "있", "하")] == ["갔어", "있었어", "했어"]


@pytest.mark.parametrize(
    ("tense", "negated", "formal", "colloquial"),
    [
        (PAST, False, "방문했습니다", "찾아갔어요"),
        (PRESENT, False, "방문합니다", "찾아가요"),
        (FUTURE, False, "방문할 것입니다", "찾아갈 거예요"),
        (PAST, True, "방문하지 않았습니다", "안 찾아갔어요"),
        (PRESENT, True, "방문하지 않습니다", "안 찾아가요"),
        (FUTURE, True, "방문하지 않을 것입니다", "안 찾아갈 거예요"),
    ],
)
def test_the_register_decides_words_speech_level_future_and_negation(tense, negated, formal, colloquial):
    clause = visit(tense=tense, negated=negated)
    assert say(clause) == f"그 의사는 환자를 {formal}."
    assert say(clause, colloquial=True) == f"그 의사는 환자를 {colloquial}."


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        (Clause("work", DOCTOR, PAST, negated=True, place="farm"), "그 의사는 농장에서 일 안 했어요."),
        (Clause("bring", NURSE, PAST, Entity("medicine"), negated=True), "그 간호사는 약을 들고 안 왔어요."),
        (Clause("bake", Entity("cook"), FUTURE, Entity("bread"), negated=True), "그 요리사는 빵을 안 구울 거예요."),
        (Clause("be", Entity("thief"), PAST, predicate="strict", negated=True), "그 도둑은 엄하지 않았어요."),
        (Clause("be", Entity("thief"), PAST, predicate="guilty", negated=True), "그 도둑은 죄가 없었어요."),
    ],
)
def test_an_stands_before_the_last_word_of_the_verb_and_not_with_adjectives(clause, sentence):
    assert say(clause, colloquial=True) == sentence


def test_particles_go_by_the_final_consonant():
    assert say(Clause("read", Entity("teacher"), PAST, Entity("book"))) == "그 교사는 도서를 읽었습니다."
    assert say(Clause("read", Entity("pupil"), PAST, Entity("book")), True) == "그 학생은 책을 읽었어요."


@pytest.mark.parametrize(
    ("clause", "formal", "colloquial"),
    [
        (
            Clause("ask", Entity("tourist"), PAST, Entity("policeman")),
            "그 관광객은 경찰관에게 물었습니다.",
            "그 관광객은 경찰한테 물어봤어요.",
        ),
        (
            Clause("answer", Entity("pupil"), PAST, Entity("question")),
            "그 학생은 질문에 답변했습니다.",
            "그 학생은 질문에 대답했어요.",
        ),
        (
            Clause("wear", Entity("queen"), PAST, Entity("crown")),
            "그 왕비는 왕관을 착용했습니다.",
            "그 왕비는 왕관을 머리에 썼어요.",
        ),
        (
            Clause("wear", Entity("singer"), PAST, Entity("costume")),
            "그 가수는 의상을 착용했습니다.",
            "그 가수는 옷을 입었어요.",
        ),
    ],
)
def test_verbs_choose_particles_and_objects_choose_verbs(clause, formal, colloquial):
    assert (say(clause), say(clause, colloquial=True)) == (formal, colloquial)


@pytest.mark.parametrize(
    ("entity", "noun_phrase"),
    [
        (Entity("patient", 2, definite=False), "환자 두 명을"),
        (Entity("horse", 3, definite=False), "말 세 마리를"),
        (Entity("book", 4, definite=False), "도서 네 권을"),
        (Entity("ship", 5, definite=False), "선박 다섯 척을"),
        (Entity("book", definite=False), "도서 한 권을"),
        (Entity("book", 2), "그 도서 두 권을"),
        (Entity("book", 0), "그 도서들을"),
        (Entity("book", 0, definite=False), "도서들을"),
        (Entity("patient", 0), "환자들을"),
        (Entity("book"), "도서를"),
        (Entity("patient", 3, adjective="old"), "나이가 많은 그 환자 세 명을"),
        (Entity("patient", 3, adjective="young"), "그 젊은 환자 세 명을"),
        (Entity("book", adjective="old"), "오래된 도서를"),
        (Entity("horse", 0, adjective="heavy"), "무거운 말들을"),
        (Entity("book", definite=False, adjective="new"), "새 도서 한 권을"),
    ],
)
def test_counters_follow_the_noun_and_determiners_precede_a_plain_adjective(entity, noun_phrase):
    assert say(Clause("find", DOCTOR, PAST, entity)) == f"그 의사는 {noun_phrase} 발견했습니다."


def test_the_bare_noun_is_denied_but_a_number_stays():
    assert say(visit(Entity("patient", definite=False), negated=True)) == "그 의사는 환자를 방문하지 않았습니다."
    assert say(visit(Entity("patient", 2, False), negated=True)) == "그 의사는 환자 두 명을 방문하지 않았습니다."


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (Entity("doctor"), "그 의사는"),
        (Entity("doctor", 0), "그 의사들은"),
        (Entity("doctor", 2), "그 의사 두 명은"),
        (Entity("doctor", definite=False), "의사 한 명이"),
        (Entity("doctor", 2, definite=False), "의사 두 명이"),
        (Entity("doctor", 0, definite=False), "어떤 의사들이"),
    ],
)
def test_a_definite_subject_is_the_topic(subject, said):
    assert say(visit(subject=subject)) == f"{said} 환자를 방문했습니다."


@pytest.mark.parametrize(
    ("relative", "said"),
    [
        (Clause("be", None, PRESENT, predicate="ill"), "아픈"),
        (Clause("be", None, PAST, predicate="ill"), "아팠던"),
        (Clause("be", None, PRESENT, predicate="tired"), "지친"),
        (Clause("be", None, PAST, predicate="tired"), "지친"),
        (Clause("be", None, PRESENT, predicate="guilty"), "유죄인"),
        (Clause("be", None, PRESENT, predicate="talented"), "재능이 있는"),
        (Clause("sell", None, PRESENT, Entity("apple", 0, False)), "사과들을 판매하는"),
        (Clause("sell", None, PAST, Entity("apple", 3)), "그 사과 세 개를 판매한"),
        (Clause("sell", None, FUTURE, Entity("apple")), "사과를 판매할"),
    ],
)
def test_a_relative_clause_precedes_its_noun_in_an_adnominal_form(relative, said):
    patient = Entity("patient", adjective="young", relative=relative)
    assert say(visit(patient)) == f"그 의사는 {said} 젊은 환자를 방문했습니다."


def test_l_falls_in_an_adnominal_form():
    assert Predicate(Stem("팔"), PRESENT, 1).adnominal() == "파는"
    assert Predicate(Stem("팔"), PAST, 1).adnominal() == "판"
    assert Predicate(Stem("팔"), FUTURE, 1).adnominal() == "팔"


def test_time_and_place_keep_clear_of_a_relative_clause():
    patient = Entity("patient", 2, relative=Clause("be", None, PAST, predicate="ill"))
    clause = visit(patient, place="ward", time="yesterday")
    assert say(clause) == "그 의사는 아팠던 그 환자 두 명을 어제 병동에서 방문했습니다."
    assert say(visit(DOCTOR, patient, time="yesterday"), fronted=True) == (
        "어제, 아팠던 그 환자 두 명은 의사를 방문했습니다."
    )


def test_time_or_place_or_the_object_comes_first():
    clause = visit(time="yesterday", place="ward", manner="gladly")
    assert say(clause) == "그 의사는 어제 병동에서 환자를 기꺼이 방문했습니다."
    assert say(clause, fronted=True) == "어제 그 의사는 병동에서 환자를 기꺼이 방문했습니다."
    assert say(visit(place="ward"), fronted=True) == "병동에서 그 의사는 환자를 방문했습니다."
    assert say(visit(), fronted=True) == "그 환자는 의사가 방문했습니다."
    assert say(visit(Entity("patient", 2, False)), fronted=True) == "그 의사는 환자 두 명을 방문했습니다."


@pytest.mark.parametrize(
    ("verb", "subject", "object", "formal", "colloquial"),
    [
        ("praise", "mother", "pupil", "그 학생은 어머니에게 칭찬을 받았습니다.", "그 학생은 엄마한테 칭찬을 받았어요."),
        ("repair", "mechanic", "car", "그 자동차는 정비사에 의해 수리되었습니다.", "그 수리공은 차를 고쳤어요."),
        ("catch", "fisherman", "fish", "그 물고기는 어민에 의해 포획되었습니다.", "그 물고기는 어부한테 잡혔어요."),
        ("need", "patient", "medicine", "그 환자는 의약품을 필요로 했습니다.", "그 환자는 약을 필요로 했어요."),
    ],
)
def test_the_passive_is_a_verb_of_its_own_where_there_is_one(verb, subject, object, formal, colloquial):
    clause = Clause(verb, Entity(subject), PAST, Entity(object))
    assert (say(clause, passive=True), say(clause, True, passive=True)) == (formal, colloquial)


def test_a_passive_with_a_relative_clause_a_number_and_a_negated_future():
    nurses = Entity("nurse", 3, relative=Clause("be", None, PRESENT, predicate="tired"))
    clause = Clause("treat", nurses, FUTURE, Entity("patient", 0), negated=True, place="ward")
    assert say(clause, passive=True) == ("그 환자들은 지친 그 간호사 세 명에게 병동에서 치료를 받지 않을 것입니다.")


def test_no_passive_of_an_indefinite_object_with_a_manner_or_before_a_shared_subject():
    clause = Clause("treat", DOCTOR, PAST, Entity("patient", definite=False))
    assert say(clause, passive=True) == "그 의사는 환자 한 명을 치료했습니다."
    clause = Clause("treat", DOCTOR, PAST, PATIENT, manner="carefully")
    assert say(clause, passive=True) == "그 의사는 환자를 주의 깊게 치료했습니다."
    addition = ("and", sleep(DOCTOR, same_subject=True))
    clause = Clause("treat", DOCTOR, PAST, PATIENT)
    assert say(clause, passive=True, addition=addition) == "그 의사는 환자를 치료했고 잠을 잤습니다."


def test_a_clause_about_the_subject_of_a_passive_leaves_it_out():
    main, reason = Clause("treat", DOCTOR, PAST, PATIENT), Clause("be", PATIENT, PAST, predicate="ill")
    assert say(main, passive=True, reason=reason) == "그 환자는 아팠기 때문에 의사에게 치료를 받았습니다."


@pytest.mark.parametrize(
    ("reason", "formal", "colloquial"),
    [
        (Clause("be", NURSE, PAST, predicate="tired"), "간호사가 지쳤기 때문에", "간호사가 피곤해서"),
        (Clause("be", NURSE, PRESENT, predicate="lonely"), "간호사가 고독하기 때문에", "간호사가 외로워서"),
        (
            Clause("be", NURSE, PAST, predicate="guilty", negated=True),
            "간호사가 유죄가 아니었기 때문에",
            "간호사가 죄가 없어서",
        ),
        (sleep(), "간호사가 잠을 잤기 때문에", "간호사가 잤으니까"),
        (sleep(tense=FUTURE), "간호사가 잠을 잘 것이기 때문에", "간호사가 잘 거니까"),
        (sleep(negated=True), "간호사가 잠을 자지 않았기 때문에", "간호사가 안 잤으니까"),
    ],
)
def test_a_reason_is_said_as_a_ground_of_being_or_of_doing(reason, formal, colloquial):
    assert say(visit(), reason=reason) == f"그 의사는 {formal} 환자를 방문했습니다."
    assert say(visit(), True, order=FIRST, reason=reason) == f"{colloquial}, 그 의사는 환자를 찾아갔어요."


def test_a_reason_at_the_end_is_cleft_from_what_it_explains():
    reason = Clause("be", DOCTOR, PAST, predicate="brave", same_subject=True)
    assert say(visit(), order=LAST, reason=reason) == "그 의사가 환자를 방문한 것은 용맹했기 때문입니다."
    assert say(visit(), True, order=LAST, reason=reason) == "그 의사가 환자를 찾아간 건 용감했기 때문이에요."
    future = visit(tense=FUTURE)
    assert say(future, order=LAST, reason=reason) == "그 의사는 용맹했기 때문에 환자를 방문할 것입니다."


@pytest.mark.parametrize(
    ("conjunction", "tense", "formal", "colloquial"),
    [
        ("when", PAST, "잠을 잤을 때", "잤을 때"),
        ("when", PRESENT, "잠을 잘 때", "잘 때"),
        ("when", FUTURE, "잠을 잘 때", "잘 때"),
        ("before", PAST, "잠을 자기 전에", "자기 전에"),
        ("after", PAST, "잠을 잔 후에", "잔 다음에"),
        ("after", FUTURE, "잠을 잔 후에", "잔 다음에"),
    ],
)
def test_moments(conjunction, tense, formal, colloquial):
    main = Clause("work", DOCTOR, tense)
    ending = {PAST: "일했", PRESENT: "일합", FUTURE: "일할"}[tense]
    assert say(main, moment=(conjunction, sleep(tense=tense))).startswith(f"그 의사는 간호사가 {formal} {ending}")
    same = (conjunction, sleep(DOCTOR, tense, same_subject=True))
    assert say(main, True, order=FIRST, moment=same).startswith(f"{colloquial}, 그 의사는 일")


def test_of_two_subordinate_clauses_one_stands_before_the_topic():
    clauses = {"reason": Clause("be", PATIENT, PAST, predicate="ill"), "moment": ("before", sleep())}
    main = visit()
    assert say(main, **clauses) == "환자가 아팠기 때문에, 그 의사는 간호사가 잠을 자기 전에 그 환자를 방문했습니다."
    assert say(main, order=FIRST, **clauses) == (
        "간호사가 잠을 자기 전에, 그 의사는 환자가 아팠기 때문에 그 환자를 방문했습니다."
    )
    assert say(main, order=LAST, **clauses) == (
        "간호사가 잠을 자기 전에, 그 의사가 환자를 방문한 것은 그 환자가 아팠기 때문입니다."
    )


def test_a_clause_with_a_subject_of_its_own_does_not_follow_an_indefinite_subject():
    main = visit(subject=Entity("doctor", definite=False))
    assert say(main, moment=("after", sleep())) == "간호사가 잠을 잔 후에, 의사 한 명이 환자를 방문했습니다."


def test_a_noun_is_described_where_it_is_said_first_and_then_known():
    main = visit(Entity("patient", 2, False, "young"))
    reason = Clause("be", Entity("patient", 0), PAST, predicate="ill")
    assert say(main, reason=reason) == "그 의사는 젊은 환자 두 명이 아팠기 때문에 그 환자들을 방문했습니다."
    assert say(main, order=LAST, reason=reason) == (
        "그 의사가 젊은 환자 두 명을 방문한 것은 그 환자들이 아팠기 때문입니다."
    )


@pytest.mark.parametrize(
    ("conjunction", "tense", "formal", "colloquial"),
    [
        ("and", PAST, "방문했고 잠을 잤습니다", "찾아가고 잤어요"),
        ("and", PRESENT, "방문하고 잠을 잡니다", "찾아가고 자요"),
        ("and", FUTURE, "방문할 것이고 잠을 잘 것입니다", "찾아가고 잘 거예요"),
        ("but", PAST, "방문했지만 잠을 잤습니다", "찾아갔지만 잤어요"),
        ("but", FUTURE, "방문하겠지만 잠을 잘 것입니다", "찾아가겠지만 잘 거예요"),
    ],
)
def test_a_second_main_clause_leaves_out_a_shared_subject(conjunction, tense, formal, colloquial):
    addition = (conjunction, sleep(DOCTOR, tense, same_subject=True))
    assert say(visit(tense=tense), addition=addition) == f"그 의사는 환자를 {formal}."
    assert say(visit(tense=tense), True, addition=addition) == f"그 의사는 환자를 {colloquial}."


def test_a_second_subject_is_a_topic_too_and_the_tense_is_said_twice():
    addition = ("and", visit(subject=NURSE))
    assert say(visit(), True, addition=addition) == "그 의사는 환자를 찾아갔고, 간호사는 그 환자를 찾아갔어요."
    addition = ("but", sleep(Entity("nurse", definite=False), FUTURE))
    assert say(visit(tense=FUTURE), True, addition=addition) == (
        "그 의사는 환자를 찾아가겠지만, 간호사 한 명이 잘 거예요."
    )


def test_go_after_a_negated_verb_keeps_its_tense():
    addition = ("and", sleep(DOCTOR, same_subject=True))
    assert say(visit(negated=True), True, addition=addition) == "그 의사는 환자를 안 찾아갔고 잤어요."


def test_generated_sentences_are_tidy_and_of_4_to_50_words():
    for sentence in sentences("ko", "train", 1000, 1):
        assert sentence.endswith(("니다.", "요.")) and sentence.count(".") == 1
        assert all("가" <= letter <= "힣" or letter in " ,." for letter in sentence), sentence
        assert sentence == " ".join(sentence.split()) and " ," not in sentence and ",," not in sentence
        assert 4 <= len(sentence.split()) <= 50, sentence


def test_every_sentence_keeps_to_its_register():
    for sentence in sentences("ko", "train", 1000, 2):
        formal = sentence.endswith("니다.")
        words = sentence.split()
        assert not set(words) & ({"안", "거고,", "건", "다음에"} if formal else {"후에", "것은", "때문에"}), sentence


def test_four_draws_are_made_whatever_the_meaning_is():
    states = set()
    for _, meaning in sampler.meanings(CONCEPTS, "train", 20, seed=6):
        rng = random.Random(1)
        korean.render(meaning, LEXICON, rng)
        states.add(rng.random())
    assert len(states) == 1
