"""English: meanings rendered as sentences. Register A writes "did not" and "will", B "didn't" and "is going to"."""

import random
from dataclasses import dataclass

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

FIELDS = {
    "nouns": ("singular", "plural", "pronoun"),
    "places": ("phrase",),
    "verbs": ("base", "third", "past", "participle"),
    "adjectives": ("word",),
    "manners": ("word",),
    "times": ("phrase",),
    "numerals": ("word",),
    "conjunctions": ("word",),
}


@dataclass(frozen=True)
class Style:
    """What is drawn once a sentence: register 0 or 1, and three choices of construction."""

    register: int
    subordinate_first: bool
    fronting: bool
    passive: bool

    @classmethod
    def draw(cls, rng: random.Random) -> "Style":
        return cls(int(rng.random() < SECOND_REGISTER), rng.random() < 0.35, rng.random() < 0.35, rng.random() < 0.2)


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """One sentence. The same draws are made whatever the meaning, so style and content are independent."""
    return Sentence(lexicon, Style.draw(rng)).render(meaning)


class Sentence:
    """A sentence of one style while it is made."""

    def __init__(self, lexicon: Lexicon, style: Style) -> None:
        self.lexicon, self.style = lexicon, style

    def entry(self, section: str, concept: str) -> Variant:
        variants = self.lexicon[section][concept]
        return variants[self.style.register if len(variants) == 2 else 0]

    def word(self, section: str, concept: str) -> str:
        return self.entry(section, concept)["phrase" if section in ("places", "times") else "word"]

    def render(self, meaning: Meaning) -> str:
        clauses = (meaning.reason, meaning.moment and meaning.moment[1], meaning.addition and meaning.addition[1])
        # Nobody could tell who "he" is, or who does what comes after a bare "and", if the main clause were passive.
        passive = self.style.passive and not any(clause and clause.same_subject for clause in clauses)
        moment = self.subordinate(*meaning.moment, present=True) if meaning.moment else None
        reason = self.subordinate("because", meaning.reason) if meaning.reason else None
        first = (moment or reason) if self.style.subordinate_first else None
        # Of two subordinate clauses only that of time comes first: the reason stays next to what it explains.
        last = [clause for clause in (reason, moment) if clause and clause is not first]

        parts = [first + ","] if first else []
        parts += self.clause(meaning.main, passive=passive, front=self.style.fronting and not first)
        if meaning.addition:
            conjunction, addition = meaning.addition
            joined = [self.word("conjunctions", conjunction), *self.clause(addition)]
            if addition.same_subject:
                parts += joined + last
            else:
                parts += last
                parts[-1] += ","
                parts += joined
        else:
            parts += last
        text = " ".join(parts)
        return text[0].upper() + text[1:] + "."

    def subordinate(self, conjunction: str, clause: Clause, present: bool = False) -> str:
        """A clause with its conjunction; one of time speaks of the future in the present tense."""
        tense = PRESENT if present and clause.tense == FUTURE else clause.tense
        return " ".join([self.word("conjunctions", conjunction), *self.clause(clause, tense, pronoun=True)])

    def clause(
        self,
        clause: Clause,
        tense: str | None = None,
        passive: bool = False,
        front: bool = False,
        pronoun: bool = False,
    ) -> list[str]:
        """The parts of a clause in order; an adverbial is moved to its front if `front` is set and it has one."""
        tense = tense or clause.tense
        passive = passive and clause.object is not None and clause.object.definite
        manner = self.entry("manners", clause.manner) if clause.manner else {}
        adverb = manner.get("word", "")
        early = adverb if manner.get("before_verb") else ""
        agent = clause.object if passive else clause.subject
        verb = self.verb(clause, agent, tense, passive, early)
        rest = []
        if passive:
            rest += ["by", self.entity(clause.subject)]
        elif clause.object:
            rest.append(self.entity(clause.object, clause.negated))
        if adverb and not early:
            rest.append(adverb)
        place = self.word("places", clause.place) if clause.place else ""
        time = self.word("times", clause.time) if clause.time else ""
        fronted = (time or place) if front else ""
        parts = [fronted + ","] if fronted else []
        return [
            part
            for part in (
                *parts,
                self.subject(clause, agent, pronoun),
                *verb,
                *rest,
                place if place != fronted else "",
                time if time != fronted else "",
            )
            if part
        ]

    def subject(self, clause: Clause, entity: Entity | None, pronoun: bool) -> str:
        """The subject; of a clause that shares the main clause's, a pronoun or nothing."""
        if entity is None:
            return ""
        if not clause.same_subject:
            return self.entity(entity)
        if not pronoun:
            return ""
        return "they" if entity.plural else self.entry("nouns", entity.noun)["pronoun"]

    def entity(self, entity: Entity, negated: bool = False) -> str:
        noun = self.entry("nouns", entity.noun)
        adjective = self.entry("adjectives", entity.adjective) if entity.adjective else None
        words = []
        if entity.definite:
            words.append("the")
        elif not entity.plural:
            words.append(_article(adjective or noun))
        elif negated and entity.number == 0:
            words.append("any")
        if entity.number > 1:
            words.append(self.word("numerals", str(entity.number)))
        if adjective:
            words.append(adjective["word"])
        words.append(noun["plural" if entity.plural else "singular"])
        if entity.relative:
            words += [self.relative_pronoun(noun), *self.relative(entity.relative, entity)]
        return " ".join(words)

    def relative_pronoun(self, noun: Variant) -> str:
        if self.style.register == 1:
            return "that"
        return "which" if noun["pronoun"] == "it" else "who"

    def relative(self, clause: Clause, antecedent: Entity) -> list[str]:
        parts = self.verb(clause, antecedent, clause.tense, False, "")
        if clause.object:
            parts.append(self.entity(clause.object, clause.negated))
        return [part for part in parts if part]

    def verb(self, clause: Clause, subject: Entity, tense: str, passive: bool, adverb: str) -> list[str]:
        """The verb group with its adverb and a predicate adjective: "did not often visit", "wasn't ill"."""
        plural = subject.plural
        if clause.verb == "be":
            return [*self.be(plural, tense, clause.negated), self.word("adjectives", clause.predicate)]
        forms = self.entry("verbs", clause.verb)
        if passive:
            return [*self.be(plural, tense, clause.negated), adverb, forms["participle"]]
        if tense == FUTURE:
            return [*self.future(plural, clause.negated), adverb, forms["base"]]
        if clause.negated:
            auxiliary = "did" if tense == PAST else "do" if plural else "does"
            return [*self.negative(auxiliary), adverb, forms["base"]]
        return [adverb, forms["past" if tense == PAST else "base" if plural else "third"]]

    def be(self, plural: bool, tense: str, negated: bool) -> list[str]:
        if tense == FUTURE:
            return [*self.future(plural, negated), "be"]
        singular_form, plural_form = ("was", "were") if tense == PAST else ("is", "are")
        form = plural_form if plural else singular_form
        return self.negative(form) if negated else [form]

    def future(self, plural: bool, negated: bool) -> list[str]:
        if self.style.register == 0:
            return ["will", "not"] if negated else ["will"]
        return [*self.be(plural, PRESENT, negated), "going to"]

    def negative(self, auxiliary: str) -> list[str]:
        return [auxiliary, "not"] if self.style.register == 0 else [auxiliary + "n't"]


def _article(entry: Variant) -> str:
    """`a` or `an` before an adjective or a noun: by its first letter unless the lexicon knows better."""
    word = entry.get("word") or entry["singular"]
    return "an" if entry.get("an", word[0] in "aeiou") else "a"
