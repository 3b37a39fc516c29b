"""Romanian: suffixed articles, agreeing adjectives, the object marker `pe` with clitic doubling, dropped pronouns."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PRESENT, Clause, Entity, Meaning

FIELDS = {
    "nouns": ("singular", "plural", "definite_singular", "definite_plural", "gender", "kind"),
    "places": ("phrase",),
    "verbs": ("infinitive", "singular", "plural", "subjunctive", "participle"),
    "adjectives": ("masculine", "feminine", "masculine_plural", "feminine_plural"),
    "manners": ("phrase",),
    "times": ("phrase",),
    "numerals": ("masculine", "feminine"),
    "conjunctions": ("word",),
}

_FORMAL, _COLLOQUIAL = 0, 1
_INDICATIVE, _SUBJUNCTIVE, _INFINITIVE = "indicative", "subjunctive", "infinitive"

# The pronoun that doubles an object, by (feminine, plural), and how it joins the word before or after it.
_CLITICS = {(False, False): "îl", (True, False): "o", (False, True): "îi", (True, True): "le"}
_NEGATED = {None: "nu", "îl": "nu-l", "o": "n-o", "îi": "nu-i", "le": "nu le"}
_SUBJUNCTIVES = {None: "să", "îl": "să-l", "o": "s-o", "îi": "să-i", "le": "să le"}
_INFINITIVES = {None: "a", "îl": "a-l", "o": "a o", "îi": "a-i", "le": "a le"}
_PERFECTS = {None: "", "îl": "l-", "o": "", "îi": "i-", "le": "le-"}

_TO_BE = (
    {"infinitive": "fi", "singular": "este", "plural": "sunt", "subjunctive": "fie", "participle": "fost"},
    {"infinitive": "fi", "singular": "e", "plural": "sunt", "subjunctive": "fie", "participle": "fost"},
)


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """The meaning as a Romanian sentence.

    Drawn once a sentence: register, subordinate clause first or last, time or place fronted, active or passive.
    """
    register = _FORMAL if rng.random() < 1 - SECOND_REGISTER else _COLLOQUIAL
    subordinate_first = rng.random() < 0.35
    fronted = rng.random() < 0.35
    passive = rng.random() < 0.2
    sentence = _Sentence(lexicon, register, meaning, passive).text(subordinate_first, fronted)
    return sentence[0].upper() + sentence[1:] + "."


@dataclass(frozen=True)
class _Noun:
    """What an entity is called, and how other words agree with it."""

    variant: Variant
    plural: bool

    @property
    def feminine(self) -> bool:
        return self.variant["gender"] == "f" or (self.variant["gender"] == "n" and self.plural)

    @property
    def number(self) -> str:
        return "plural" if self.plural else "singular"

    @property
    def agreement(self) -> str:
        return ("feminine" if self.feminine else "masculine") + ("_plural" if self.plural else "")


def _join(*words: str | None) -> str:
    return " ".join(word for word in words if word)


def _participle(verb: Variant, noun: _Noun) -> str:
    """The participle of a passive, which agrees like an adjective."""
    masculine = verb["participle"]
    if noun.agreement == "masculine":
        return masculine
    if noun.agreement == "masculine_plural":
        return masculine[:-1] + {"t": "ți", "s": "și"}[masculine[-1]]
    regular = masculine + ("e" if noun.plural else "ă")
    return verb.get(f"participle_{noun.agreement}", regular)


class _Sentence:
    """One sentence in one register. The main clause is passive if `passive` and its verb and object allow it."""

    def __init__(self, lexicon: Lexicon, register: int, meaning: Meaning, passive: bool) -> None:
        self.lexicon, self.register, self.meaning = lexicon, register, meaning
        main = meaning.main
        self.passive = (
            passive
            and main.object is not None
            and main.object.definite
            and "preposition" not in self.word("verbs", main.verb)
        )

    def text(self, subordinate_first: bool, fronted: bool) -> str:
        meaning = self.meaning
        before, moment, reason = "", "", ""
        if meaning.moment:
            moment = self.moment(*meaning.moment)
        if meaning.reason:
            reason = _join(self.conjunction("because"), self.subordinate(meaning.reason))
        if subordinate_first and moment:
            before, moment = moment, ""
        elif subordinate_first:
            before, reason = reason, ""
        main_clause = self.passive_clause if self.passive else self.active_clause
        main = main_clause(meaning.main, fronted and not before)
        text = f"{before}, {main}" if before else main
        if moment:
            # A comma opens the clause only where one must close it.
            text += f", {moment}" if meaning.addition else f" {moment}"
        if reason:
            text += f", {reason}"
        if meaning.addition:
            text += self.addition(*meaning.addition, interrupted=bool(moment or reason))
        return text

    def word(self, section: str, concept: str) -> Variant:
        variants = self.lexicon[section][concept]
        return variants[self.register % len(variants)]

    def conjunction(self, concept: str) -> str:
        return self.word("conjunctions", concept)["word"]

    def noun(self, entity: Entity) -> _Noun:
        variant = self.word("nouns", entity.noun)
        return _Noun(variant, entity.plural or variant.get("tantum") == "plural")

    # Clauses

    def drops_subject(self, clause: Clause) -> bool:
        """Whether the clause goes on about the main clause's grammatical subject, so that its own goes unsaid."""
        if self.passive:
            return clause.subject.noun == self.meaning.main.object.noun
        return clause.same_subject

    def subject(self, clause: Clause) -> str | None:
        if self.drops_subject(clause):
            return None
        if clause.same_subject:
            # The agent of a passive: mentioned already, so its bare name will do.
            return self.phrase(Entity(clause.subject.noun, 1 if clause.subject.number == 1 else 0))
        return self.phrase(clause.subject, leading=True)

    def subordinate(self, clause: Clause) -> str:
        return _join(self.subject(clause), self.predicate(clause, self.noun(clause.subject)))

    def moment(self, conjunction: str, clause: Clause) -> str:
        if conjunction != "before":
            return _join(self.conjunction(conjunction), self.subordinate(clause))
        subject, noun = self.subject(clause), self.noun(clause.subject)
        if subject:
            return _join("înainte ca", subject, self.predicate(clause, noun, _SUBJUNCTIVE))
        if self.register == _FORMAL:
            return _join("înainte de", self.predicate(clause, noun, _INFINITIVE))
        return _join("înainte", self.predicate(clause, noun, _SUBJUNCTIVE))

    def addition(self, conjunction: str, clause: Clause, interrupted: bool) -> str:
        same = self.drops_subject(clause)
        word = self.conjunction("whereas" if conjunction == "and" and not same else conjunction)
        comma = "" if conjunction == "and" and same and not interrupted else ","
        return f"{comma} {word} {self.subordinate(clause)}"

    def active_clause(self, clause: Clause, fronted: bool) -> str:
        front, *settings = self.settings(clause, fronted)
        subject = self.phrase(clause.subject, leading=True)
        return _join(front, subject, self.predicate(clause, self.noun(clause.subject), settings=settings))

    def passive_clause(self, clause: Clause, fronted: bool) -> str:
        """a fi, the agreeing participle, the agent after `de către` or `de`."""
        front, *settings = self.settings(clause, fronted)
        verb, noun = self.word("verbs", clause.verb), self.noun(clause.object)
        happens = _join(self.verb(_TO_BE[self.register], clause, noun), _participle(verb, noun), verb.get("with"))
        agent = _join("de către" if self.register == _FORMAL else "de", self.phrase(clause.subject, governed=True))
        rest = (*settings, agent) if clause.subject.relative else (agent, *settings)
        return _join(front, self.phrase(clause.object, leading=True), happens, self.manner(clause), *rest)

    def predicate(
        self, clause: Clause, subject: _Noun, mood: str = _INDICATIVE, settings: Sequence[str | None] | None = None
    ) -> str:
        """Everything but the subject; settings: time and place, if they are not the clause's own."""
        if settings is None:
            settings = self.settings(clause, fronted=False)[1:]
        if clause.predicate:
            adjective = self.adjective(clause.predicate, subject)
            return _join(self.verb(_TO_BE[self.register], clause, subject, mood), adjective, *settings)
        verb, marker, clitic, thing = self.word("verbs", clause.verb), None, None, None
        if clause.object:
            noun, marker = self.noun(clause.object), verb.get("preposition")
            if marker is None and clause.object.definite and noun.variant["kind"] == "person":
                marker, clitic = "pe", _CLITICS[noun.feminine, noun.plural]
            thing = _join(marker, self.phrase(clause.object, governed=marker is not None, negated=clause.negated))
        happens = _join(self.verb(verb, clause, subject, mood, clitic), verb.get("with"), self.manner(clause))
        if clause.object and clause.object.relative:
            return _join(happens, *settings, thing)
        return _join(happens, thing, *settings)

    def settings(self, clause: Clause, fronted: bool) -> tuple[str | None, str | None, str | None]:
        """(what stands in front, time, place): fronted, the time goes to the front, or else the place."""
        time = self.word("times", clause.time)["phrase"] if clause.time else None
        place = self.word("places", clause.place)["phrase"] if clause.place else None
        if not fronted:
            return None, time, place
        return (time, None, place) if time else (place, None, None)

    def manner(self, clause: Clause) -> str | None:
        return self.word("manners", clause.manner)["phrase"] if clause.manner else None

    # Noun phrases

    def phrase(self, entity: Entity, leading: bool = False, governed: bool = False, negated: bool = False) -> str:
        """The noun with what describes it.

        leading: before the verb, where a plural needs an article. governed: after a preposition, where a definite noun
        that nothing describes has no article. negated: the object of a negated verb.
        """
        noun = self.noun(entity)
        adjective = self.adjective(entity.adjective, noun) if entity.adjective else None
        relative = _join("care", self.predicate(entity.relative, noun)) if entity.relative else None
        name, article = noun.variant[noun.number], None
        if entity.number > 1:
            article = self.word("numerals", str(entity.number))["feminine" if noun.feminine else "masculine"]
            if entity.definite:
                article = _join("cele" if noun.feminine else "cei", article)
        elif entity.definite:
            if not governed or adjective or relative:
                name = noun.variant[f"definite_{noun.number}"]
        elif noun.plural:
            article = "niște" if (leading or self.register == _COLLOQUIAL) and not negated else None
        elif negated:
            article = "nicio" if noun.feminine else "niciun"
        else:
            article = "o" if noun.feminine else "un"
        return _join(article, name, adjective, relative)

    def adjective(self, concept: str, noun: _Noun) -> str:
        # What is old is `vechi`, who is old is `bătrân`.
        specific = f"{concept}_thing"
        if noun.variant["kind"] != "thing" or specific not in self.lexicon["adjectives"]:
            specific = concept
        return self.word("adjectives", specific)[noun.agreement]

    # Verbs

    def verb(
        self, verb: Variant, clause: Clause, subject: _Noun, mood: str = _INDICATIVE, clitic: str | None = None
    ) -> str:
        """The verb with its auxiliary, negation and clitic pronoun, in the clause's tense or a mood without tenses."""
        if mood == _INFINITIVE:
            return _join(*(("a nu", clitic) if clause.negated else (_INFINITIVES[clitic],)), verb["infinitive"])
        if mood == _SUBJUNCTIVE:
            return self.subjunctive(verb, clause.negated, clitic)
        if clause.tense == PRESENT:
            return _join(self.negation(clause.negated, clitic), verb[subject.number])
        if clause.tense == FUTURE:
            return self.future(verb, clause.negated, subject.plural, clitic)
        if clause.predicate:
            # A state in the past stands in the imperfect.
            return _join("nu" if clause.negated else None, "erau" if subject.plural else "era")
        return self.perfect(verb, clause.negated, subject.plural, clitic)

    def negation(self, negated: bool, clitic: str | None) -> str:
        """`nu`, if negated, and the clitic, before a full verb; colloquially they contract."""
        if negated and self.register == _COLLOQUIAL:
            return _NEGATED[clitic]
        return _join("nu" if negated else None, clitic)

    def perfect(self, verb: Variant, negated: bool, plural: bool, clitic: str | None) -> str:
        auxiliary = _PERFECTS[clitic] + ("au" if plural else "a")
        participle = verb["participle"] + ("-o" if clitic == "o" else "")
        if negated and self.register == _COLLOQUIAL and not _PERFECTS[clitic]:
            return f"n-{auxiliary} {participle}"
        return _join("nu" if negated else None, auxiliary, participle)

    def future(self, verb: Variant, negated: bool, plural: bool, clitic: str | None) -> str:
        if self.register == _COLLOQUIAL:
            return _join("n-o" if negated else "o", self.subjunctive(verb, False, clitic))
        return _join("nu" if negated else None, clitic, "vor" if plural else "va", verb["infinitive"])

    def subjunctive(self, verb: Variant, negated: bool, clitic: str | None) -> str:
        if negated:
            return _join("să", self.negation(True, clitic), verb["subjunctive"])
        particle = _join("să", clitic) if self.register == _FORMAL else _SUBJUNCTIVES[clitic]
        return _join(particle, verb["subjunctive"])
