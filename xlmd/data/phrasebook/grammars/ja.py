"""Japanese: verb-final clauses without spaces, conjugated by rule, polite and formal or plain and colloquial."""

import random
import re
from dataclasses import dataclass

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

FIELDS = {
    "nouns": ("word", "kind", "counter"),
    "verbs": ("word", "kind"),
    "adjectives": ("word", "kind"),
    **dict.fromkeys(("places", "manners", "times", "numerals", "conjunctions"), ("word",)),
}

_FORMAL, _COLLOQUIAL = 0, 1

# Of godan verbs: the last syllable -> what stands instead before ない and before ます, and the end of the te-form.
_ROWS = "うわいって くかきいて ぐがぎいで すさしして つたちって ぬなにんで ぶばびんで むまみんで るらりって"
_GODAN = {row[0]: (row[1], row[2], row[3:]) for row in _ROWS.split()}
# (past, negated) -> the polite ending.
_POLITE = {(False, False): "ます", (True, False): "ました", (False, True): "ません", (True, True): "ませんでした"}


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """The meaning as a Japanese sentence. The draws from rng are five whatever the meaning is."""
    register = _FORMAL if rng.random() < 1 - SECOND_REGISTER else _COLLOQUIAL
    order, fronted, passive, floating = rng.random(), rng.random() < 0.35, rng.random() < 0.2, rng.random() < 0.5
    # Subordinate clauses come before the topic, between it and its verb or, of a reason, at the end.
    topic_first, cleft = 0.4 <= order < 0.75, order >= 0.75
    text = _Sentence(lexicon, register, meaning, passive, floating).text(topic_first, cleft, fronted)
    return re.sub("、+", "、", text).lstrip("、") + "。"


@dataclass(frozen=True)
class _Predicate:
    """A word that can end a clause, in its dictionary form.

    kind: godan, ichidan, suru, su (愛する, but 愛さない) or lasting (〜ている) of a verb; i of an adjective; copular of
    an adjective or a noun that だ follows.
    """

    text: str
    kind: str

    @property
    def verbal(self) -> bool:
        return self.kind not in ("i", "copular")

    def stems(self) -> tuple[str, str, str]:
        """Of a verb: what stands before ない, what stands before ます, and the te-form."""
        root = self.text[:-1]
        if self.kind == "godan":
            nai, masu, te = _GODAN[self.text[-1]]
            return root + nai, root + masu, root + te
        if self.kind in ("suru", "su"):
            root = self.text.removesuffix("する")
            return root + ("し" if self.kind == "suru" else "さ"), root + "し", root + "して"
        return root, root, root + "て"

    def passive(self) -> "_Predicate":
        if self.kind == "suru":
            return _Predicate(self.text.removesuffix("する") + "される", "ichidan")
        return _Predicate(self.stems()[0] + ("られる" if self.kind == "ichidan" else "れる"), "ichidan")

    def lasting(self) -> "_Predicate":
        return _Predicate(self.stems()[2] + "いる", "lasting")

    def plain(self, past: bool, negated: bool, register: int, copula: str = "だ") -> str:
        """The plain form; copula: だ, or what stands instead of it where something follows."""
        if negated:
            # All negatives are adjectives: 読まない, 高くない, 静かではない.
            denied = self.text + ("では" if register == _FORMAL else "じゃ")
            stem = self.stems()[0] if self.verbal else self.text[:-1] + "く" if self.kind == "i" else denied
            return _Predicate(stem + "ない", "i").plain(past, False, register)
        if self.kind == "copular":
            return self.text + ("だった" if past else copula)
        if not past:
            return self.text
        return _past(self.stems()[2]) if self.verbal else self.text[:-1] + "かった"

    def polite(self, past: bool, negated: bool) -> str:
        if self.verbal:
            return self.stems()[1] + _POLITE[past, negated]
        if self.kind == "copular" and not negated:
            return self.text + ("でした" if past else "です")
        return self.plain(past, negated, _FORMAL) + "です"

    def chained(self, past: bool, negated: bool, register: int) -> str:
        """The form before another main clause: 読み and 読まず, colloquially 読んで and 読まないし."""
        if not self.verbal or (negated and register == _COLLOQUIAL):
            return self.plain(past, negated, register) + "し"
        before_nai, before_masu, te = self.stems()
        if register == _COLLOQUIAL:
            return te
        if self.kind == "lasting":
            return before_masu.removesuffix("い") + ("おらず" if negated else "おり")
        if negated:
            return (before_nai[:-1] + "せ" if self.kind == "suru" else before_nai) + "ず"
        return before_masu


def _past(te: str) -> str:
    return te[:-1] + {"て": "た", "で": "だ"}[te[-1]]


def _adjectival(adjective: Variant) -> _Predicate:
    """An adjective as a predicate; kind state: a te-form (疲れて), which いる makes a predicate."""
    if adjective["kind"] == "state":
        return _Predicate(adjective["word"] + "いる", "lasting")
    return _Predicate(adjective["word"], "i" if adjective["kind"] == "i" else "copular")


class _Sentence:
    """One sentence, made from left to right: what was mentioned before is その医者.

    A noun means the same persons or things throughout a meaning, so its first mention takes all that describes it, in
    whatever clause that is. A phrase that begins with a relative clause begins with a comma: what stands before it
    must not seem to belong to that clause. Commas at the beginning and doubled ones are removed in the end.
    """

    def __init__(self, lexicon: Lexicon, register: int, meaning: Meaning, passive: bool, floating: bool) -> None:
        """floating: counts stand behind the object: 本を二冊, not 二冊の本を."""
        self.lexicon, self.register, self.meaning, self.floating = lexicon, register, meaning, floating
        main, addition = meaning.main, meaning.addition
        self.subordinates = [("because", meaning.reason)] if meaning.reason else []
        self.subordinates += [meaning.moment] if meaning.moment else []
        others = [clause for _, clause in self.subordinates] + ([addition[1]] if addition else [])
        self.mentioned: set[str] = set()
        self.descriptions: dict[str, Entity] = {}
        self.describe(*(entity for clause in (main, *others) for entity in (clause.subject, clause.object)))
        # An agent is no topic that other clauses could go on about.
        self.passive = passive and self.has_passive(main) and not any(clause.same_subject for clause in others)
        self.topic = main.object if self.passive else main.subject

    def describe(self, *entities: Entity | None) -> None:
        for entity in filter(None, entities):
            self.descriptions.setdefault(entity.noun, entity)
            if entity.relative:
                self.describe(entity.relative.object)

    def has_passive(self, clause: Clause) -> bool:
        """Whether the object can be the topic; who does something gladly (喜んで) would change with the subject."""
        if not clause.object or (clause.manner and self.entry("manners", clause.manner).get("willing")):
            return False
        verb = self.verb(clause)
        return clause.object.definite and verb.get("passive", "object" not in verb)

    def entry(self, section: str, concept: str, noun: str | None = None) -> Variant:
        """The word for a concept, or the one that is said of this noun or of nouns of its kind (wear_crown)."""
        entries, names = self.lexicon[section], [concept]
        if noun:
            names = [f"{concept}_{noun}", f"{concept}_{self.entry('nouns', noun)['kind']}", concept]
        variants = next(entries[name] for name in names if name in entries)
        return variants[self.register % len(variants)]

    def word(self, section: str, concept: str | None) -> str:
        return self.entry(section, concept)["word"] if concept else ""

    # Sentences

    def text(self, topic_first: bool, cleft: bool, fronted: bool) -> str:
        main, addition = self.meaning.main, self.meaning.addition
        # 〜だろう says that it is in the future, and it cannot be said before 〜のは.
        if cleft and self.meaning.reason and not addition and main.tense != FUTURE:
            return self.cleft(fronted)
        if topic_first and not fronted and self.can_lead():
            comma = "" if self.continues(self.subordinates[0][1]) else "、"
            text = f"{self.phrase(self.topic)[0]}は{comma}"
            text += "".join(self.subordinate(*pair) for pair in self.subordinates) + self.clause(main)
        else:
            # Before the topic is named it goes unsaid only if no other subject could be meant.
            unsaid = all(self.continues(clause) for _, clause in self.subordinates)
            text = "".join(self.subordinate(*pair, unsaid=unsaid) for pair in self.subordinates)
            text += self.clause(main, "は", fronted)
        word = self.predicate(main, passive=self.passive)
        if not addition:
            return text + self.final(word, main)
        name, clause = addition
        if name == "and":
            text += word.chained(main.tense == PAST, main.negated, self.register)
        else:
            text += self.final(word, main) + self.word("conjunctions", name)
        particle = "" if self.continues(clause) else "は"
        return f"{text}、{self.clause(clause, particle)}{self.final(self.predicate(clause), clause)}"

    def can_lead(self) -> bool:
        """Whether the topic can precede the subordinate clauses; it would stand ill as an object in one of them."""
        objects = {clause.object.noun for _, clause in self.subordinates if clause.object}
        return bool(self.subordinates) and self.topic.definite and self.topic.noun not in objects

    def cleft(self, fronted: bool) -> str:
        """The reason comes last: 医者が眠ったのは、疲れていたからだ."""
        main, reason = self.meaning.main, self.meaning.reason
        text = self.subordinate(*self.meaning.moment) if self.meaning.moment else ""
        text += self.clause(main, "が", fronted)
        text += self.plain(self.predicate(main, passive=self.passive), main, copula="な") + "のは、"
        text += self.clause(reason, "" if self.continues(reason) else "が") + self.plain(self.predicate(reason), reason)
        return text + ("からです" if self.register == _FORMAL else "からだ")

    def continues(self, clause: Clause) -> bool:
        """Whether the clause is about the main clause's grammatical subject, so that its own can go unsaid."""
        return clause.subject.noun == self.topic.noun

    def subordinate(self, name: str, clause: Clause, unsaid: bool = True) -> str:
        """A clause with its conjunction. Before and after have tenses of their own: always 眠る前に and 眠った後に."""
        text = self.clause(clause, "" if unsaid and self.continues(clause) else "が")
        word, conjunction = self.predicate(clause, name), self.word("conjunctions", name)
        if name in ("before", "after"):
            form = word.plain(name == "after", clause.negated, self.register, copula="である")
        else:
            form = self.plain(word, clause, copula="な" if conjunction == "ので" else "だ")
        return f"{text}{form}{conjunction}、"

    # Clauses

    def clause(self, clause: Clause, particle: str = "", fronted: bool = False) -> str:
        """All that stands before the predicate; particle: は or が for the subject (none: it goes unsaid).

        は is for what is definite or was mentioned, so any other subject has が all the same.
        """
        passive = self.passive and clause is self.meaning.main
        subject = clause.object if passive else clause.subject
        time, place = self.word("times", clause.time), self.word("places", clause.place)
        if place:
            place += self.verb(clause).get("place", "で")
        text = ""
        if particle:
            known = self.descriptions[subject.noun].definite or subject.noun in self.mentioned
            text = self.phrase(subject)[0] + (particle if known else "が")
        # Nothing is fronted that would seem to belong to the subject's relative clause.
        if fronted and (time or place) and not text.startswith("、"):
            text, time, place = (f"{time}、{text}", "", place) if time else (f"{place}、{text}", "", "")
        text += time + "、" * bool(time and not time.endswith("に")) + place
        thing, count = (self.agent(clause), "") if passive else self.object(clause)
        manner = self.entry("manners", clause.manner) if clause.manner else {}
        adverb = manner.get("negated" if clause.negated and "negated" in manner else "word", "")
        # しばしば stands before the object, but あまり does not, nor what would seem to belong to a relative clause.
        if manner.get("early") and not clause.negated and not thing.startswith("、"):
            return text + adverb + thing + count
        # Neither a count nor an adverb has a particle: 地図を三枚、丁寧に.
        return text + thing + count + "、" * bool(count and adverb) + adverb

    def agent(self, clause: Clause) -> str:
        """Who does it in a passive: に where something happens to a person, によって where に could mean "to"."""
        patient = self.entry("nouns", clause.object.noun)
        return self.phrase(clause.subject)[0] + ("に" if patient["kind"] == "person" else "によって")

    def object(self, clause: Clause) -> tuple[str, str]:
        """(the object with its particle, its count if that floats)."""
        if not clause.object:
            return "", ""
        particle = self.verb(clause).get("object", "を")
        # Only the count of a direct object can float, and "not two books" would become "two not".
        floating = self.floating and particle == "を" and not clause.negated
        phrase, count = self.phrase(clause.object, clause.negated, floating)
        return phrase + particle, count

    # Noun phrases

    def phrase(self, entity: Entity, negated: bool = False, floating: bool = False) -> tuple[str, str]:
        """(the noun with what describes it, its count if that floats behind the particle).

        negated: the object of a negated verb, of which no vague count is said.
        """
        noun = self.entry("nouns", entity.noun)
        person = noun["kind"] == "person"
        if entity.noun in self.mentioned:
            those = "それらの" if entity.plural and not person else "その"
            return those + noun["word"] + "たち" * (person and entity.plural), ""
        entity = self.descriptions[entity.noun]
        self.mentioned.add(entity.noun)
        relative = self.relative(entity.relative, entity.noun) if entity.relative else ""
        name = self.adjective(entity.adjective, entity.noun) if entity.adjective else ""
        # Of plurals without a count, persons have a form of their own.
        name += noun["word"] + "たち" * (person and entity.definite and entity.number == 0)
        count = self.count(entity, noun["counter"], negated)
        if count and floating and not entity.definite:
            return relative + name, count
        # Without その a numeral would say "two books", not "the two books".
        return relative + (("その" if entity.definite else "") + count + "の" if count else "") + name, ""

    def count(self, entity: Entity, counter: str, negated: bool) -> str:
        if entity.number > 1:
            return self.word("numerals", str(entity.number)) + counter
        if entity.number == 1 or entity.definite or negated:
            return ""
        return "いくつか" if counter == "つ" else f"何{counter}か"

    def relative(self, clause: Clause, noun: str) -> str:
        if not clause.predicate:
            return "、" + "".join(self.object(clause)) + self.plain(self.predicate(clause), clause)
        adjective = self.entry("adjectives", clause.predicate, noun)
        if clause.tense == PRESENT and not clause.negated and adjective["kind"] != "state":
            return self.adjective(clause.predicate, noun)
        return "、" + self.plain(_adjectival(adjective), clause)

    def adjective(self, concept: str, noun: str) -> str:
        """An adjective before its noun."""
        adjective = self.entry("adjectives", concept, noun)
        if adjective["kind"] == "state":
            return _past(adjective["word"])
        return adjective["word"] + {"i": "", "na": "な", "no": "の"}[adjective["kind"]]

    # Predicates

    def verb(self, clause: Clause) -> Variant:
        if clause.verb == "be":
            return {}
        return self.entry("verbs", clause.verb, clause.object.noun if clause.object else None)

    def predicate(self, clause: Clause, conjunction: str = "", passive: bool = False) -> _Predicate:
        """The verb, as 〜ている where it says what lasts, or the predicate adjective."""
        if clause.predicate:
            return _adjectival(self.entry("adjectives", clause.predicate, clause.subject.noun))
        verb = self.verb(clause)
        word = _Predicate(verb["word"], verb["kind"])
        word = word.passive() if passive else word
        aspect = verb.get("aspect")
        lasts = clause.tense == PRESENT or (clause.tense == PAST and (aspect == "state" or conjunction == "when"))
        return word.lasting() if aspect and lasts and conjunction not in ("before", "after") else word

    def plain(self, word: _Predicate, clause: Clause, copula: str = "だ") -> str:
        return word.plain(clause.tense == PAST, clause.negated, self.register, copula)

    def final(self, word: _Predicate, clause: Clause) -> str:
        """The form that ends a main clause; the future is said by だろう unless a time like 明日 does it."""
        time = self.meaning.main.time
        if clause.tense == FUTURE and not (time and self.entry("times", time).get("future")):
            return self.plain(word, clause, copula="") + ("でしょう" if self.register == _FORMAL else "だろう")
        if self.register == _FORMAL:
            return word.polite(clause.tense == PAST, clause.negated)
        return self.plain(word, clause)
