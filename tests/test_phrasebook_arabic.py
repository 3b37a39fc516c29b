"""Arabic in the phrasebook: each rule of its grammar on a sentence that a reader can judge."""

import dataclasses
import random

import pytest

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.generate import LEXICONS, sentences
from xlmd.data.phrasebook.grammars import ar as arabic
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

LEXICON = load(LEXICONS / "ar.yaml", arabic.FIELDS)

DOCTOR, NURSE, PATIENT, WOUND = Entity("doctor"), Entity("nurse"), Entity("patient"), Entity("wound")
SURGEON = Entity("surgeon")
TIRED = Clause("be", None, PAST, predicate="tired")


class Draws(random.Random):
    """The sentence's choices instead of chance, in the order in which they are drawn."""

    def __init__(self, plain=False, subject_first=False, subordinate_first=False, fronted=False, passive=False):
        super().__init__()
        self.draws = [
            0.9 if plain else 0.1,
            0.9 if subject_first else 0.0,
            *(0.0 if yes else 0.9 for yes in (subordinate_first, fronted, passive)),
        ]

    def random(self):
        return self.draws.pop(0)


def say(main, reason=None, moment=None, addition=None, **draws):
    return arabic.render(Meaning("hospital", main, reason, moment, addition), LEXICON, Draws(**draws))


def treat(object, subject=DOCTOR, tense=PAST, **more):
    return Clause("treat", subject, tense, object, **more)


def sleep(subject, tense=PAST, **more):
    return Clause("sleep", subject, tense, place="ward", **more)


def test_the_lexicon_has_a_word_for_every_concept():
    check_complete(LEXICON, sampler.load_concepts(LEXICONS / "meanings.yaml").sections(), LEXICONS / "ar.yaml")


def test_fields_are_well_formed():
    for concept, variants in LEXICON["nouns"].items():
        for noun in variants:
            assert noun["gender"] in ("m", "f") and noun["kind"] in ("person", "thing"), concept
            assert noun["gender"] == "f" or not noun["singular"].endswith("ة"), concept
            assert noun["kind"] == "person" or not noun["plural"].endswith("ون"), concept
            assert noun["singular"].endswith("ي") or not noun.get("defective"), concept
    for concept, variants in LEXICON["verbs"].items():
        for verb in variants:
            assert verb["present"].startswith("ي") and ("past_short" in verb) == ("present_short" in verb), concept
            assert verb.get("preposition", "عن") in ("إلى", "على", "عن", "مع", "ل"), concept
    for concept, variants in LEXICON["adjectives"].items():
        assert not [adjective for adjective in variants if adjective["masculine"].endswith("ة")], concept
    assert all(" " in place["phrase"] for variants in LEXICON["places"].values() for place in variants)


def test_words_have_no_article_of_their_own_and_no_vowel_signs():
    text = (LEXICONS / "ar.yaml").read_text(encoding="utf-8")
    assert not [sign for sign in text if "\u064b" <= sign <= "\u0652" or sign == "\u0640"]
    for section in ("nouns", "adjectives"):
        words = [word for variants in LEXICON[section].values() for entry in variants for word in entry.values()]
        assert not [word for word in words if word is not True and word.startswith("ال")]


def test_no_two_concepts_of_a_section_share_a_word_in_a_register():
    for section, field in (("nouns", "singular"), ("adjectives", "masculine"), ("verbs", "past")):
        for register in (0, 1):
            words = {
                concept: variants[register % len(variants)][field]
                for concept, variants in LEXICON[section].items()
                if concept != "pay_person"
            }
            assert len(set(words.values())) == len(words)


@pytest.mark.parametrize(
    ("subject", "verb_first", "subject_first"),
    [
        (SURGEON, "نام الجراح في غرفة المرضى.", "الجراح نام في غرفة المرضى."),
        (NURSE, "نامت الممرضة في غرفة المرضى.", "الممرضة نامت في غرفة المرضى."),
        (Entity("surgeon", 2), "نام الجراحان في غرفة المرضى.", "الجراحان ناما في غرفة المرضى."),
        (Entity("nurse", 2), "نامت الممرضتان في غرفة المرضى.", "الممرضتان نامتا في غرفة المرضى."),
        (Entity("surgeon", 0), "نام الجراحون في غرفة المرضى.", "الجراحون ناموا في غرفة المرضى."),
        (Entity("nurse", 4), "نامت الممرضات الأربع في غرفة المرضى.", "الممرضات الأربع نمن في غرفة المرضى."),
    ],
)
def test_a_verb_before_its_subject_is_singular_and_one_after_it_agrees_in_full(subject, verb_first, subject_first):
    assert say(sleep(subject), plain=True) == verb_first
    assert say(sleep(subject), plain=True, subject_first=True) == subject_first


@pytest.mark.parametrize(
    ("number", "tense", "negated", "formal", "plain"),
    [
        (1, PAST, True, "لم يرقد الجراح", "ما نام الجراح"),
        (1, PRESENT, False, "يرقد الجراح", "ينام الجراح"),
        (1, PRESENT, True, "لا يرقد الجراح", "لا ينام الجراح"),
        (1, FUTURE, False, "سوف يرقد الجراح", "سينام الجراح"),
        (1, FUTURE, True, "لن يرقد الجراح", "لن ينام الجراح"),
    ],
)
def test_tenses_and_negations_of_both_registers(number, tense, negated, formal, plain):
    clause = sleep(Entity("surgeon", number), tense, negated=negated)
    assert say(clause) == formal + " في الجناح."
    assert say(clause, plain=True) == plain + " في غرفة المرضى."


@pytest.mark.parametrize(
    ("number", "tense", "sentence"),
    [
        (2, PRESENT, "إن الجراحين لا يحتاجان إلى العقار."),
        (2, PAST, "إن الجراحين لم يحتاجا إلى العقار."),
        (0, PRESENT, "إن الجراحين لا يحتاجون إلى العقار."),
        (0, PAST, "إن الجراحين لم يحتاجوا إلى العقار."),
        (1, PAST, "إن الجراح لم يحتج إلى العقار."),
        (3, FUTURE, "إن الجراحين الثلاثة لن يحتاجوا إلى العقار."),
    ],
)
def test_the_jussive_and_the_subjunctive_drop_their_nun_and_a_formal_subject_follows_inna(number, tense, sentence):
    clause = Clause("need", Entity("surgeon", number), tense, Entity("medicine"), negated=True)
    assert say(clause, subject_first=True) == sentence


@pytest.mark.parametrize(
    ("verb", "object", "sentence"),
    [
        ("invite", PATIENT, "لم يدع الطبيب المريض."),
        ("visit", PATIENT, "لم يزر الطبيب المريض."),
        ("forget", Entity("book"), "لم ينس الطبيب الكتاب."),
        ("love", NURSE, "لم يحب الطبيب الممرضة."),
        ("call", NURSE, "لم يستدع الطبيب الممرضة."),
    ],
)
def test_weak_verbs_are_short_in_the_jussive(verb, object, sentence):
    assert say(Clause(verb, DOCTOR, PAST, object, negated=True)) == sentence


def test_verbs_of_every_kind_are_conjugated():
    def past(verb, register=1):
        variant = LEXICON["verbs"][verb][register % len(LEXICON["verbs"][verb])]
        return [arabic._past(variant, agreement) for agreement in ("fs", "md", "fd", "mp", "fp")]

    def present(verb, register=1):
        variant = LEXICON["verbs"][verb][register % len(LEXICON["verbs"][verb])]
        return [arabic._present(variant, agreement, "indicative") for agreement in ("fs", "md", "fd", "mp", "fp")]

    assert past("buy") == ["اشترت", "اشتريا", "اشترتا", "اشتروا", "اشترين"]
    assert present("buy") == ["تشتري", "يشتريان", "تشتريان", "يشترون", "يشترين"]
    assert past("invite") == ["دعت", "دعوا", "دعتا", "دعوا", "دعون"]
    assert present("invite") == ["تدعو", "يدعوان", "تدعوان", "يدعون", "يدعون"]
    assert past("forget") == ["نسيت", "نسيا", "نسيتا", "نسوا", "نسين"]
    assert present("forget") == ["تنسى", "ينسيان", "تنسيان", "ينسون", "ينسين"]
    assert past("read") == ["قرأت", "قرآ", "قرأتا", "قرؤوا", "قرأن"]
    assert present("read") == ["تقرأ", "يقرآن", "تقرآن", "يقرؤون", "يقرأن"]
    assert past("help", 0) == ["أعانت", "أعانا", "أعانتا", "أعانوا", "أعن"]
    assert past("love") == ["أحبت", "أحبا", "أحبتا", "أحبوا", "أحببن"]


@pytest.mark.parametrize(
    ("noun", "number", "definite", "phrase"),
    [
        ("horse", 1, False, "جوادا بديعا"),
        ("horse", 1, True, "الجواد البديع"),
        ("horse", 2, False, "جوادين بديعين"),
        ("horse", 2, True, "الجوادين البديعين"),
        ("horse", 0, False, "جيادا بديعة"),
        ("horse", 0, True, "الجياد البديعة"),
        ("horse", 3, False, "ثلاثة جياد بديعة"),
        ("horse", 3, True, "الجياد البديعة الثلاثة"),
        ("car", 5, False, "خمس مركبات بديعة"),
        ("car", 2, False, "مركبتين بديعتين"),
        ("letter", 0, False, "خطابات بديعة"),
        ("report", 0, False, "تقارير بديعة"),
        ("nurse", 0, True, "الممرضات البديعات"),
        ("lawyer", 1, False, "محاميا بديعا"),
        ("lawyer", 0, False, "محامين بديعين"),
        ("lawyer", 4, False, "أربعة محامين بديعين"),
        ("soup", 1, False, "حساء بديعا"),
    ],
)
def test_objects_numerals_and_adjectives_agree_in_gender_number_case_and_article(noun, number, definite, phrase):
    clause = Clause("carry", DOCTOR, PRESENT, Entity(noun, number, definite, "beautiful"))
    assert say(clause) == f"يحمل الطبيب {phrase}."


def test_subjects_and_adjectives_of_people_stand_in_the_nominative():
    assert say(sleep(Entity("judge", definite=False, adjective="old"))) == "رقد قاض مسن في الجناح."
    assert say(sleep(Entity("judge", 2, True, "young"))) == "رقد القاضيان الشابان في الجناح."
    assert say(sleep(Entity("teacher", 0, True, "tired"))) == "رقد المعلمون المرهقون في الجناح."
    assert say(sleep(Entity("nurse", 0, False, "tired"))) == "رقدت ممرضات مرهقات في الجناح."


def test_old_people_and_old_things_are_called_differently():
    king, sword = Entity("king", adjective="old"), Entity("sword", adjective="old")
    assert say(Clause("hide", king, PRESENT, sword)) == "يخفي العاهل المسن السيف العتيق."


def test_an_indefinite_subject_follows_the_verb_and_even_a_definite_object():
    doctor = Entity("doctor", definite=False)
    assert say(sleep(doctor), subject_first=True, plain=True) == "نام دكتور في غرفة المرضى."
    assert say(treat(PATIENT, doctor, negated=True), subject_first=True) == "لم يعالج المريض طبيب."
    assert say(treat(PATIENT, Entity("nurse", definite=False), negated=True)) == "لم تعالج المريض ممرضة."


def test_an_object_that_could_be_taken_for_the_subject_does_not_go_first():
    doctors = Entity("doctor", 3, definite=False)
    assert say(treat(PATIENT, doctors)) == "قام ثلاثة أطباء بمعالجة المريض."
    assert say(treat(WOUND, doctors)) == "عالج الجرح ثلاثة أطباء."
    assert say(treat(NURSE, doctors)) == "عالج الممرضة ثلاثة أطباء."


@pytest.mark.parametrize(
    ("tense", "draws", "sentence"),
    [
        (PAST, {}, "لقد عالج الطبيب المريض."),
        (PAST, {"subject_first": True}, "إن الطبيب عالج المريض."),
        (PAST, {"subject_first": True, "plain": True}, "إن الدكتور داوى المريض."),
        (PAST, {"passive": True, "plain": True}, "إن المريض داواه الدكتور."),
        (FUTURE, {"plain": True}, "سوف يداوي الدكتور المريض."),
    ],
)
def test_a_sentence_of_three_words_gets_a_particle_of_emphasis(tense, draws, sentence):
    assert say(treat(PATIENT, tense=tense), **draws) == sentence


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        (treat(WOUND), "تمت معالجة الجرح من قبل الطبيب."),
        (treat(WOUND, tense=PRESENT), "تتم معالجة الجرح من قبل الطبيب."),
        (treat(Entity("patient", 2), tense=FUTURE), "سوف تتم معالجة المريضين من قبل الطبيب."),
        (treat(WOUND, tense=FUTURE, negated=True), "لن تتم معالجة الجرح من قبل الطبيب."),
        (treat(WOUND, Entity("surgeon", 3)), "تمت معالجة الجرح من قبل الجراحين الثلاثة."),
        (treat(WOUND, dataclasses.replace(NURSE, relative=TIRED)), "تمت معالجة الجرح من قبل الممرضة التي كانت مرهقة."),
        (
            treat(dataclasses.replace(NURSE, relative=TIRED), place="ward"),
            "تمت من قبل الطبيب في الجناح معالجة الممرضة التي كانت مرهقة.",
        ),
        (Clause("bring", NURSE, PAST, Entity("bandage"), negated=True), "لم يتم إحضار الضمادة من قبل الممرضة."),
        (Clause("look_for", DOCTOR, PAST, Entity("book", 0)), "تم البحث عن الكتب من قبل الطبيب."),
        (Clause("need", DOCTOR, PAST, Entity("book")), "احتاج الطبيب إلى الكتاب."),
        (treat(Entity("wound", definite=False), negated=True), "لم يعالج الطبيب جرحا."),
    ],
)
def test_the_formal_passive_is_made_with_a_verbal_noun(clause, sentence):
    assert say(clause, passive=True) == sentence


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        (treat(PATIENT, negated=True), "المريض ما داواه الدكتور."),
        (treat(Entity("nurse", 3), Entity("mother")), "الممرضات الثلاث داوتهن الأم."),
        (treat(Entity("patient", 2), tense=FUTURE, negated=True), "المريضان لن يداويهما الدكتور."),
        (Clause("look_for", NURSE, PAST, Entity("book", 0)), "الكتب فتشت عنها الممرضة."),
        (Clause("need", DOCTOR, PRESENT, Entity("book")), "الكتاب يحتاج إليه الدكتور."),
        (Clause("read", DOCTOR, PRESENT, Entity("book"), place="ward"), "الكتاب يقرؤه الدكتور في غرفة المرضى."),
        (Clause("read", DOCTOR, FUTURE, Entity("book"), negated=True), "الكتاب لن يقرأه الدكتور."),
        (Clause("buy", NURSE, PAST, Entity("book", 2), time="yesterday"), "الكتابان اشترتهما الممرضة البارحة."),
    ],
)
def test_the_plain_register_topicalises_the_object_instead_and_resumes_it_with_a_pronoun(clause, sentence):
    assert say(clause, passive=True, plain=True) == sentence


def test_a_main_clause_stays_active_if_another_clause_shares_its_subject():
    same = sleep(DOCTOR, same_subject=True)
    assert say(treat(WOUND), addition=("and", same), passive=True) == "عالج الطبيب الجرح ورقد في الجناح."


@pytest.mark.parametrize(
    ("number", "definite", "sentence"),
    [
        (1, True, "لم يعالج الطبيب المريض الذي كان مرهقا."),
        (2, True, "لم يعالج الطبيب المريضين اللذين كانا مرهقين."),
        (0, True, "لم يعالج الطبيب المرضى الذين كانوا مرهقين."),
        (1, False, "لم يعالج الطبيب مريضا كان مرهقا."),
        (3, False, "لم يعالج الطبيب ثلاثة مرضى كانوا مرهقين."),
    ],
)
def test_a_relative_pronoun_follows_a_definite_noun_only(number, definite, sentence):
    assert say(treat(Entity("patient", number, definite, relative=TIRED), negated=True)) == sentence


def test_relative_clauses_of_women_things_and_the_present():
    tired = dataclasses.replace(TIRED, tense=PRESENT)
    assert say(treat(Entity("nurse", 0, relative=tired), tense=PRESENT)) == "يعالج الطبيب الممرضات اللواتي هن مرهقات."
    assert say(treat(Entity("wound", 0, relative=tired), tense=PRESENT)) == "يعالج الطبيب الجروح التي هي مرهقة."
    assert say(treat(Entity("patient", 2, False, relative=tired), tense=PRESENT)) == "يعالج الطبيب مريضين مرهقين."
    reads = Clause("read", None, PAST, Entity("book"))
    assert say(sleep(Entity("teacher", 2, relative=reads), negated=True)) == (
        "إن المعلمين اللذين طالعا الكتاب لم يرقدا في الجناح."
    )


def test_after_a_clause_about_the_subject_the_verb_is_taken_apart():
    doctor = Entity("doctor", relative=Clause("read", None, PAST, Entity("book")))
    assert say(treat(PATIENT, doctor, time="yesterday", place="ward"), fronted=True) == (
        "أمس قام الطبيب الذي طالع الكتاب بمعالجة المريض في الجناح."
    )
    assert say(Clause("wait", NURSE, PAST), moment=("before", treat(PATIENT, doctor))) == (
        "انتظرت الممرضة قبل أن يقوم الطبيب الذي طالع الكتاب بمعالجة المريض."
    )


def test_place_and_time_do_not_follow_a_clause_about_the_object():
    patient = Entity("patient", relative=TIRED)
    assert say(treat(patient, place="ward", time="yesterday", manner="carefully")) == (
        "عالج الطبيب بعناية في الجناح أمس المريض الذي كان مرهقا."
    )


@pytest.mark.parametrize(
    ("subject", "tense", "negated", "draws", "clause"),
    [
        (NURSE, PAST, False, {}, "نظرا إلى أن الممرضة كانت مرهقة"),
        (NURSE, PAST, False, {"plain": True}, "لأن الممرضة كانت متعبة"),
        (Entity("surgeon", 2), PRESENT, False, {"plain": True}, "لأن الجراحين متعبان"),
        (Entity("teacher", 0), PAST, True, {}, "نظرا إلى أن المعلمين لم يكونوا مرهقين"),
        (Entity("teacher", 0), PRESENT, True, {}, "نظرا إلى أن المعلمين ليسوا مرهقين"),
        (Entity("teacher", 0), PRESENT, True, {"plain": True}, "لأن المدرسين غير متعبين"),
        (Entity("teacher", 0), PAST, True, {"plain": True}, "لأن المدرسين ما كانوا متعبين"),
        (Entity("car", 0), PRESENT, True, {}, "نظرا إلى أن المركبات ليست مرهقة"),
        (Entity("car", 2), FUTURE, False, {}, "نظرا إلى أن المركبتين سوف تكونان مرهقتين"),
    ],
)
def test_a_reason_has_its_subject_in_the_accusative_and_no_verb_for_is(subject, tense, negated, draws, clause):
    reason = Clause("be", subject, tense, predicate="tired", negated=negated)
    assert say(Clause("wait", DOCTOR, PAST), reason, **draws).partition(" ")[2].split(" ", 1)[1] == clause + "."


def test_a_reason_about_the_same_subject_has_an_attached_pronoun_and_comes_first_or_last():
    main, reason = Clause("wait", NURSE, PAST), Clause("be", NURSE, PAST, predicate="tired", same_subject=True)
    assert say(main, reason, plain=True) == "انتظرت الممرضة لأنها كانت متعبة."
    assert say(main, reason, subordinate_first=True) == "نظرا إلى أنها كانت مرهقة، انتظرت الممرضة."
    nurses = Entity("nurse", 0)
    main = Clause("wait", nurses, PRESENT)
    reason = Clause("be", nurses, PRESENT, predicate="tired", same_subject=True)
    assert say(main, reason, plain=True, subject_first=True) == "الممرضات ينتظرن لأنهن متعبات."


@pytest.mark.parametrize(
    ("conjunction", "tense", "draws", "sentence"),
    [
        ("when", PAST, {}, "انتظر الأطباء حين عالجت الممرضة المريض."),
        ("when", FUTURE, {"plain": True}, "سينتظر الدكاترة عندما تداوي الممرضة المريض."),
        ("after", PAST, {}, "انتظر الأطباء بعد أن عالجت الممرضة المريض."),
        ("before", PAST, {}, "انتظر الأطباء قبل أن تعالج الممرضة المريض."),
        ("before", FUTURE, {"subordinate_first": True}, "قبل أن تعالج الممرضة المريض، سوف ينتظر الأطباء."),
    ],
)
def test_temporal_clauses(conjunction, tense, draws, sentence):
    main, clause = Clause("wait", Entity("doctor", 0), tense), treat(PATIENT, NURSE, tense)
    assert say(main, moment=(conjunction, clause), **draws) == sentence


def test_a_temporal_clause_about_the_same_subject_agrees_in_full_and_has_the_subjunctive_only_after_an():
    doctors = Entity("doctor", 0)
    main, clause = Clause("wait", doctors, FUTURE), treat(PATIENT, doctors, FUTURE, same_subject=True)
    assert say(main, moment=("before", clause)) == "سوف ينتظر الأطباء قبل أن يعالجوا المريض."
    assert say(main, moment=("after", clause)) == "سوف ينتظر الأطباء بعد أن يعالجوا المريض."
    assert say(main, moment=("after", clause), plain=True) == "سينتظر الدكاترة بعدما يداوون المريض."


def test_what_could_be_taken_for_the_unsaid_subject_follows_a_verbal_noun():
    def call(*objects, subject=DOCTOR):
        main = Clause("wait", subject, PAST)
        return [
            say(main, addition=("and", Clause("call", subject, PAST, thing, same_subject=True))) for thing in objects
        ]

    assert call(SURGEON, NURSE, Entity("surgeon", definite=False), Entity("surgeon", 0)) == [
        "انتظر الطبيب وقام باستدعاء الجراح.",
        "انتظر الطبيب واستدعى الممرضة.",
        "انتظر الطبيب واستدعى جراحا.",
        "انتظر الطبيب واستدعى الجراحين.",
    ]
    assert call(SURGEON, subject=Entity("doctor", 0)) == ["انتظر الأطباء واستدعوا الجراح."]


def test_an_indefinite_subject_with_a_clause_of_its_own_follows_the_verb_even_after_a_particle():
    teacher = Entity("teacher", 1, False, relative=Clause("read", None, PAST, Entity("book")))
    assert say(Clause("wait", DOCTOR, PAST), reason=sleep(teacher), plain=True) == (
        "انتظر الدكتور لأنه نام في غرفة المرضى مدرس قرأ الكتاب."
    )


def test_coordination():
    main, doctors = Clause("wait", Entity("doctor", 0), PAST), Entity("doctor", 0)
    same = Clause("sleep", doctors, PAST, same_subject=True, negated=True)
    assert say(main, addition=("and", same)) == "انتظر الأطباء ولم يرقدوا."
    assert say(main, addition=("but", same)) == "انتظر الأطباء، غير أنهم لم يرقدوا."
    other = Clause("sleep", Entity("teacher", 0), PAST)
    assert say(main, addition=("and", other)) == "انتظر الأطباء، ورقد المعلمون."
    assert say(main, addition=("and", other), plain=True, subject_first=True) == "الدكاترة انتظروا، والمدرسون ناموا."
    assert say(main, addition=("but", other), plain=True) == "انتظر الدكاترة، لكن المدرسين ناموا."


def test_the_preposition_l_is_attached_and_merges_with_the_article():
    def pay(noun, definite=True):
        return say(Clause("pay", Entity("driver"), PAST, Entity(noun, definite=definite), negated=True), plain=True)

    assert pay("mechanic") == "ما دفع السائق للميكانيكي."
    assert pay("thief") == "ما دفع السائق للص."
    assert pay("mechanic", definite=False) == "ما دفع السائق لميكانيكي."
    assert pay("invoice") == "ما دفع السائق الفاتورة."


def test_not_any():
    clause = Clause("find", DOCTOR, PAST, Entity("teacher", 0, False), negated=True)
    assert say(clause) == "لم يعثر الطبيب على أي معلمين."
    assert say(clause, plain=True) == "ما وجد الدكتور أي مدرسين."


def test_the_time_is_fronted_or_else_the_place_and_the_verb_follows():
    clause = sleep(PATIENT, time="yesterday")
    assert say(clause, subject_first=True) == "إن المريض رقد في الجناح أمس."
    assert say(clause, subject_first=True, fronted=True) == "أمس رقد المريض في الجناح."
    assert say(dataclasses.replace(clause, time=None), fronted=True) == "في الجناح رقد المريض."


def test_generated_sentences_are_tidy_and_of_4_to_50_words():
    for sentence in sentences("ar", "train", 2000, 1):
        assert sentence.endswith(".") and sentence.count(".") == 1
        assert "  " not in sentence and " ،" not in sentence and "،،" not in sentence and "،." not in sentence
        assert set(sentence) <= set("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي ،.")
        assert 4 <= len(sentence.split()) <= 50, sentence


def test_both_registers_occur_and_do_not_mix():
    generated = list(sentences("ar", "train", 2000, 1))
    for sign in ("سوف ", "لم ", "نظرا ", " ما ", "لأن", " من قبل ", "إن ", "لقد "):
        assert sum(sign in f" {sentence}" for sentence in generated) > 10, sign
    assert not [sentence for sentence in generated if "نظرا إلى" in sentence and " لأن" in sentence]
