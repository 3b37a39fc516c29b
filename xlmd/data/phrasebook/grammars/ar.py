"""Arabic: verb-first and subject-first clauses and their agreement, duals, cases, attached particles and pronouns."""

import random
import re
from dataclasses import dataclass

from xlmd.data.phrasebook.lexicon import SECOND_REGISTER, Lexicon, Variant
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

FIELDS = {
    "nouns": ("singular", "plural", "gender", "kind"),
    "places": ("phrase",),
    "verbs": ("past", "present"),
    "adjectives": ("masculine", "plural"),
    "manners": ("phrase",),
    "times": ("phrase",),
    "numerals": ("masculine", "feminine"),
    "conjunctions": ("word",),
}

_FORMAL, _PLAIN = 0, 1
_NOMINATIVE, _ACCUSATIVE, _GENITIVE = "nominative", "accusative", "genitive"
_INDICATIVE, _SUBJUNCTIVE, _JUSSIVE = "indicative", "subjunctive", "jussive"

# Agreement is gender (m, f) and number (s, d, p) in two letters.
_PRONOUNS = {"ms": "هو", "fs": "هي", "md": "هما", "fd": "هما", "mp": "هم", "fp": "هن"}
_ATTACHED = {"ms": "ه", "fs": "ها", "md": "هما", "fd": "هما", "mp": "هم", "fp": "هن"}
_RELATIVES = {"ms": "الذي", "fs": "التي", "md": "اللذان", "fd": "اللتان", "mp": "الذين"}
_RELATIVES_OF_WOMEN = ("اللواتي", "اللاتي")

_BE = {"past": "كان", "present": "يكون", "past_short": "كن", "present_short": "يكن"}
_BE_NOT = {"past": "ليس", "past_short": "لس"}
_DO = {"past": "قام", "present": "يقوم", "past_short": "قم", "present_short": "يقم"}
_BE_DONE = {"past": "تم", "present": "يتم"}

# Broken plurals like رسائل and تقارير have no nunation, and so no ا in the accusative.
_DIPTOTE = re.compile("..ا.ي?.")
_WITHOUT_ALIF = ("ة", "اء", "ى", "ات")


def render(meaning: Meaning, lexicon: Lexicon, rng: random.Random) -> str:
    """The meaning as an Arabic sentence, without vowel signs.

    Drawn once a sentence: register, verb or subject first (formal Arabic prefers the verb), subordinate clause first or
    last, time or place fronted, active or passive. The draws are five whatever the meaning is.
    """
    register = _FORMAL if rng.random() < 1 - SECOND_REGISTER else _PLAIN
    verb_first = rng.random() < (0.35, 0.7)[register == _FORMAL]
    subordinate_first, fronted, passive = rng.random() < 0.35, rng.random() < 0.35, rng.random() < 0.2
    sentence = _Sentence(lexicon, register, verb_first).text(meaning, subordinate_first, fronted, passive)
    if len(sentence.split()) < 4:
        # So short a statement sounds like a headline: Arabic opens it with a particle of emphasis.
        sentence = _Sentence(lexicon, register, verb_first, emphatic=True).text(meaning, False, False, passive)
    return sentence + "."


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _inflected(word: str, number: str, case: str, definite: bool, defective: bool = False) -> str:
    """A noun or an adjective: from its singular (s, d) or its plural (p), with article and endings that are written."""
    if number == "d":
        word = re.sub("ة$", "ت", word) + ("ان" if case == _NOMINATIVE else "ين")
    elif number == "p" and word.endswith("ون") and case != _NOMINATIVE:
        word = word.removesuffix("ون") + "ين"
    elif not definite and case == _ACCUSATIVE:
        if not word.endswith(_WITHOUT_ALIF) and not (number == "p" and _DIPTOTE.fullmatch(word)):
            word += "ا"
    elif not definite and defective and number == "s":
        word = word.removesuffix("ي")
    return "ال" + word if definite else word


def _with(preposition: str, phrase: str) -> str:
    """A preposition before its noun; those of one letter are attached, and ل swallows the alif of the article."""
    if len(preposition) != 1:
        return _join(preposition, phrase)
    if preposition == "ل":
        phrase = re.sub("^ال(?=ل)|^ا(?=ل)", "", phrase)
    return preposition + phrase


def _past(verb: Variant, agreement: str) -> str:
    stem = verb["past"]
    # A defective verb shows its last radical before some endings and drops it before others: غنى, غنيا, غنت, غنوا.
    root = re.sub("ى$", "ي", re.sub("ا$", "و", stem))
    forms = {
        "ms": stem,
        "fs": re.sub("[اى]$", "", stem) + "ت",
        "md": root + "ا",
        "fd": re.sub("[اى]$", "", stem) + "تا",
        "mp": re.sub("[يو]$", "", root) + "وا",
        "fp": _nun(verb.get("past_short", root)),
    }
    return _hamza(forms[agreement])


def _present(verb: Variant, agreement: str, mood: str) -> str:
    stem = verb["present"]
    short = verb.get("present_short", stem)
    defective = stem[-1] in "ىيو"
    root = re.sub("ى$", "ي", stem)
    if agreement[1] == "d":
        form = root + "ا" + "ن" * (mood == _INDICATIVE)
    elif agreement == "mp":
        form = (root[:-1] if defective else root) + ("ون" if mood == _INDICATIVE else "وا")
    elif agreement == "fp":
        form = _nun(re.sub("ى$", "ي", short))
    elif mood == _JUSSIVE:
        # A hollow verb loses its long vowel (ينام, ينم), a doubled one stays as it is (يحب).
        form = stem[:-1] if defective else min(stem, short, key=len)
    else:
        form = stem
    return _hamza("ت" + form[1:] if agreement in ("fs", "fd") else form)


def _nun(stem: str) -> str:
    """The stem before the -ن of women; two ن are written as one."""
    return stem if stem.endswith("ن") else stem + "ن"


def _hamza(form: str) -> str:
    """The seat of a hamza before an ending: قرأ, قرآ, قرؤوا."""
    return re.sub("أ(?=و[ان]$)", "ؤ", re.sub("أا(?=ن?$)", "آ", form))


def _attach(form: str, pronoun: str, mood: str | None = None) -> str:
    """A verb with its object: اشتراه, and in the indicative يقرؤه."""
    if pronoun and mood == _INDICATIVE:
        form = re.sub("أ$", "ؤ", form)
    return re.sub("ى$", "ا", form) + pronoun if pronoun else form


@dataclass(frozen=True)
class _Sentence:
    """One sentence in one register."""

    lexicon: Lexicon
    register: int
    verb_first: bool
    emphatic: bool = False

    def text(self, meaning: Meaning, subordinate_first: bool, fronted: bool, passive: bool) -> str:
        moment = self.moment(*meaning.moment) if meaning.moment else ""
        reason = self.stated(meaning.reason, self.conjunction("because")) if meaning.reason else ""
        before = (moment or reason) if subordinate_first else ""
        after = "، ".join(clause for clause in (reason, moment) if clause and clause != before)
        main = self.main(meaning, bool(before), fronted and not before, passive)
        text = f"{before}، {main}" if before else main
        if not meaning.addition:
            return _join(text, after)
        conjunction, clause = meaning.addition
        addition = self.addition(conjunction, clause)
        if clause.same_subject:
            return _join(text + "،" * (conjunction == "but"), addition, after)
        return f"{_join(text, after)}، {addition}"

    def word(self, section: str, concept: str) -> Variant:
        variants = self.lexicon[section][concept]
        return variants[self.register % len(variants)]

    def phrase(self, section: str, concept: str | None) -> str:
        return self.word(section, concept)["phrase"] if concept else ""

    def conjunction(self, concept: str) -> str:
        return self.word("conjunctions", concept)["word"]

    # Clauses

    def main(self, meaning: Meaning, after_clause: bool, fronted: bool, passive: bool) -> str:
        """A passive needs a definite object, and a subject that no other clause leaves out or says as a pronoun."""
        clause = meaning.main
        others = [meaning.reason, *(pair[1] for pair in (meaning.moment, meaning.addition) if pair)]
        if not clause.object or not clause.object.definite or any(other and other.same_subject for other in others):
            passive = False
        if passive and self.register == _PLAIN:
            return self.topicalised(clause)
        front = (self.phrase("times", clause.time) or self.phrase("places", clause.place)) if fronted else ""
        if passive and "masdar" in self.verb(clause) and not (clause.subject.relative and clause.object.relative):
            return self.passive(clause, front)
        if after_clause or front or self.starts_with_verb(clause):
            return _join("لقد" if self.emphatic and clause.tense == PAST else "", self.verbal(clause, front))
        # Formal Arabic introduces a clause that opens with its subject.
        return self.stated(clause, "إن" if self.register == _FORMAL or self.emphatic else "")

    def starts_with_verb(self, clause: Clause) -> bool:
        """A subject that is not definite cannot open a clause; one with a clause of its own had better do so."""
        return not clause.subject.definite or (self.verb_first and not clause.subject.relative)

    def moment(self, conjunction: str, clause: Clause) -> str:
        """A clause of time; what is still to come stands in the present tense, after أن in the subjunctive."""
        word = self.conjunction(conjunction)
        tense = PAST if clause.tense == PAST and conjunction != "before" else PRESENT
        mood = _SUBJUNCTIVE if word.endswith("أن") and tense == PRESENT else _INDICATIVE
        return _join(word, self.verbal(clause, "", tense, mood))

    def addition(self, conjunction: str, clause: Clause) -> str:
        word = self.conjunction(conjunction)
        if conjunction == "but":
            return self.stated(clause, word)
        verb_first = clause.same_subject or self.starts_with_verb(clause)
        return word + (self.verbal(clause) if verb_first else self.stated(clause))

    def stated(self, clause: Clause, particle: str = "") -> str:
        """Subject first; after a particle (إن, لأن, لكن) it stands in the accusative, or is an attached pronoun."""
        agreement = self.agreement(clause.subject)
        if clause.same_subject:
            return _join(particle + _ATTACHED[agreement], self.predicate(clause, agreement))
        if particle and clause.subject.relative and not clause.subject.definite:
            # A bare relative clause would be taken for the main one: "because it waited a doctor who read the book".
            return _join(particle + _ATTACHED["ms"], self.verbal(clause))
        subject = self.entity(clause.subject, _ACCUSATIVE if particle else _NOMINATIVE)
        return _join(particle, subject, self.predicate(clause, agreement))

    def verbal(self, clause: Clause, front: str = "", tense: str | None = None, mood: str = _INDICATIVE) -> str:
        """Verb first, and so in the singular whatever its subject, unless that goes unsaid. front: what precedes it."""
        agreement, settings = self.agreement(clause.subject), self.settings(clause, front)
        if not clause.same_subject:
            agreement = agreement[0] + "s"
        subject = "" if clause.same_subject else self.entity(clause.subject, _NOMINATIVE)
        verb, thing = self.verb(clause), self.complement(clause, tense)
        heavy = clause.subject.relative is not None and not clause.same_subject
        long = clause.object is not None and clause.object.relative is not None
        direct = clause.object is not None and "preposition" not in verb
        # "A doctor" right before "the wounds" would read as "the doctor of the wounds", so the object goes first.
        annexed = direct and subject and clause.object.definite and not clause.subject.definite
        object_first = annexed and not long and (self.is_visible(clause.subject) or not self.is_alike(clause))
        # Unsaid, the doctor who called the surgeon would seem to be the one who was called.
        mistakable = direct and not subject and agreement[1] == "s" and self.is_alike(clause)
        doubtful = heavy or (annexed and not object_first) or (mistakable and not self.is_visible(clause.object))
        if direct and "masdar" in verb and doubtful:
            # Where nobody could tell subject and object: "did the treating of the patient".
            verb, thing = _DO, _with("ب", _join(verb["masdar"], self.entity(clause.object, _GENITIVE)))
        happens = _join(front, self.finite(verb, agreement, clause, tense, mood))
        if object_first and verb is not _DO:
            return _join(happens, thing, *((*settings, subject) if heavy else (subject, *settings)))
        if heavy and (not thing or long):
            return _join(happens, *settings, subject, thing)
        return _join(happens, subject, *self.in_order(clause, thing, settings))

    def is_alike(self, clause: Clause) -> bool:
        """Whether neither gender nor sense tells the subject from the object."""
        same_gender = self.agreement(clause.subject)[0] == self.agreement(clause.object)[0]
        return same_gender and self.is_person(clause.object)

    def is_visible(self, entity: Entity) -> bool:
        """Whether the spelling shows the entity's case."""
        return self.entity(entity, _NOMINATIVE) != self.entity(entity, _ACCUSATIVE)

    def predicate(self, clause: Clause, agreement: str) -> str:
        """All but the subject, which precedes."""
        verb = self.finite(self.verb(clause), agreement, clause)
        return _join(verb, *self.in_order(clause, self.complement(clause, None, agreement), self.settings(clause)))

    def passive(self, clause: Clause, front: str) -> str:
        """The formal passive: "the treating of the patient was done by the doctor"."""
        verb, thing, settings = self.verb(clause), self.entity(clause.object, _GENITIVE), self.settings(clause, front)
        done = self.finite(_BE_DONE, "fs" if verb["masdar"].endswith("ة") else "ms", clause)
        if "preposition" in verb:
            deed = f"ال{verb['masdar']} {_with(verb['preposition'], thing)}"
        else:
            deed = f"{verb['masdar']} {thing}"
        agent = "من قبل " + self.entity(clause.subject, _GENITIVE)
        if clause.object.relative:
            return _join(front, done, agent, *settings, deed)
        return _join(front, done, deed, *((*settings, agent) if clause.subject.relative else (agent, *settings)))

    def topicalised(self, clause: Clause) -> str:
        """The plain counterpart of a passive: "the patient, the doctor treated him"."""
        verb, pronoun = self.verb(clause), _ATTACHED[self.agreement(clause.object)]
        topic = self.entity(clause.object, _ACCUSATIVE if self.emphatic else _NOMINATIVE)
        attached = "" if "preposition" in verb else pronoun
        happens = self.finite(verb, self.agreement(clause.subject)[0] + "s", clause, pronoun=attached)
        if "preposition" in verb:
            happens += f" {re.sub('ى$', 'ي', verb['preposition'])}{pronoun}"
        subject, settings = self.entity(clause.subject, _NOMINATIVE), self.settings(clause)
        rest = (*settings, subject) if clause.subject.relative else (subject, *settings)
        return _join("إن" if self.emphatic else "", topic, happens, *rest)

    def complement(self, clause: Clause, tense: str | None, agreement: str = "") -> str:
        """The object, or the predicate adjective: in the accusative unless there is no verb."""
        if clause.predicate:
            case = _ACCUSATIVE
            if (tense or clause.tense) == PRESENT:
                case = _NOMINATIVE if not clause.negated else _ACCUSATIVE if self.register == _FORMAL else _GENITIVE
            return self.adjective(clause.predicate, agreement or self.agreement(clause.subject), case, False)
        if not clause.object:
            return ""
        preposition = self.verb(clause).get("preposition", "")
        none = clause.negated and not clause.object.definite and clause.object.number == 0
        thing = self.entity(clause.object, _GENITIVE if preposition or none else _ACCUSATIVE)
        return _with(preposition, "أي " + thing if none else thing)

    def settings(self, clause: Clause, front: str = "") -> list[str]:
        """Manner, place and time, but for what stands in front."""
        place, time = self.phrase("places", clause.place), self.phrase("times", clause.time)
        return [self.phrase("manners", clause.manner), *(setting for setting in (place, time) if setting != front)]

    @staticmethod
    def in_order(clause: Clause, thing: str, settings: list[str]) -> list[str]:
        """Where and when come last, but do not follow a clause about the object, to which they would seem to belong."""
        return [*settings, thing] if clause.object and clause.object.relative else [thing, *settings]

    # Noun phrases

    def is_person(self, entity: Entity) -> bool:
        return self.word("nouns", entity.noun)["kind"] == "person"

    def agreement(self, entity: Entity) -> str:
        """How verbs, adjectives and pronouns agree: with a plural of things in the feminine singular."""
        gender = self.word("nouns", entity.noun)["gender"]
        if entity.number in (1, 2):
            return gender + "sd"[entity.number - 1]
        return gender + "p" if self.is_person(entity) else "fs"

    def entity(self, entity: Entity, case: str) -> str:
        """The noun with what describes it. Three to five of something precede it, or follow it if it is definite."""
        noun = self.word("nouns", entity.noun)
        numeral = ""
        if entity.number > 2:
            numeral = self.word("numerals", str(entity.number))["masculine" if noun["gender"] == "m" else "feminine"]
            case = case if entity.definite else _GENITIVE
        number = {1: "s", 2: "d"}.get(entity.number, "p")
        name = noun["plural" if number == "p" else "singular"]
        name = _inflected(name, number, case, entity.definite, bool(noun.get("defective")))
        adjective, relative = "", self.relative(entity, case) if entity.relative else ""
        if entity.adjective:
            specific = f"{entity.adjective}_thing"
            if self.is_person(entity) or specific not in self.lexicon["adjectives"]:
                specific = entity.adjective
            adjective = self.adjective(specific, self.agreement(entity), case, entity.definite)
        if entity.definite:
            return _join(name, adjective, "ال" + numeral if numeral else "", relative)
        return _join(numeral, name, adjective, relative)

    def adjective(self, concept: str, agreement: str, case: str, definite: bool) -> str:
        adjective, gender, number = self.word("adjectives", concept), agreement[0], agreement[1]
        if gender == "m":
            word = adjective["plural" if number == "p" else "masculine"]
            return _inflected(word, number, case, definite, bool(adjective.get("defective")))
        return _inflected(adjective["masculine"] + ("ات" if number == "p" else "ة"), number, case, definite)

    def relative(self, entity: Entity, case: str) -> str:
        """A clause about the noun. One about an indefinite noun just follows it, in the present as an adjective."""
        clause, agreement = entity.relative, self.agreement(entity)
        state = clause.predicate and clause.tense == PRESENT and not clause.negated
        if not entity.definite:
            if state:
                return self.adjective(clause.predicate, agreement, case, False)
            return self.predicate(clause, agreement)
        pronoun = _RELATIVES_OF_WOMEN[self.register] if agreement == "fp" else _RELATIVES[agreement]
        if agreement[1] == "d" and case != _NOMINATIVE:
            pronoun = pronoun.removesuffix("ان") + "ين"
        return _join(pronoun, _PRONOUNS[agreement] if state else "", self.predicate(clause, agreement))

    # Verbs

    def verb(self, clause: Clause) -> Variant:
        if clause.predicate:
            return _BE
        specific = f"{clause.verb}_person"
        if specific in self.lexicon["verbs"] and clause.object and self.is_person(clause.object):
            return self.word("verbs", specific)
        return self.word("verbs", clause.verb)

    def finite(
        self, verb: Variant, agreement: str, clause: Clause, tense: str | None = None, mood: str = "", pronoun: str = ""
    ) -> str:
        """The verb with its negation or particle of the future, and an attached object; "is" goes unsaid."""
        tense, mood, formal = tense or clause.tense, mood or _INDICATIVE, self.register == _FORMAL
        if verb is _BE and tense == PRESENT and mood == _INDICATIVE:
            return "" if not clause.negated else _past(_BE_NOT, agreement) if formal else "غير"
        if tense == PAST:
            if clause.negated and formal:
                return "لم " + _attach(_present(verb, agreement, _JUSSIVE), pronoun)
            return _join("ما" if clause.negated else "", _attach(_past(verb, agreement), pronoun))
        if tense == FUTURE and clause.negated:
            return "لن " + _attach(_present(verb, agreement, _SUBJUNCTIVE), pronoun)
        form = _attach(_present(verb, agreement, mood), pronoun, mood)
        if tense == FUTURE:
            return f"سوف {form}" if formal or self.emphatic else f"س{form}"
        return _join("لا" if clause.negated else "", form)
