"""Japanese in the phrasebook: each rule of its grammar on a sentence that a reader can judge."""

import random
import re

import pytest

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.generate import LEXICONS, sentences
from xlmd.data.phrasebook.grammars import ja as japanese
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

LEXICON = load(LEXICONS / "ja.yaml", japanese.FIELDS)
CONCEPTS = sampler.load_concepts(LEXICONS / "meanings.yaml")

DOCTOR, NURSE, PATIENT, WOUND = Entity("doctor"), Entity("nurse"), Entity("patient"), Entity("wound")
ILL = Clause("be", PATIENT, PAST, predicate="ill")
ORDERS = {"subordinate first": 0.1, "topic first": 0.5, "cleft": 0.9}


class Draws(random.Random):
    """The sentence's choices instead of chance, in the order in which they are drawn."""

    def __init__(self, colloquial=False, order="subordinate first", fronted=False, passive=False, floating=False):
        super().__init__()
        chosen = (0.0 if yes else 0.9 for yes in (fronted, passive, floating))
        self.draws = [0.9 if colloquial else 0.1, ORDERS[order], *chosen]

    def random(self):
        return self.draws.pop(0)


def say(main, reason=None, moment=None, addition=None, **draws):
    return japanese.render(Meaning("hospital", main, reason, moment, addition), LEXICON, Draws(**draws))


def treat(object, subject=DOCTOR, tense=PAST, **more):
    return Clause("treat", subject, tense, object, **more)


# The lexicon


def test_the_lexicon_has_a_word_for_every_concept():
    check_complete(LEXICON, CONCEPTS.sections(), LEXICONS / "ja.yaml")


@pytest.mark.parametrize("register", [0, 1])
def test_no_two_concepts_of_a_section_share_a_word(register):
    for section, names in CONCEPTS.sections().items():
        words = [LEXICON[section][name][register % len(LEXICON[section][name])]["word"] for name in names]
        assert len(set(words)) == len(words), sorted(word for word in words if words.count(word) > 1)


def test_words_have_a_known_kind_and_the_ending_that_it_asks_for():
    endings = {"godan": tuple("うくぐすつぬぶむる"), "ichidan": "る", "suru": "する", "su": "する"}
    for section, kinds in (("verbs", endings), ("adjectives", {"i": "い", "na": "", "no": "", "state": ("て", "で")})):
        for concept, variants in LEXICON[section].items():
            for word in variants:
                assert word["word"].endswith(kinds[word["kind"]]), concept
    for concept, variants in LEXICON["nouns"].items():
        assert {noun["kind"] for noun in variants} <= {"person", "animal", "thing"}, concept
        assert all((noun["kind"] == "person") == (noun["counter"] == "人") for noun in variants), concept


def test_optional_fields_are_spelled_correctly_and_special_words_belong_to_a_concept():
    known = {
        "verbs": {"word", "kind", "object", "place", "passive", "aspect"},
        "manners": {"word", "early", "willing", "negated"},
        "times": {"word", "future"},
    }
    for section, entries in LEXICON.items():
        for variants in entries.values():
            assert all(variant.keys() <= known.get(section, set(japanese.FIELDS[section])) for variant in variants)
    specific = {*CONCEPTS.sections()["nouns"], "person", "animal", "thing"}
    for section in ("verbs", "adjectives"):
        concepts = CONCEPTS.sections()[section]
        for name in LEXICON[section].keys() - concepts:
            assert name.partition("_")[0] in concepts and name.partition("_")[2] in specific, name


# Verbs


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("eat", ("食べる", "食べた", "食べない", "食べなかった", "食べられる")),
        ("read", ("読む", "読んだ", "読まない", "読まなかった", "読まれる")),
        ("write", ("書く", "書いた", "書かない", "書かなかった", "書かれる")),
        ("hide", ("隠す", "隠した", "隠さない", "隠さなかった", "隠される")),
        ("buy", ("買う", "買った", "買わない", "買わなかった", "買われる")),
        ("call", ("呼ぶ", "呼んだ", "呼ばない", "呼ばなかった", "呼ばれる")),
        ("sell", ("売る", "売った", "売らない", "売らなかった", "売られる")),
        ("wait", ("待つ", "待った", "待たない", "待たなかった", "待たれる")),
        ("treat", ("手当てする", "手当てした", "手当てしない", "手当てしなかった", "手当てされる")),
        ("love", ("愛する", "愛した", "愛さない", "愛さなかった", "愛される")),
        ("bring", ("持って来る", "持って来た", "持って来ない", "持って来なかった", "持って来られる")),
    ],
)
def test_verbs_are_conjugated_by_class(verb, forms):
    entry = LEXICON["verbs"][verb][-1]
    word = japanese._Predicate(entry["word"], entry["kind"])
    plain = [word.plain(past, negated, 1) for negated in (False, True) for past in (False, True)]
    assert (*plain, word.passive().text) == forms


@pytest.mark.parametrize(
    ("tense", "negated", "formal", "colloquial"),
    [
        (PAST, False, "患者は質問を読みました。", "患者は質問を読んだ。"),
        (PAST, True, "患者は質問を読みませんでした。", "患者は質問を読まなかった。"),
        (PRESENT, False, "患者は質問を読みます。", "患者は質問を読む。"),
        (PRESENT, True, "患者は質問を読みません。", "患者は質問を読まない。"),
        (FUTURE, False, "患者は質問を読むでしょう。", "患者は質問を読むだろう。"),
        (FUTURE, True, "患者は質問を読まないでしょう。", "患者は質問を読まないだろう。"),
    ],
)
def test_the_register_decides_words_and_politeness(tense, negated, formal, colloquial):
    clause = Clause("read", PATIENT, tense, Entity("question"), negated=negated)
    assert say(clause) == formal.replace("質問", "問い")
    assert say(clause, colloquial=True) == colloquial


def test_a_time_that_lies_in_the_future_makes_darou_superfluous():
    assert say(treat(PATIENT, tense=FUTURE, time="tomorrow")) == "医師は明日、患者を治療します。"
    assert say(treat(PATIENT, tense=FUTURE, time="today")) == "医師は本日、患者を治療するでしょう。"


@pytest.mark.parametrize(
    ("verb", "thing", "tense", "sentence"),
    [
        ("wait", None, PRESENT, "女王様は待っている。"),
        ("wait", None, PAST, "女王様は待った。"),
        ("love", "king", PRESENT, "女王様は王様を愛している。"),
        ("love", "king", PAST, "女王様は王様を愛していた。"),
        ("wear", "crown", PAST, "女王様は冠をかぶっていた。"),
        ("wear", "costume", PAST, "女王様はコスチュームを着ていた。"),
        ("wear", "costume", FUTURE, "女王様はコスチュームを着るだろう。"),
    ],
)
def test_what_lasts_is_said_with_te_iru(verb, thing, tense, sentence):
    assert say(Clause(verb, Entity("queen"), tense, thing and Entity(thing)), colloquial=True) == sentence


@pytest.mark.parametrize(
    ("noun", "predicate", "tense", "negated", "formal", "colloquial"),
    [
        ("soup", "sweet", PAST, False, "スープは甘かったです。", "スープは甘かった。"),
        ("soup", "sweet", PRESENT, True, "スープは甘くないです。", "スープは甘くない。"),
        ("soup", "important", PRESENT, False, "スープは重要です。", "スープは大事だ。"),
        ("soup", "important", PAST, False, "スープは重要でした。", "スープは大事だった。"),
        ("soup", "fresh", PAST, True, "スープはできたてではなかったです。", "スープはできたてじゃなかった。"),
        ("king", "sad", PAST, False, "国王は悲しんでいました。", "王様はしょんぼりしていた。"),
        ("play", "sad", PRESENT, False, "劇は悲しいです。", "芝居は悲しい。"),
    ],
)
def test_predicate_adjectives(noun, predicate, tense, negated, formal, colloquial):
    clause = Clause("be", Entity(noun), tense, predicate=predicate, negated=negated)
    assert (say(clause), say(clause, colloquial=True)) == (formal, colloquial)


# Noun phrases


@pytest.mark.parametrize(
    ("entity", "subject"),
    [
        (Entity("patient"), "患者は"),
        (Entity("patient", definite=False), "患者が"),
        (Entity("patient", 0), "患者たちは"),
        (Entity("patient", 0, definite=False), "何人かの患者が"),
        (Entity("patient", 3), "その三人の患者は"),
        (Entity("patient", 3, definite=False), "三人の患者が"),
        (Entity("patient", adjective="young"), "若い患者は"),
        (Entity("patient", 2, adjective="experienced"), "その二人の経験豊富な患者は"),
        (Entity("patient", adjective="tired"), "疲れた患者は"),
        (Entity("patient", adjective="old"), "高齢の患者は"),
        (Entity("patient", 2, False, relative=Clause("be", None, PAST, predicate="ill")), "病気だった二人の患者が"),
        (Entity("patient", relative=Clause("be", None, PRESENT, predicate="ill")), "病気の患者は"),
        (Entity("patient", relative=Clause("be", None, PRESENT, predicate="tired")), "疲れている患者は"),
        (
            Entity("patient", relative=Clause("read", None, PAST, Entity("letter", 2, False))),
            "二通の書簡を読んだ患者は",
        ),
        (Entity("horse", 4), "その四頭の馬は"),
        (Entity("horse", 0), "馬は"),
    ],
)
def test_what_describes_a_noun_precedes_it_and_wa_marks_what_is_definite(entity, subject):
    assert say(Clause("sleep", entity, PAST)) == subject + "眠りました。"


@pytest.mark.parametrize(
    ("noun", "number", "phrase", "floating"),
    [
        ("book", 2, "二冊の書籍を", "書籍を二冊"),
        ("letter", 3, "三通の書簡を", "書簡を三通"),
        ("horse", 4, "四頭の馬を", "馬を四頭"),
        ("fish", 5, "五匹の魚を", "魚を五匹"),
        ("ticket", 0, "何枚かの入場券を", "入場券を何枚か"),
        ("crown", 0, "いくつかの王冠を", "王冠をいくつか"),
        ("crown", 2, "二つの王冠を", "王冠を二つ"),
    ],
)
def test_counters_go_by_the_noun_and_stand_before_or_behind_it(noun, number, phrase, floating):
    clause = Clause("find", DOCTOR, PAST, Entity(noun, number, False))
    assert say(clause) == f"医師は{phrase}発見しました。"
    assert say(clause, floating=True) == f"医師は{floating}発見しました。"


def test_a_count_floats_only_off_an_indefinite_direct_object_that_is_not_denied():
    assert say(treat(Entity("patient", 2)), floating=True) == "医師はその二人の患者を治療しました。"
    assert (
        say(treat(Entity("patient", 2, False), negated=True), floating=True) == "医師は二人の患者を治療しませんでした。"
    )
    assert say(treat(Entity("patient", 0, False), negated=True), floating=True) == "医師は患者を治療しませんでした。"
    answer = Clause("answer", DOCTOR, PAST, Entity("question", 2, False))
    assert say(answer, floating=True) == "医師は二つの問いに回答しました。"
    hurried = treat(Entity("wound", 2, False), manner="carefully")
    assert say(hurried, floating=True) == "医師は傷を二か所、慎重に治療しました。"


def test_what_is_old_or_fresh_depends_on_the_noun():
    clause = Clause("hide", Entity("king", adjective="old"), PAST, Entity("sword", adjective="old"))
    assert say(clause, colloquial=True) == "年老いた王様は古い剣を隠した。"
    clause = Clause("eat", PATIENT, PAST, Entity("bread", adjective="fresh"))
    assert say(clause, colloquial=True) == "患者は焼きたてのパンを食べた。"


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        (Clause("feed", DOCTOR, PAST, Entity("horse")), "医者は馬に餌をやった。"),
        (Clause("ask", DOCTOR, PAST, Entity("guide")), "医者はガイドに尋ねた。"),
        (Clause("pay", DOCTOR, PAST, Entity("invoice")), "医者は請求書を払った。"),
        (Clause("pay", DOCTOR, PAST, Entity("mechanic")), "医者は修理工にお金を払った。"),
        (Clause("find", DOCTOR, PAST, Entity("sword"), place="castle"), "医者はお城で剣を見つけた。"),
        (Clause("hide", DOCTOR, PAST, Entity("sword"), place="castle"), "医者はお城に剣を隠した。"),
    ],
)
def test_verbs_choose_the_particles_of_object_and_place(clause, sentence):
    assert say(clause, colloquial=True) == sentence


def test_adverbs_stand_before_the_verb_but_often_and_gladly_before_the_object():
    assert say(treat(PATIENT, manner="carefully")) == "医師は患者を慎重に治療しました。"
    assert say(treat(PATIENT, manner="often")) == "医師はしばしば患者を治療しました。"
    assert say(treat(PATIENT, manner="often", negated=True)) == "医師は患者をあまり治療しませんでした。"
    tired = Entity("patient", relative=Clause("be", None, PAST, predicate="tired"))
    assert say(treat(tired, manner="gladly")) == "医師は、疲れていた患者を喜んで治療しました。"


def test_time_or_else_place_stands_before_the_topic_if_fronted():
    clause = treat(PATIENT, time="yesterday", place="hospital")
    assert say(clause) == "医師は昨日、病院で患者を治療しました。"
    assert say(clause, fronted=True) == "昨日、医師は病院で患者を治療しました。"
    assert say(treat(PATIENT, place="hospital"), fronted=True) == "病院で、医師は患者を治療しました。"
    assert say(treat(PATIENT, time="on_monday")) == "医師は月曜日に患者を治療しました。"


def test_a_comma_keeps_what_precedes_out_of_a_relative_clause():
    tired = Entity("patient", relative=Clause("be", None, PAST, predicate="tired"))
    assert say(treat(tired, time="yesterday", place="hospital")) == "医師は昨日、病院で、疲れていた患者を治療しました。"

    subject = Entity("doctor", relative=Clause("be", None, PAST, predicate="tired"))
    sentence = "疲れていた医師は昨日、患者を治療しました。"
    assert say(treat(PATIENT, subject, time="yesterday"), fronted=True) == sentence


# Passives


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        (treat(PATIENT), "患者は医師に治療されました。"),
        (treat(WOUND), "傷は医師によって治療されました。"),
        (treat(Entity("patient", 0), tense=FUTURE, negated=True), "患者たちは医師に治療されないでしょう。"),
        (treat(Entity("patient", definite=False)), "医師は患者を治療しました。"),
        (Clause("love", DOCTOR, PAST, NURSE), "看護師は医師に愛されていました。"),
        (Clause("feed", DOCTOR, PAST, Entity("horse")), "馬は医師によって餌を与えられました。"),
        (Clause("answer", DOCTOR, PAST, Entity("question")), "医師は問いに回答しました。"),
        (Clause("wear", DOCTOR, PAST, Entity("crown")), "医師は王冠を戴いていました。"),
        (treat(PATIENT, manner="gladly"), "医師は喜んで患者を治療しました。"),
    ],
)
def test_passives_have_ni_or_ni_yotte_and_some_sentences_have_none(clause, sentence):
    assert say(clause, passive=True) == sentence


def test_a_passive_with_a_numeral_and_relative_clauses():
    clause = treat(
        Entity("patient", 3, True, "young", Clause("be", None, PAST, predicate="ill")),
        subject=Entity("doctor", relative=Clause("be", None, PAST, predicate="tired")),
    )
    sentence = "病気だったその三人の若い患者は、疲れていた医師に治療されました。"
    assert say(clause, passive=True) == sentence


def test_no_passive_if_another_clause_goes_on_about_who_did_it():
    addition = ("and", Clause("sleep", DOCTOR, PAST, same_subject=True))
    assert say(treat(PATIENT), addition=addition, passive=True) == "医師は患者を治療し、眠りました。"
    addition = ("and", Clause("sleep", PATIENT, PAST))
    assert say(treat(PATIENT), addition=addition, passive=True) == "患者は医師に治療され、眠りました。"


# Clauses around the main clause


def test_a_reason_comes_first_or_after_the_topic_or_last():
    main = treat(PATIENT)
    assert say(main, reason=ILL) == "患者が病気だったので、医師はその患者を治療しました。"
    assert say(main, reason=ILL, order="topic first") == "医師は、患者が病気だったので、その患者を治療しました。"
    assert say(main, reason=ILL, order="cleft") == "医師が患者を治療したのは、その患者が病気だったからです。"
    sentence = "医者が患者を手当てしたのは、その患者が病気だったからだ。"
    assert say(main, reason=ILL, order="cleft", colloquial=True) == sentence


def test_the_topic_does_not_precede_a_clause_in_which_it_is_the_object():
    visit = Clause("visit", NURSE, PAST, DOCTOR)
    sentence = "看護師が医師を訪問したので、その医師は眠りました。"
    assert say(Clause("sleep", DOCTOR, PAST), reason=visit, order="topic first") == sentence


def test_a_present_reason_joins_node_with_na_and_kara_with_da():
    ill = Clause("be", PATIENT, PRESENT, predicate="ill")
    main = treat(PATIENT, tense=PRESENT)
    assert say(main, reason=ill) == "患者が病気なので、医師はその患者を治療します。"
    assert say(main, reason=ill, colloquial=True) == "患者が病気だから、医者はその患者を手当てする。"


def test_the_future_and_a_second_main_clause_allow_no_cleft():
    ill = Clause("be", PATIENT, PRESENT, predicate="ill")
    sentence = "患者が病気なので、医師はその患者を治療するでしょう。"
    assert say(treat(PATIENT, tense=FUTURE), reason=ill, order="cleft") == sentence
    sentence = "患者が病気だったので、医師はその患者を治療し、看護師は眠りました。"
    assert say(treat(PATIENT), reason=ILL, addition=("and", Clause("sleep", NURSE, PAST)), order="cleft") == sentence


@pytest.mark.parametrize(
    ("name", "tense", "sentence"),
    [
        ("before", PAST, "看護師が待つ前に、医者は寝た。"),
        ("after", PAST, "看護師が待った後で、医者は寝た。"),
        ("when", PAST, "看護師が待っていたとき、医者は寝た。"),
        ("before", FUTURE, "看護師が待つ前に、医者は寝るだろう。"),
        ("after", FUTURE, "看護師が待った後で、医者は寝るだろう。"),
        ("when", FUTURE, "看護師が待つとき、医者は寝るだろう。"),
        ("after", PRESENT, "看護師が待った後で、医者は寝ている。"),
    ],
)
def test_clauses_of_time_have_relative_tenses(name, tense, sentence):
    main, moment = Clause("sleep", DOCTOR, tense), (name, Clause("wait", NURSE, tense))
    assert say(main, moment=moment, colloquial=True) == sentence


def test_a_shared_subject_goes_unsaid():
    main, moment = treat(PATIENT), ("before", Clause("sleep", DOCTOR, PAST, same_subject=True))
    assert say(main, moment=moment) == "眠る前に、医師は患者を治療しました。"
    assert say(main, moment=moment, order="topic first") == "医師は眠る前に、患者を治療しました。"


def test_a_subject_is_said_before_the_topic_if_another_one_could_be_meant():
    tired = Clause("be", DOCTOR, PAST, predicate="tired", same_subject=True)
    around = {"reason": tired, "moment": ("before", Clause("sleep", NURSE, PAST))}
    main = treat(PATIENT)
    assert say(main, **around) == "医師が疲れていたので、看護師が眠る前に、その医師は患者を治療しました。"
    moment = ("before", Clause("sleep", DOCTOR, PAST, same_subject=True))
    sentence = "患者が病気だったので、医師が眠る前に、その医師はその患者を治療しました。"
    assert say(main, reason=ILL, moment=moment) == sentence
    sentence = "医師は疲れていたので、看護師が眠る前に、患者を治療しました。"
    assert say(main, order="topic first", **around) == sentence


def test_the_first_mention_has_what_describes_a_noun_and_later_ones_have_sono():
    main = treat(Entity("patient", 2, False, "young"))
    reason = Clause("be", Entity("patient", 0), PAST, predicate="ill")
    assert say(main, reason=reason) == "二人の若い患者が病気だったので、医師はその患者たちを治療しました。"
    main = Clause("find", DOCTOR, PAST, Entity("horse", 0, False))
    reason = Clause("be", Entity("horse", 0), PAST, predicate="hungry")
    assert say(main, reason=reason, order="cleft") == "医師が何頭かの馬を発見したのは、それらの馬が空腹だったからです。"


@pytest.mark.parametrize(
    ("conjunction", "negated", "formal", "colloquial"),
    [
        ("and", False, "医師は患者を治療し、眠りました。", "医者は患者を手当てして、寝た。"),
        ("and", True, "医師は患者を治療せず、眠りました。", "医者は患者を手当てしなかったし、寝た。"),
        ("but", False, "医師は患者を治療しましたが、眠りました。", "医者は患者を手当てしたけど、寝た。"),
        ("but", True, "医師は患者を治療しませんでしたが、眠りました。", "医者は患者を手当てしなかったけど、寝た。"),
    ],
)
def test_main_clauses_are_joined_by_their_verb_forms(conjunction, negated, formal, colloquial):
    main = treat(PATIENT, negated=negated)
    addition = (conjunction, Clause("sleep", DOCTOR, PAST, same_subject=True))
    assert say(main, addition=addition) == formal
    assert say(main, addition=addition, colloquial=True) == colloquial


def test_te_iru_is_joined_with_ori_and_orazu_in_the_formal_register():
    addition = ("and", Clause("sleep", NURSE, PRESENT))
    assert say(Clause("wait", DOCTOR, PRESENT), addition=addition) == "医師は待っており、看護師は眠っています。"
    denied = Clause("wait", DOCTOR, PRESENT, negated=True)
    assert say(denied, addition=addition) == "医師は待っておらず、看護師は眠っています。"


# Corpora


def test_generated_sentences_are_tidy():
    for sentence in sentences("ja", "train", 2000, 1):
        assert sentence.endswith("。") and sentence.count("。") == 1
        assert not any(flaw in sentence for flaw in (" ", "、、", "、。", "None", ".", ",")), sentence
        assert not re.search("^、|はは|がが|をを|にに|のの|[はがを]、?。", sentence), sentence


def test_a_sentence_is_of_one_register():
    drawn = list(sentences("ja", "train", 2000, 2))
    formal = [sentence for sentence in drawn if re.search("(です|ます|ました|ません|でした|でしょう)。$", sentence)]
    assert 0.6 < len(formal) / len(drawn) < 0.8
    assert not [sentence for sentence in formal if re.search("けど|から、|後で、", sentence)]
    for sentence in set(drawn) - set(formal):
        assert not re.search("ます|ました|ません|です|でしょう|ので、|際に、", sentence), sentence


def test_five_draws_are_made_whatever_the_meaning_is():
    states = set()
    for number in range(20):
        rng = random.Random(1)
        japanese.render(sampler.sample(CONCEPTS, "train", random.Random(number)), LEXICON, rng)
        states.add(rng.random())
    assert len(states) == 1
