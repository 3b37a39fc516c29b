"""What a sentence of the phrasebook says, independently of any language."""

from dataclasses import dataclass

PAST, PRESENT, FUTURE = "past", "present", "future"


@dataclass(frozen=True)
class Entity:
    """A person or thing: "the two young doctors who treated the patient".

    number: 1, or a count that is spelled out (2..5), or 0 for a plural without a count. definite: "the" against "a" (a
    plural that is not definite has no article). relative: a clause whose subject is this entity itself.
    """

    noun: str
    number: int = 1
    definite: bool = True
    adjective: str | None = None
    relative: "Clause | None" = None

    @property
    def plural(self) -> bool:
        return self.number != 1


@dataclass(frozen=True)
class Clause:
    """Who does what to whom, where, when and how. verb "be" has a predicate adjective and no object.

    subject None: the entity that a relative clause belongs to. same_subject: the subject is the one of the clause
    before it, and a language says a pronoun (a subordinate clause) or nothing (a coordinate one).
    """

    verb: str
    subject: Entity | None
    tense: str
    object: Entity | None = None
    predicate: str | None = None
    negated: bool = False
    place: str | None = None
    time: str | None = None
    manner: str | None = None
    same_subject: bool = False


@dataclass(frozen=True)
class Meaning:
    """A sentence: a main clause with at most one clause of each kind around it.

    reason: "because …"; moment: (conjunction "when", "before" or "after"; clause); addition: (conjunction "and" or
    "but"; a second main clause).
    """

    topic: str
    main: Clause
    reason: Clause | None = None
    moment: tuple[str, Clause] | None = None
    addition: tuple[str, Clause] | None = None
