"""Korean: verb-final clauses, particles chosen by sound, counters, endings joined to stems by jamo arithmetic."""

import random
import re
from dataclasses import dataclass

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PAST, Clause, Entity, Meaning

FIELDS: dict[str, tuple[str, ...]] = {"nouns": ("form", "counter")}
FIELDS |= dict.fromkeys(("places", "verbs", "adjectives", "manners", "times", "numerals"), ("form",))

FORMAL, COLLOQUIAL = 0, 1
# Where the subordinate clauses stand: before the topic, between topic and verb, or (a reason only) at the very end.
FIRST, INSIDE, LAST = "first", "inside", "last"

VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
# What can close a syllable; the blank: nothing.
FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
CONTRACTIONS = {"ㅗ": "ㅘ", "ㅜ": "ㅝ", "ㅣ": "ㅕ", **{vowel: vowel for vowel in "ㅏㅓㅕㅐㅔ"}}


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """The meaning as a Korean sentence. Four draws whatever it is: register, clause order, fronting, passive."""
    register = COLLOQUIAL if rng.random() < SECOND_REGISTER else FORMAL
    position = rng.random()
    order = FIRST if position < 0.35 else INSIDE if position < 0.7 else LAST
    fronted, passive = rng.random() < 0.35, rng.random() < 0.2
    return _Sentence(lexicon, register, meaning, passive).text(order, fronted)


def _code(word: str) -> int:
    return ord(word[-1]) - ord("가")


def _final(word: str) -> str:
    return FINALS[_code(word) % 28]


def _with_final(word: str, final: str) -> str:
    return word[:-1] + chr(ord(word[-1]) - _code(word) % 28 + FINALS.index(final))


def _with_vowel(word: str, vowel: str) -> str:
    return word[:-1] + chr(ord(word[-1]) - _code(word) % 588 + 28 * VOWELS.index(vowel))


def _vowel(word: str) -> str:
    return VOWELS[_code(word) % 588 // 28]


def _harmonic(word: str, bright: str, dark: str) -> str:
    """Which of two endings goes with the last vowel of a word, which may also be none ("머리에 " before 쓰)."""
    return bright if word.rstrip() == word != "" and _vowel(word) in "ㅏㅑㅗ" else dark


def _particle(word: str, pair: str) -> str:
    """The word with the first particle of a pair like 은/는 after a consonant and the second after a vowel."""
    closed, _, opened = pair.partition("/")
    return word + (opened if opened and _final(word) == " " else closed)


@dataclass(frozen=True)
class Stem:
    """What endings are joined to; irregular: its last consonant (ㅂ ㄷ ㅅ) if that changes before a vowel."""

    text: str
    irregular: str = ""

    @classmethod
    def of(cls, entry: Variant, field: str = "form") -> "Stem":
        return cls(entry[field].removesuffix("다"), entry.get("irregular", "") if field == "form" else "")

    @property
    def changed(self) -> str:
        """What is left of an irregular stem before a vowel: 무거 of 무겁, 물 of 묻."""
        return _with_final(self.text, "ㄹ" if self.irregular == "ㄷ" else " ")

    def joined(self, ending: str) -> str:
        """With an ending that begins with ㄴ, before which ㄹ falls: 팔다, 파는."""
        return (_with_final(self.text, " ") if _final(self.text) == "ㄹ" else self.text) + ending

    def linked(self, ending: str) -> str:
        """With an ending that 으 links to consonants; its first letter may close the last syllable: 간, 읽은."""
        stem = self.text
        if self.irregular:
            stem = self.changed + ("우" if self.irregular == "ㅂ" else "으")
        elif _final(stem) not in " ㄹ":
            stem += "으"
        return _with_final(stem, ending[0]) + ending[1:] if ending[0] in FINALS else Stem(stem).joined(ending)

    def infinitive(self) -> str:
        """The form in 아 or 어, contracted: 해, 와, 써, 불러, 도와."""
        stem = self.text
        if self.irregular == "ㅂ":
            return self.changed + ("와" if stem.endswith("돕") else "워")
        if self.irregular:
            return self.changed + _harmonic(stem, "아", "어")
        if stem.endswith("하"):
            return stem[:-1] + "해"
        if stem.endswith("르"):
            return _with_final(stem[:-1], "ㄹ") + _harmonic(stem[:-1], "라", "러")
        if _final(stem) != " ":
            return stem + ("어" if _final(stem) == "ㅆ" else _harmonic(stem, "아", "어"))
        if _vowel(stem) == "ㅡ":
            return _with_vowel(stem, _harmonic(stem[:-1], "ㅏ", "ㅓ"))
        if _vowel(stem) not in CONTRACTIONS or stem.endswith("아니"):
            return stem + "어"
        return _with_vowel(stem, CONTRACTIONS[_vowel(stem)])

    def past(self) -> "Stem":
        return Stem(_with_final(self.infinitive(), "ㅆ"))

    def declarative(self) -> str:
        """The form in 습니다."""
        return self.text + "습니다" if _final(self.text) not in " ㄹ" else _with_final(self.text, "ㅂ") + "니다"


@dataclass(frozen=True)
class Predicate:
    """The end of a clause. descriptive: an adjective; result: a verb that says by its past how things are now."""

    stem: Stem
    tense: str
    register: int
    descriptive: bool = False
    result: bool = False

    @property
    def base(self) -> Stem:
        """The stem with its tense."""
        if self.tense == FUTURE:
            return Stem(self.stem.linked("ㄹ") + (" 거" if self.register else " 것이"))
        return self.stem.past() if self.tense == PAST or self.result else self.stem

    def final(self) -> str:
        if self.register == FORMAL:
            return self.base.declarative()
        return self.base.text + "예요" if self.tense == FUTURE else self.base.infinitive() + "요"

    def adnominal(self) -> str:
        if self.tense == FUTURE:
            return self.stem.linked("ㄹ")
        if self.descriptive and self.tense == PAST and not self.result:
            return self.stem.past().text + "던"
        if self.tense == PAST or (self.descriptive and self.stem.text[-1] not in "있없"):
            return self.stem.linked("ㄴ")
        return self.stem.joined("는")

    def coordinate(self, conjunction: str, shared: bool) -> str:
        """Before a second main clause; shared: both have one subject, so who speaks marks the tense only once."""
        if conjunction == "but":
            return self.stem.text + "겠지만" if self.tense == FUTURE else self.base.text + "지만"
        return (self.stem if shared and self.register == COLLOQUIAL else self.base).text + "고"

    def subordinate(self, conjunction: str) -> str:
        if conjunction == "when":
            return (self.base if self.tense == PAST else self.stem).linked("ㄹ 때")
        if conjunction == "before":
            return self.stem.text + "기 전에"
        if conjunction == "after":
            return self.stem.linked("ㄴ 다음에" if self.register else "ㄴ 후에")
        if self.register == FORMAL:
            return self.base.text + "기 때문에"
        # -아서 of what somebody does would mean that it merely came first.
        return self.stem.infinitive() + "서" if self.descriptive else self.base.linked("니까")


class _Sentence:
    """One sentence in one register. A noun is described where it is said first, and is `그` and the noun after that.

    leader: the grammatical subject of the main clause, which other clauses leave out.
    """

    def __init__(self, lexicon: Lexicon, register: int, meaning: Meaning, passive: bool) -> None:
        self.lexicon, self.register, self.meaning = lexicon, register, meaning
        main, pairs = meaning.main, (("because", meaning.reason), meaning.moment, meaning.addition)
        others = [pair[1] for pair in pairs if pair and pair[1]]
        self.passive = passive and self.has_passive(main) and not any(clause.same_subject for clause in others)
        self.leader = main.object if self.passive else main.subject
        # Of a sentence without other clauses, whose subjects one could take it for.
        can_lead = not others and not self.passive and main.object and main.object.definite
        self.object_is_topic = bool(can_lead and "particle" not in self.verb(main))
        self.described: dict[str, Entity] = {}
        for clause in (main, *others):
            self.describe(clause)
        self.mentioned: set[str] = set()

    def describe(self, clause: Clause) -> None:
        for entity in filter(None, (clause.subject, clause.object)):
            if entity.noun not in self.described:
                self.described[entity.noun] = entity
                if entity.relative:
                    self.describe(entity.relative)

    def word(self, section: str, concept: str) -> Variant:
        variants = self.lexicon[section][concept]
        return variants[self.register % len(variants)]

    def verb(self, clause: Clause) -> Variant:
        specific = f"{clause.verb}_{clause.object.noun}" if clause.object else ""
        return self.word("verbs", specific if specific in self.lexicon["verbs"] else clause.verb)

    def has_passive(self, clause: Clause) -> bool:
        """A manner would seem to be that of the new subject, and 에 의해 is not said colloquially."""
        if not clause.object or not clause.object.definite or clause.manner:
            return False
        return "passive" in self.verb(clause) and (self.register == FORMAL or "agent" in self.verb(clause))

    def text(self, order: str, fronted: bool) -> str:
        main, reason = self.meaning.main, self.meaning.reason
        moment, addition = self.meaning.moment, self.meaning.addition
        # "It is because … that …": not said of what is still to come, nor if another main clause follows.
        cleft = bool(order == LAST and reason and not addition and main.tense != FUTURE)
        clauses = [moment] if moment else []
        if reason and not cleft:
            clauses.insert(order == FIRST, ("because", reason))
        # Of two clauses one stands in front, and each does whose subject would come next to another one in 이/가.
        first = clauses[:1] if order == FIRST or len(clauses) == 2 else []
        nominative = cleft or not self.described[self.leader.noun].definite
        before = [pair for pair in clauses if pair in first or (nominative and not self.is_led(pair[1]))]
        inside = [pair for pair in clauses if pair not in before]
        words = [self.subordinate(*pair) + "," for pair in before]
        words += self.main(fronted and not before, cleft, inside)
        predicate = self.predicate(main, self.passive)
        if cleft:
            words += [predicate.adnominal(), "건" if self.register else "것은", *self.parts(reason)]
            words.append(self.predicate(reason).base.text + "기")
            words.append("때문이에요" if self.register else "때문입니다")
        elif addition:
            conjunction, clause = addition
            same, denied = self.is_led(clause), main.negated or clause.negated
            words.append(predicate.coordinate(conjunction, same and not denied) + "," * (not same))
            words += [*self.parts(clause, topic=True), self.predicate(clause).final()]
        else:
            words.append(predicate.final())
        return " ".join(filter(None, words)) + "."

    def is_led(self, clause: Clause) -> bool:
        """Whether the main clause's subject is that of the clause, which then leaves it out."""
        return clause.subject is None or clause.subject.noun == self.leader.noun

    def main(self, fronted: bool, cleft: bool, inside: list[tuple[str, Clause]]) -> list[str]:
        """The main clause but its verb, with its time, place or (where it has neither) its object in front."""
        main, leader = self.meaning.main, self.leader
        setting = self.adverbs(times=main.time, places=main.place)
        front = setting.pop(0) if fronted and setting else ""
        if fronted and not front and self.object_is_topic:
            topic = self.subject(main.object, leading=True, topic=True)
            return [topic, self.subject(leader), *self.adverbs(manners=main.manner)]
        # The comma keeps a time or a place out of the relative clause behind it.
        comma = "," if front and leader.relative else ""
        words = [front + comma, self.subject(leader, leading=True, topic=not cleft)]
        words += [self.subordinate(*clause) for clause in inside]
        return words + self.rest(main, setting, self.passive)

    def subordinate(self, conjunction: str, clause: Clause) -> str:
        return " ".join([*self.parts(clause), self.predicate(clause).subordinate(conjunction)])

    def parts(self, clause: Clause, topic: bool = False) -> list[str]:
        """A clause but its verb, without its subject if the sentence has that already."""
        subject = [] if self.is_led(clause) else [self.subject(clause.subject, topic=topic)]
        return subject + self.rest(clause, self.adverbs(times=clause.time, places=clause.place))

    def rest(self, clause: Clause, setting: list[str], passive: bool = False) -> list[str]:
        """What stands between subject and verb."""
        entity = clause.subject if passive else clause.object
        manner = self.adverbs(manners=clause.manner)
        if entity is None:
            return [*setting, *manner]
        verb = self.verb(clause)
        particle = verb.get("agent", "에 의해") if passive else verb.get("particle", "을/를")
        if particle == "에게" and self.register == COLLOQUIAL:
            particle = "한테"
        heavy = entity.noun not in self.mentioned and self.described[entity.noun].relative
        phrase = _particle(self.phrase(entity, negated=clause.negated and not passive), particle)
        # Time and place after a relative clause, which would seem to be theirs if they stood before it.
        return [phrase, *setting, *manner] if heavy else [*setting, phrase, *manner]

    def adverbs(self, **concepts: str | None) -> list[str]:
        return [self.word(section, concept)["form"] for section, concept in concepts.items() if concept]

    def predicate(self, clause: Clause, passive: bool = False) -> Predicate:
        if clause.predicate:
            entry = self.word("adjectives", clause.predicate)
            field = "negative" if clause.negated and "negative" in entry else "form"
        else:
            entry, field = self.verb(clause), "passive" if passive else "form"
        stem = Stem.of(entry, field)
        if clause.negated and field != "negative":
            stem = self.negative(stem, formal=bool(self.register == FORMAL or clause.predicate))
        return Predicate(stem, clause.tense, self.register, bool(clause.predicate), "result" in entry)

    def negative(self, stem: Stem, formal: bool) -> Stem:
        """-지 않다, colloquially 안 before the last word of a verb, which parts a noun from its 하다: 설명 안 해요."""
        if formal:
            return Stem(stem.text + "지 않")
        head, last = re.fullmatch(r"(.*\S(?=하$)|.* |)(\S+)", stem.text).groups()
        return Stem(f"{head.rstrip()} 안 {last}".lstrip(), stem.irregular)

    def subject(self, entity: Entity, leading: bool = False, topic: bool = False) -> str:
        definite = entity.noun in self.mentioned or self.described[entity.noun].definite
        return _particle(self.phrase(entity, leading), "은/는" if topic and definite else "이/가")

    def phrase(self, entity: Entity, leading: bool = False, negated: bool = False) -> str:
        """Relative clause, 그, adjective, noun and count. leading: what the sentence is about, which is never bare."""
        known = entity.noun in self.mentioned
        if known:
            entity = Entity(entity.noun, 0 if entity.plural else 1)
        else:
            self.mentioned.add(entity.noun)
            entity = self.described[entity.noun]
        noun = self.word("nouns", entity.noun)
        thing = noun["counter"] not in ("명", "마리")
        words = []
        if entity.relative:
            words += [*self.parts(entity.relative), self.predicate(entity.relative).adnominal()]
        adjective = self.attribute(entity.adjective, thing) if entity.adjective else ""
        if entity.definite:
            determiner = "그" if known or leading or entity.number > 1 or (entity.plural and thing) else ""
        else:
            determiner = "어떤" if leading and entity.number == 0 else ""
        # 그 젊은 의사, but what is a clause rather than a word stands before 그: 나이가 많은 그 의사.
        words += [adjective, determiner] if " " in adjective else [determiner, adjective]
        words.append(noun["form"] + "들" * (entity.number == 0))
        # "A patient" is 환자 한 명, but nobody at all is denied by the bare noun.
        if entity.number > 1 or (entity.number == 1 and not entity.definite and not negated):
            words += [self.word("numerals", str(entity.number))["form"], noun["counter"]]
        return " ".join(filter(None, words))

    def attribute(self, concept: str, thing: bool) -> str:
        if thing and f"{concept}_thing" in self.lexicon["adjectives"]:
            concept += "_thing"
        entry = self.word("adjectives", concept)
        return entry.get("adnominal") or Predicate(Stem.of(entry), "", self.register, descriptive=True).adnominal()
