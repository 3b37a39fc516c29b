"""German sentences: verb-second and verb-final clauses, separable verbs, cases and endings."""

import random
import re
from dataclasses import dataclass, replace

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

FIELDS = {
    "nouns": ("singular", "plural", "gender"),
    "places": ("phrase",),
    "verbs": ("infinitive", "present", "past", "participle"),
    "adjectives": ("form",),
    "manners": ("phrase",),
    "times": ("phrase",),
    "numerals": ("form",),
    "conjunctions": ("form",),
}

WRITTEN, SPOKEN = 0, 1
PRETERITE, PERFECT, PLUPERFECT = "preterite", "perfect", "pluperfect"


def _table(nominative: str, accusative: str, dative: str) -> dict[str, dict[str, str]]:
    """Case -> form by masculine, feminine, neuter and plural ("-": no form of its own)."""
    rows = {"nominative": nominative, "accusative": accusative, "dative": dative}
    return {case: dict(zip("mfnp", row.replace("-", "").split(" "), strict=True)) for case, row in rows.items()}


DEFINITE = _table("der die das die", "den die das die", "dem der dem den")
INDEFINITE = _table("ein eine ein -", "einen eine ein -", "einem einer einem -")
NEGATIVE = _table("kein keine kein keine", "keinen keine kein keine", "keinem keiner keinem keinen")
PRONOUN = {"m": "er", "f": "sie", "n": "es", "p": "sie"}

# Endings of adjectives after "der", after "ein" and "kein", and after no article.
WEAK = _table("e e e en", "en e e en", "en en en en")
MIXED = _table("er e es en", "en e es en", "en en en en")
STRONG = _table("er e es e", "en e es e", "em er em en")

AUXILIARIES = {
    "haben": {"infinitive": "haben", "present": "hat", "past": "hatte", "participle": "gehabt"},
    "sein": {"infinitive": "sein", "present": "ist", "past": "war", "participle": "gewesen", "auxiliary": "sein"},
    "werden": {"infinitive": "werden", "present": "wird", "past": "wurde", "participle": "worden", "auxiliary": "sein"},
}


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """The meaning as a German sentence. The draws from rng are four whatever the meaning is."""
    register = SPOKEN if rng.random() < SECOND_REGISTER else WRITTEN
    subordinate_first, fronted, passive = rng.random() < 0.35, rng.random() < 0.35, rng.random() < 0.2
    return _Grammar(lexicon, register, fronted).sentence(meaning, subordinate_first, passive)


@dataclass(frozen=True)
class _Parts:
    """A clause before its words are put in order; any part may be empty.

    adverbs stand before the place, rest (object, agent, predicate, negation) after it; end: infinitives and
    participles; extraposed: a relative clause that waits for the verb.
    """

    subject: str
    finite: str
    particle: str
    time: str
    adverbs: list[str]
    place: str
    rest: list[str]
    end: list[str]
    extraposed: str

    def verb_second(self, fronted: bool = False, inverted: bool = False) -> list[str]:
        """Subject and verb; verb and subject if inverted (a clause precedes); time or place first if fronted."""
        if fronted and not inverted and self.time:
            return [self.time, *replace(self, time="").verb_second(inverted=True)]
        if fronted and not inverted and self.place:
            return [self.place, *replace(self, place="").verb_second(inverted=True)]
        start = [self.finite, self.subject] if inverted else [self.subject, self.finite]
        return [*start, *self.middle(), *self.end, self.particle, self.extraposed]

    def verb_final(self) -> list[str]:
        return [self.subject, *self.middle(), *self.end, self.particle + self.finite, self.extraposed]

    def middle(self) -> list[str]:
        return [self.time, *self.adverbs, self.place, *self.rest]


class _Grammar:
    def __init__(self, lexicon: Lexicon, register: int, fronted: bool) -> None:
        self.lexicon, self.register, self.fronted = lexicon, register, fronted

    def word(self, section: str, concept: str) -> Variant:
        variants = self.lexicon[section][concept]
        return variants[self.register % len(variants)]

    def phrase(self, section: str, concept: str | None) -> str:
        return self.word(section, concept)["phrase"] if concept else ""

    def conjunction(self, name: str) -> str:
        return self.word("conjunctions", name)["form"]

    # Sentences

    def sentence(self, meaning: Meaning, subordinate_first: bool, passive: bool) -> str:
        """Of two subordinate clauses one stands before the main clause and one after it."""
        before, after = self.subordinates(meaning, subordinate_first)
        parts = self.main(meaning, passive)
        words = [*before, *parts.verb_second(self.fronted, inverted=bool(before)), *after]
        if meaning.addition:
            # An auxiliary is not repeated where nothing could be misread: "hat gewartet und gelacht".
            shared = "" if after or meaning.main.negated else parts.finite
            words += self.addition(*meaning.addition, meaning.main, shared)
        return _punctuated(words)

    def subordinates(self, meaning: Meaning, first: bool) -> tuple[list[str], list[str]]:
        reason = self.subordinate("because", meaning.reason, meaning.main) if meaning.reason else []
        moment = self.subordinate(*meaning.moment, meaning.main) if meaning.moment else []
        if reason and moment:
            return (moment, reason) if first else (reason, moment)
        return (reason + moment, []) if first else ([], reason + moment)

    def main(self, meaning: Meaning, passive: bool) -> _Parts:
        """A passive needs a definite object, and a subject that no other clause leaves out or says as a pronoun."""
        clause = meaning.main
        others = [meaning.reason, *(pair[1] for pair in (meaning.moment, meaning.addition) if pair)]
        if not passive or not clause.object or not clause.object.definite or any(c and c.same_subject for c in others):
            return self.active(clause, self.subject(clause.subject), clause.subject.plural, self.tense(clause))
        return self.passive(clause, self.tense(clause))

    def subordinate(self, name: str, clause: Clause, main: Clause) -> list[str]:
        word = self.conjunction("when_past" if name == "when" and clause.tense == PAST else name)
        parts = self.active(clause, *self.subject_after(clause, main), self.tense(clause, name))
        return [",", word, *parts.verb_final(), ","]

    def addition(self, name: str, clause: Clause, main: Clause, shared: str) -> list[str]:
        """A second main clause; only "und" lets it do without its subject, without an auxiliary that is `shared`."""
        parts = self.active(clause, *self.subject_after(clause, main), self.tense(clause))
        word = self.conjunction(name)
        if name == "and" and clause.same_subject:
            finite = "" if parts.end and parts.finite == shared else parts.finite
            return [word, *replace(parts, subject="", finite=finite).verb_second()]
        return [",", word, *parts.verb_second(self.fronted)]

    # Clauses

    def active(self, clause: Clause, subject: str, plural: bool, tense: str) -> _Parts:
        verb = AUXILIARIES["sein"] if clause.verb == "be" else self.word("verbs", clause.verb)
        finite, end, particle = _conjugated(verb, tense, plural)
        time, place, manner, negation = self.adjuncts(clause)
        adverbs, extraposed = [], ""
        if thing := clause.object:
            # "keinen Apfel", but "nicht langsam einen Apfel" and "zwei Äpfel nicht".
            negative = clause.negated and not manner and not thing.definite and thing.number < 2
            phrase, extraposed = self.complement(thing, verb.get("case", "accusative"), negative)
            if negative:
                rest = [phrase]
            elif thing.definite or not manner:
                rest = [phrase, negation, manner]
            else:
                rest = [negation, manner, phrase]
        elif clause.predicate:
            rest = [negation, self.word("adjectives", clause.predicate)["form"]]
        else:
            adverbs, rest = [negation, manner], []
        return _Parts(subject, finite, particle, time, adverbs, place, rest, end, extraposed)

    def passive(self, clause: Clause, tense: str) -> _Parts:
        """What was the object becomes the subject, unless it is a dative: that stays one, and the verb is singular."""
        verb = self.word("verbs", clause.verb)
        case = "dative" if "case" in verb else "nominative"
        plural = clause.object.plural and case == "nominative"
        finite, end, _ = _conjugated(AUXILIARIES["werden"], tense, plural)
        agent, extraposed = self.complement(clause.subject, "dative")
        agent = f"von {agent}"
        if self.register == SPOKEN:
            agent = re.sub("^von dem ", "vom ", agent)
        time, place, manner, negation = self.adjuncts(clause)
        end = [verb.get("particle", "") + verb["participle"], *end]
        subject = self.subject(clause.object, case)
        return _Parts(subject, finite, "", time, [], place, [agent, negation, manner], end, extraposed)

    def adjuncts(self, clause: Clause) -> tuple[str, str, str, str]:
        """(time, place, manner, negation), each empty where the clause has none."""
        return (
            self.phrase("times", clause.time),
            self.phrase("places", clause.place),
            self.phrase("manners", clause.manner),
            "nicht" if clause.negated else "",
        )

    def tense(self, clause: Clause, conjunction: str = "") -> str:
        """The past is preterite when written and perfect when spoken (but always "war")."""
        if conjunction == "after":
            return PLUPERFECT if clause.tense == PAST else PERFECT
        if clause.tense == FUTURE and conjunction in ("before", "when"):
            return PRESENT
        if clause.tense == PAST:
            return PERFECT if self.register == SPOKEN and clause.verb != "be" else PRETERITE
        return clause.tense

    # Noun phrases

    def subject(self, entity: Entity, case: str = "nominative") -> str:
        return f"{self.noun_phrase(entity, case)} {self.relative(entity)}"

    def subject_after(self, clause: Clause, main: Clause) -> tuple[str, bool]:
        """(subject, whether it is plural) of a clause that may share the subject of the main clause."""
        if clause.same_subject:
            return PRONOUN[self.gender(main.subject)], main.subject.plural
        return self.subject(clause.subject), clause.subject.plural

    def complement(self, entity: Entity, case: str, negative: bool = False) -> tuple[str, str]:
        """(noun phrase, extraposed relative clause): who speaks puts the relative clause behind the verb."""
        phrase, relative = self.noun_phrase(entity, case, negative), self.relative(entity)
        return (phrase, relative) if self.register == SPOKEN else (f"{phrase} {relative}", "")

    def noun_phrase(self, entity: Entity, case: str, negative: bool = False) -> str:
        gender = self.gender(entity)
        count = self.word("numerals", str(entity.number))["form"] if entity.number > 1 else ""
        if entity.definite:
            article, endings = DEFINITE, WEAK
        elif negative:
            article, endings = NEGATIVE, MIXED
        else:
            article, endings = INDEFINITE, STRONG if entity.plural else MIXED
        ending = endings[case][gender]
        words = [article[case][gender], count]
        if entity.adjective:
            adjective = self.word("adjectives", entity.adjective)
            words.append(adjective.get("stem", adjective["form"].removesuffix("e")) + ending)
        return " ".join(filter(None, [*words, _declined(self.word("nouns", entity.noun), case, entity.plural, ending)]))

    def relative(self, entity: Entity) -> str:
        if not entity.relative:
            return ""
        pronoun = DEFINITE["nominative"][self.gender(entity)]
        parts = self.active(entity.relative, pronoun, entity.plural, self.tense(entity.relative))
        return f", {' '.join(parts.verb_final())} ,"

    def gender(self, entity: Entity) -> str:
        return "p" if entity.plural else self.word("nouns", entity.noun)["gender"]


def _conjugated(verb: Variant, tense: str, plural: bool) -> tuple[str, list[str], str]:
    """(finite verb, infinitive and participles at the end of the clause, separated particle)."""
    particle = verb.get("particle", "")
    if tense == PRESENT:
        return _present(verb, plural), [], particle
    if tense == PRETERITE:
        return _preterite(verb, plural), [], particle
    if tense == FUTURE:
        return _present(AUXILIARIES["werden"], plural), [particle + verb["infinitive"]], ""
    auxiliary = AUXILIARIES[verb.get("auxiliary", "haben")]
    finite = _present(auxiliary, plural) if tense == PERFECT else _preterite(auxiliary, plural)
    return finite, [particle + verb["participle"]], ""


def _present(verb: Variant, plural: bool) -> str:
    if not plural:
        return verb["present"]
    return "sind" if verb["infinitive"] == "sein" else verb["infinitive"]


def _preterite(verb: Variant, plural: bool) -> str:
    return verb["past"] + ("n" if verb["past"].endswith("e") else "en") * plural


def _declined(noun: Variant, case: str, plural: bool, ending: str) -> str:
    """The noun itself; ending: that of an adjective here, for nouns that are adjectives (ein Reisender)."""
    if noun.get("declension") == "adjectival":
        return noun["singular"].removesuffix("e") + ending
    if plural:
        return noun["plural"] + "n" * (case == "dative" and not noun["plural"].endswith(("n", "s")))
    # Weak nouns have the form of the plural in every case but the nominative: den Patienten, den Nachbarn.
    return noun["plural"] if noun.get("declension") == "weak" and case != "nominative" else noun["singular"]


def _punctuated(words: list[str]) -> str:
    """One comma where clauses meet, none at the ends, a capital first letter and a full stop."""
    text = re.sub(r"[ ,]*,", ",", " ".join(filter(None, words)))
    text = re.sub(" +", " ", text).strip(" ,")
    return text[0].upper() + text[1:] + "."
