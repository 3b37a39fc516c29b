"""French sentences: agreement, elision, contraction; passé simple and "ne … pas" when written, neither when spoken."""

import random
import re
from dataclasses import replace
from typing import NamedTuple

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

FIELDS = {
    "nouns": ("singular", "plural", "gender"),
    "places": ("phrase",),
    "verbs": ("infinitive", "present", "plural", "preterite", "future", "participle"),
    "adjectives": ("masculine", "feminine"),
    "manners": ("phrase",),
    "times": ("phrase",),
    "numerals": ("form",),
    "conjunctions": ("form",),
}

WRITTEN, SPOKEN = 0, 1
IMPERFECT, PRETERITE, SUBJUNCTIVE, GOING_TO = "imperfect", "preterite", "subjunctive", "going to"
PERFECT, PLUPERFECT, ANTERIOR, FUTURE_PERFECT = "perfect", "pluperfect", "anterior", "future perfect"
INFINITIVE, PERFECT_INFINITIVE = "infinitive", "perfect infinitive"

# The tense of the auxiliary that makes a compound tense.
COMPOUND = {PERFECT: PRESENT, PLUPERFECT: IMPERFECT, ANTERIOR: PRETERITE, FUTURE_PERFECT: FUTURE}

AVOIR = {"infinitive": "avoir", "present": "a", "plural": "ont", "imperfect": "avait", "preterite": "eut"}
AVOIR |= {"future": "aura", "participle": "eu", "subjunctive": "ait", "subjunctive_plural": "aient"}
ETRE = {"infinitive": "être", "present": "est", "plural": "sont", "imperfect": "était", "preterite": "fut"}
ETRE |= {"future": "sera", "participle": "été", "subjunctive": "soit", "subjunctive_plural": "soient"}
ALLER = {"present": "va", "plural": "vont"}


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """The meaning as a French sentence. The draws from rng are four whatever the meaning is."""
    register = SPOKEN if rng.random() < SECOND_REGISTER else WRITTEN
    subordinate_first, fronted, passive = rng.random() < 0.35, rng.random() < 0.35, rng.random() < 0.2
    # The classical rule: what happened today stands in the perfect, the preterite is for what happened before.
    analytic = register == SPOKEN or (meaning.main.tense, meaning.main.time) == (PAST, "today")
    text = _Sentence(lexicon, register, analytic, meaning).text(subordinate_first, fronted, passive)
    if len(text.split()) < 4:
        # Elision and a tense of one word would make a very short sentence.
        text = _Sentence(lexicon, register, True, meaning).text(subordinate_first, fronted, passive)
    return text


class Agreement(NamedTuple):
    """What articles, adjectives, participles and pronouns agree with."""

    feminine: bool
    plural: bool


class _Sentence:
    """One sentence in one register; analytic: it has the perfect and "va dormir", not the preterite and "dormira"."""

    def __init__(self, lexicon: Lexicon, register: int, analytic: bool, meaning: Meaning) -> None:
        self.lexicon, self.register, self.analytic, self.meaning = lexicon, register, analytic, meaning

    def word(self, section: str, concept: str) -> Variant:
        variants = self.lexicon[section][concept]
        return variants[self.register % len(variants)]

    def phrase(self, section: str, concept: str | None) -> str:
        return self.word(section, concept)["phrase"] if concept else ""

    def conjunction(self, name: str) -> str:
        return self.word("conjunctions", name)["form"]

    # Sentences

    def text(self, subordinate_first: bool, fronted: bool, passive: bool) -> str:
        """Of two subordinate clauses that of time may come first; who does a second thing does it next to the first."""
        meaning, reason = self.meaning, self.meaning.reason
        moment = self.moment(*meaning.moment) if meaning.moment else ""
        first = ""
        if subordinate_first and moment:
            first, moment = moment, ""
        elif subordinate_first and reason:
            first, reason = self.subordinate("since", reason), None
        parts = [f"{first}," if first else "", self.main(fronted and not first, passive)]
        same = bool(meaning.addition) and meaning.addition[1].same_subject
        if same:
            parts.append(self.addition(*meaning.addition))
        parts.append(moment)
        if reason:
            # "car" joins two sentences, so a comma precedes it; "parce que" needs one only after another clause.
            parts += ["," * (self.register == WRITTEN or bool(moment)), self.subordinate("because", reason)]
        if meaning.addition and not same:
            parts.append(self.addition(*meaning.addition))
        return _polished(parts)

    def main(self, fronted: bool, passive: bool) -> str:
        """An object is made the subject, or put first, if it is definite and no other clause has a mere pronoun."""
        clause, meaning = self.meaning.main, self.meaning
        others = (meaning.reason, meaning.moment and meaning.moment[1], meaning.addition and meaning.addition[1])
        movable = clause.object and clause.object.definite and not any(other and other.same_subject for other in others)
        movable = movable and not {"preposition", "with"} & self.word("verbs", clause.verb).keys()
        if movable and passive:
            return self.passive(clause, fronted)
        if movable and fronted and self.register == SPOKEN:
            return self.active(clause, self.tense(clause), dislocated=True)
        return self.active(clause, self.tense(clause), fronted=fronted)

    def subordinate(self, name: str, clause: Clause) -> str:
        """A clause of time speaks of the future in the future tense of one word: "quand il dormira"."""
        tense = FUTURE if name == "when" and clause.tense == FUTURE else self.tense(clause)
        return _joined(self.conjunction(name), self.active(clause, tense))

    def moment(self, name: str, clause: Clause) -> str:
        """A clause of time; "avant" and "après" take an infinitive if it has the subject of the main clause."""
        if name == "when":
            return self.subordinate(name, clause)
        if clause.same_subject:
            words, tense = ("avant de", INFINITIVE) if name == "before" else ("après", PERFECT_INFINITIVE)
            return _joined(words, self.active(clause, tense, subject=""))
        if name == "before":
            return _joined("avant que", self.active(clause, SUBJUNCTIVE))
        past = PLUPERFECT if self.analytic else ANTERIOR
        tense = {PAST: past, PRESENT: PERFECT, FUTURE: FUTURE_PERFECT}[clause.tense]
        return _joined("après que", self.active(clause, tense))

    def addition(self, name: str, clause: Clause) -> str:
        """A second main clause; who writes does not repeat the subject, who speaks says a pronoun."""
        thing = self.meaning.main.object
        bare = name == "and" and clause.same_subject and not (thing and thing.relative)
        subject = "" if clause.same_subject and self.register == WRITTEN else self.subject(clause)
        return _joined("" if bare else ",", self.conjunction(name), self.active(clause, self.tense(clause), subject))

    # Clauses

    def active(
        self, clause: Clause, tense: str, subject: str | None = None, fronted: bool = False, dislocated: bool = False
    ) -> str:
        """A clause; subject: if it is not its own; dislocated: its object comes first, with a pronoun in its place."""
        subject = self.subject(clause) if subject is None else subject
        agreement = self.agreement(clause.subject)
        front, early, manner, time, place = self.adjuncts(clause, fronted)
        if clause.verb == "be":
            state = self.verb(ETRE, tense, agreement, self.negation(clause, tense))
            return _joined(front, subject, state, self.adjective(clause.predicate, agreement), time, place)
        verb = self.word("verbs", clause.verb)
        ne, pas = self.negation(clause, tense)
        thing, pronoun = clause.object, None
        if dislocated:
            front, thing, pronoun = f"{self.noun_phrase(thing)},", None, self.agreement(thing)
        preposition, negative = verb.get("preposition", ""), ""
        if thing and clause.negated and not clause.manner and not thing.definite and thing.number < 2:
            # "pas de pain", "pas besoin de pain", but "à aucune question".
            negative = "de" if preposition in ("", "de") else "aucun"
            pas = pas if negative == "de" else ""
        group = self.verb(verb, tense, agreement, (ne, pas), early, pronoun)
        phrase = self.noun_phrase(thing, preposition, negative) if thing else ""
        heavy = bool(thing and thing.relative)
        if heavy and not preposition and not negative:
            rest = (manner, time, place, phrase)
        elif heavy or self.register == WRITTEN:
            rest = (manner, phrase, time, place)
        else:
            rest = (phrase, manner, time, place)
        return _joined(front, subject, group, *rest)

    def passive(self, clause: Clause, fronted: bool) -> str:
        verb, agreement = self.word("verbs", clause.verb), self.agreement(clause.object)
        front, early, manner, time, place = self.adjuncts(clause, fronted)
        tense = self.tense(clause)
        group = self.verb(ETRE, tense, agreement, self.negation(clause, tense), early)
        agent = f"par {self.noun_phrase(clause.subject)}"
        rest = (time, place, agent) if clause.subject.relative else (agent, time, place)
        return _joined(front, self.noun_phrase(clause.object), group, _participle(verb, agreement), manner, *rest)

    def adjuncts(self, clause: Clause, fronted: bool) -> tuple[str, str, str, str, str]:
        """(what stands in front, adverb right after the finite verb, manner after the whole verb, time, place).

        Fronted, the time goes to the front, or else the place.
        """
        adverb = self.word("manners", clause.manner) if clause.manner else {"phrase": ""}
        manners = (adverb["phrase"], "") if adverb.get("early") else ("", adverb["phrase"])
        time, place = self.phrase("times", clause.time), self.phrase("places", clause.place)
        if not fronted or not (time or place):
            return "", *manners, time, place
        return f"{time or place},", *manners, "", place if time else ""

    def subject(self, clause: Clause) -> str:
        if not clause.same_subject:
            return self.noun_phrase(clause.subject)
        agreement = self.agreement(clause.subject)
        return ("elle" if agreement.feminine else "il") + "s" * agreement.plural

    # Verbs

    def tense(self, clause: Clause) -> str:
        """States in the past stand in the imperfect, events in the preterite or the perfect."""
        if clause.tense == PAST:
            if clause.verb == "be" or "imperfect" in self.word("verbs", clause.verb):
                return IMPERFECT
            return PERFECT if self.analytic else PRETERITE
        return GOING_TO if clause.tense == FUTURE and self.analytic else clause.tense

    def negation(self, clause: Clause, tense: str) -> tuple[str, str]:
        """("ne", "pas"): spoken without "ne", while in writing "avant que" has one that means nothing."""
        ne = "ne" if self.register == WRITTEN and (clause.negated or tense == SUBJUNCTIVE) else ""
        return ne, "pas" if clause.negated else ""

    def verb(
        self,
        verb: Variant,
        tense: str,
        subject: Agreement,
        negation: tuple[str, str] = ("", ""),
        early: str = "",
        pronoun: Agreement | None = None,
    ) -> str:
        """The verb with its negation, its pronoun and an early adverb: "ne s'est pas souvent servie"."""
        ne, pas = negation
        clitic, auxiliary, agreement = "", ETRE, subject
        if verb.get("reflexive"):
            clitic = "se"
        elif verb.get("auxiliary") != "être":
            # With "avoir" the participle agrees only with an object that precedes it.
            auxiliary, agreement = AVOIR, pronoun or Agreement(False, False)
        if pronoun:
            clitic = "les" if pronoun.plural else "la" if pronoun.feminine else "le"
        participle = _participle(verb, agreement)
        if tense == INFINITIVE:
            words = [ne, pas, clitic, verb["infinitive"], early]
        elif tense == PERFECT_INFINITIVE:
            words = [ne, pas, clitic, auxiliary["infinitive"], early, participle]
        elif tense == GOING_TO:
            words = [ne, _finite(ALLER, PRESENT, subject.plural), pas, early, clitic, verb["infinitive"]]
        elif tense in COMPOUND:
            words = [ne, clitic, _finite(auxiliary, COMPOUND[tense], subject.plural), pas, early, participle]
        else:
            words = [ne, clitic, _finite(verb, tense, subject.plural), pas, early]
        return _joined(*words, verb.get("with", ""))

    # Noun phrases

    def agreement(self, entity: Entity) -> Agreement:
        return Agreement(self.word("nouns", entity.noun)["gender"] == "f", entity.plural)

    def noun_phrase(self, entity: Entity, preposition: str = "", negative: str = "") -> str:
        """negative: what a negated verb makes of an indefinite article, "de" or "aucun"."""
        noun, agreement = self.word("nouns", entity.noun), self.agreement(entity)
        if negative == "aucun":
            agreement = agreement._replace(plural=False)
        name = noun["plural" if agreement.plural else "singular"]
        adjective = self.adjective(entity.adjective, agreement, name) if entity.adjective else ""
        before = adjective and self.word("adjectives", entity.adjective).get("before")
        article = self.article(entity, noun, agreement, bool(before), negative)
        if preposition.endswith("de") and article in ("de", "des", "de le", "de la"):
            article = ""
        number = self.word("numerals", str(entity.number))["form"] if entity.number > 1 else ""
        relative = ""
        if entity.relative:
            relative = self.active(replace(entity.relative, subject=entity), self.tense(entity.relative), subject="qui")
        described = (adjective, name) if before else (name, adjective)
        return _joined(preposition, article, number, *described, relative)

    def article(self, entity: Entity, noun: Variant, agreement: Agreement, preceded: bool, negative: str) -> str:
        """preceded: an adjective stands before the noun ("de jeunes chevaux" in writing, "des jeunes chevaux")."""
        if entity.definite:
            return "les" if agreement.plural else "la" if agreement.feminine else "le"
        if negative:
            return negative + "e" * (negative == "aucun" and agreement.feminine)
        if entity.number > 1:
            return ""
        if entity.plural:
            return "de" if preceded and self.register == WRITTEN else "des"
        if noun.get("mass"):
            return "de la" if agreement.feminine else "de le"
        return "une" if agreement.feminine else "un"

    def adjective(self, concept: str, agreement: Agreement, noun: str = "") -> str:
        """noun: before which it may stand ("un vieil outil")."""
        adjective = self.word("adjectives", concept)
        if adjective.get("invariable"):
            return adjective["masculine"]
        if "vowel" in adjective and agreement == (False, False) and _VOWEL.match(noun):
            return adjective["vowel"]
        gender = "feminine" if agreement.feminine else "masculine"
        return adjective.get(f"{gender}_plural", _plural(adjective[gender])) if agreement.plural else adjective[gender]


# Every h of the lexicon is mute.
_VOWEL = re.compile("[aeiouhàâéèêëîïôœ]")


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _plural(word: str) -> str:
    return word if word.endswith(("s", "x")) else word + "s"


def _participle(verb: Variant, agreement: Agreement) -> str:
    participle = verb["participle"] + "e" * agreement.feminine
    return _plural(participle) if agreement.plural else participle


def _finite(verb: Variant, tense: str, plural: bool) -> str:
    """The third person of a tense of one word; the plural is made from the singular."""
    if tense == PRESENT:
        return verb["plural" if plural else "present"]
    if tense == SUBJUNCTIVE:
        singular = verb.get("subjunctive", verb["plural"].removesuffix("nt"))
        return verb.get("subjunctive_plural", singular + "nt") if plural else singular
    singular = verb[tense]
    # mangea, mangèrent; lut, lurent; dormira, dormiront; portait, portaient.
    ending, plural_ending = {FUTURE: ("a", "ont"), IMPERFECT: ("t", "ent")}.get(tense, ("e?a|t", ""))
    if not plural_ending:
        plural_ending = "rent" if singular.endswith("t") else "èrent"
    return re.sub(f"({ending})$", plural_ending, singular) if plural else singular


def _polished(parts: list[str]) -> str:
    """Words run together as French has it (l'eau, du, aux), a capital first letter and a full stop."""
    text = re.sub(r" +,", ",", _joined(*parts))
    text = re.sub(rf"\b(l|d|n|s|(?:lors|puis)?qu)[ea] (?={_VOWEL.pattern})", r"\1'", text)
    for apart, together in (("à le", "au"), ("à les", "aux"), ("de le", "du"), ("de les", "des")):
        text = re.sub(rf"\b{apart}\b", together, text)
    return text[0].upper() + text[1:] + "."
