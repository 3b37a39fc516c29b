"""Meanings: sampled from what the phrasebook can talk about (xlmd/resources/phrasebook/meanings.yaml)."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from xlmd.data.phrasebook.lexicon import compose, error, mapping
from xlmd.data.phrasebook.meaning import FUTURE, PAST, PRESENT, Clause, Entity, Meaning

TENSES = (PAST, PRESENT, FUTURE)

# Every meaning belongs to exactly one split: these are the shares of the range of the hash of what happens in it.
SPLITS = {"pretrain": 0.45, "train": 0.45, "dev": 0.05, "test": 0.05}


@dataclass(frozen=True)
class Action:
    verb: str
    subjects: tuple[str, ...]
    objects: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """Nouns, places and actions that occur together; attributes and predicates: noun -> its adjectives."""

    name: str
    nouns: tuple[str, ...]
    places: tuple[str, ...]
    actions: tuple[Action, ...]
    attributes: dict[str, tuple[str, ...]]
    predicates: dict[str, tuple[str, ...]]

    @cached_property
    def deeds(self) -> tuple[tuple[Action, str], ...]:
        """Every action with each noun that can do it."""
        return tuple((action, noun) for action in self.actions for noun in action.subjects)


@dataclass(frozen=True)
class Concepts:
    """All that can be talked about. manners: verb -> manners; times: tense -> times; uncountable: never plural."""

    topics: tuple[Topic, ...]
    manners: dict[str, tuple[str, ...]]
    times: dict[str, tuple[str, ...]]
    uncountable: frozenset[str]

    def sections(self) -> dict[str, set[str]]:
        """The concepts that every lexicon must have, by section."""
        topics = self.topics
        return {
            "nouns": {noun for topic in topics for noun in topic.nouns},
            "places": {place for topic in topics for place in topic.places},
            "verbs": {action.verb for topic in topics for action in topic.actions},
            "adjectives": {
                adjective
                for topic in topics
                for fits in (topic.attributes, topic.predicates)
                for adjectives in fits.values()
                for adjective in adjectives
            },
            "manners": {manner for manners in self.manners.values() for manner in manners},
            "times": {time for times in self.times.values() for time in times},
            "numerals": {"2", "3", "4", "5"},
        }


def load_concepts(path: Path) -> Concepts:
    """Read meanings.yaml. Raises UserError naming file and line of an unknown noun, verb or tense."""
    root = _parts(path, compose(path), "topics", "manners", "times", "uncountable")
    topics = tuple(_topic(path, name, node) for name, _, node in mapping(path, root["topics"]))
    return Concepts(
        topics=topics,
        manners=_inverted(path, root["manners"], {action.verb for topic in topics for action in topic.actions}),
        times=_inverted(path, root["times"], set(TENSES)),
        uncountable=frozenset(_names(path, root["uncountable"], {noun for topic in topics for noun in topic.nouns})),
    )


def _topic(path: Path, name: str, node: yaml.Node) -> Topic:
    parts = _parts(path, node, "people", "things", "places", "actions", "attributes", "predicates")
    people, things = _names(path, parts["people"]), _names(path, parts["things"])
    nouns = people + things
    groups = {"people": people, "things": things}
    return Topic(
        name=name,
        nouns=nouns,
        places=_names(path, parts["places"]),
        actions=tuple(_action(path, action, set(nouns)) for action in parts["actions"].value),
        attributes=_inverted(path, parts["attributes"], set(nouns), groups),
        predicates=_inverted(path, parts["predicates"], set(nouns), groups),
    )


def _action(path: Path, node: yaml.Node, nouns: set[str]) -> Action:
    parts = _parts(path, node, "verb", "subjects")
    subjects = _names(path, parts["subjects"], nouns)
    objects = _names(path, parts["objects"], nouns) if "objects" in parts else ()
    if len(objects) == 1 and objects[0] in subjects:
        raise error(path, node, f"{objects[0]} could do this only to itself: give {parts['verb'].value} another object")
    return Action(parts["verb"].value, subjects, objects)


def _parts(path: Path, node: yaml.Node, *required: str) -> dict[str, yaml.Node]:
    parts = {name: value for name, _, value in mapping(path, node)}
    for name in required:
        if name not in parts:
            raise error(path, node, f"{name!r} is missing here")
    return parts


def _names(path: Path, node: yaml.Node, known: set[str] | None = None) -> tuple[str, ...]:
    if not isinstance(node, yaml.SequenceNode) or not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise error(path, node, "expected a list of names")
    for item in node.value:
        if known is not None and item.value not in known:
            raise error(path, item, f"{item.value!r} is not one of {', '.join(sorted(known))}")
    return tuple(item.value for item in node.value)


def _inverted(
    path: Path, node: yaml.Node, known: set[str], groups: dict[str, tuple[str, ...]] | None = None
) -> dict[str, tuple[str, ...]]:
    """{a: [x, y], b: [x]} -> {x: (a, b), y: (a,)}; a group's name stands for its members."""
    inverted: dict[str, tuple[str, ...]] = {}
    for name, _, members in mapping(path, node):
        group = (groups or {}).get(members.value) if isinstance(members, yaml.ScalarNode) else None
        for member in group or _names(path, members, known):
            inverted[member] = (*inverted.get(member, ()), name)
    return inverted


@dataclass(frozen=True)
class Size:
    """Sentences of `fewest` to `most` words: their share of a corpus and how often they take an optional part."""

    share: float
    fewest: int
    most: int
    adornment: float
    clauses: float


SIZES = (
    Size(0.66, 4, 9, 0.35, 0.0),
    Size(0.28, 10, 19, 0.65, 0.35),
    Size(0.035, 20, 29, 0.9, 0.75),
    Size(0.015, 30, 37, 1.2, 1.1),
    Size(0.01, 40, 41, 1.6, 1.5),
)


def sample(concepts: Concepts, split: str, rng: random.Random) -> Meaning:
    """One meaning of a split. Its size is drawn first, then meanings until one is of that size: lengths spread."""
    first, end = _range(split)
    drawn = rng.random()
    for size in SIZES:
        drawn -= size.share
        if drawn < 0:
            break
    while True:
        draft = _Draft(concepts, rng, size)
        if first <= draft.place_in_range() < end:
            meaning = draft.meaning()
            if size.fewest <= words(meaning) <= size.most and fewest_words(meaning) >= 4:
                return meaning


def meanings(concepts: Concepts, split: str, size: int, seed: int) -> Iterator[tuple[int, Meaning]]:
    """`size` different meanings of one split, each with the number of its draw.

    A draw depends on seed, split and its number alone, so a smaller corpus is the beginning of a larger one. Splits
    share no meaning whatever their seeds: who does what to whom, how many they are and when decides the split.
    """
    seen: set[Meaning] = set()
    number = 0
    while len(seen) < size:
        meaning = sample(concepts, split, random.Random(f"{seed}/{split}/{number}"))
        if meaning not in seen:
            seen.add(meaning)
            yield number, meaning
        number += 1


def _range(split: str) -> tuple[float, float]:
    names = list(SPLITS)
    first = sum(SPLITS[name] for name in names[: names.index(split)])
    return first, first + SPLITS[split]


def words(meaning: Meaning) -> int:
    """About how many words the meaning takes in a language with articles."""
    total = _clause_words(meaning.main, 0)
    if meaning.reason:
        total += _clause_words(meaning.reason, 1) + 1
    if meaning.moment:
        total += _clause_words(meaning.moment[1], 1) + 1
    if meaning.addition:
        total += _clause_words(meaning.addition[1], 0) + 1
    return total


def fewest_words(meaning: Meaning) -> int:
    """How few words a language that writes articles as suffixes can need for a bare main clause."""
    main = meaning.main
    optional = (main.subject.adjective, main.object, main.time, main.manner, meaning.reason, meaning.moment)
    verb = 1 + (main.tense != PRESENT or main.negated)
    return 1 + verb + 2 * bool(main.place) + sum(part is not None for part in optional)


def _clause_words(clause: Clause, pronoun: int) -> int:
    total = 1 + 2 * clause.negated if clause.tense != FUTURE else 3 + clause.negated
    if clause.subject is not None:
        total += pronoun if clause.same_subject else _entity_words(clause.subject)
    if clause.object is not None:
        total += _entity_words(clause.object)
    return total + bool(clause.predicate) + 3 * bool(clause.place) + 2 * bool(clause.time) + bool(clause.manner)


def _entity_words(entity: Entity) -> int:
    total = 1 + (entity.number > 1) + (entity.definite or entity.number == 1) + bool(entity.adjective)
    return total + (1 + _clause_words(entity.relative, 0) if entity.relative else 0)


class _Draft:
    """A meaning while it is made. numbers: of the nouns mentioned so far; said: verbs and adjectives used so far."""

    def __init__(self, concepts: Concepts, rng: random.Random, size: Size) -> None:
        self.random, self.concepts, self.size = rng.random, concepts, size
        self.topic = self.pick(concepts.topics)
        self.tense = self.pick(TENSES)
        # What holds anyway, as against what happens: "the king who is sad will laugh".
        self.standing = PRESENT if self.tense == FUTURE else self.tense
        self.numbers: dict[str, int] = {}
        self.said: set[str] = set()
        self.event = self.happening(self.topic.deeds)

    def pick(self, options: Sequence):
        """One of several, the first ones far more often than the last, as words of real text are: of n the first k with
        the probability (k/n)^(1/3)."""
        drawn = self.random()
        return options[int(drawn * drawn * drawn * len(options))]

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def place_in_range(self) -> float:
        """Where the hash of what happens falls between 0 and 1."""
        action, noun, thing, _, _ = self.event
        canonical = f"{self.tense} {noun} {self.numbers[noun]} {action.verb} {thing} {self.numbers.get(thing)}"
        return int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:6], "big") / 2**48

    def meaning(self) -> Meaning:
        adornment, clauses = self.size.adornment, self.size.clauses
        place = self.pick(self.topic.places) if self.chance(adornment * 0.5) else None
        time = self.pick(self.concepts.times[self.tense]) if self.chance(adornment * 0.5) else None
        main = self.clause(self.event, 0.15, adorned=True, place=place, time=time)
        reason = self.reason(main) if self.chance(clauses * 0.85) else None
        moment = self.moment(main) if self.chance(clauses * 0.65) else None
        addition = self.addition(main) if self.chance(clauses * 0.65) else None
        return Meaning(self.topic.name, main, reason, moment, addition)

    def happening(self, deeds: Sequence[tuple[Action, str]]) -> tuple[Action, str, str | None, bool, bool]:
        """(action, subject, object or None, whether each of the two was mentioned before)."""
        action, noun = self.pick(deeds)
        thing = None
        while action.objects and thing in (None, noun):
            thing = self.pick(action.objects)
        self.said.add(action.verb)
        known, known_thing = noun in self.numbers, thing in self.numbers
        for mentioned in (noun, thing):
            if mentioned is not None and mentioned not in self.numbers:
                self.numbers[mentioned] = self.number(mentioned)
        return action, noun, thing, known, known_thing

    def clause(
        self,
        happening: tuple[Action, str, str | None, bool, bool],
        negated: float,
        adorned: bool,
        same: Entity | None = None,
        place: str | None = None,
        time: str | None = None,
    ) -> Clause:
        action, noun, thing, known, known_thing = happening
        manners = self.concepts.manners.get(action.verb)
        return Clause(
            action.verb,
            same or self.entity(noun, known, 0.9, adorned),
            self.tense,
            object=self.entity(thing, known_thing, 0.65, adorned) if thing else None,
            negated=self.chance(negated),
            place=place,
            time=time,
            manner=self.pick(manners) if manners and self.chance(self.size.adornment * 0.4) else None,
            same_subject=same is not None,
        )

    def number(self, noun: str) -> int:
        if noun in self.concepts.uncountable or self.chance(0.7):
            return 1
        return 0 if self.chance(0.5) else 2 + int(self.random() * 4)

    def entity(self, noun: str, known: bool, definite: float, adorned: bool) -> Entity:
        """A noun with what describes it; what was mentioned before comes bare and definite."""
        number = self.numbers[noun]
        if known:
            return Entity(noun, 1 if number == 1 else 0)
        if number > 1:
            definite *= 0.5
        is_definite = noun in self.concepts.uncountable or self.chance(definite)
        adjectives = [name for name in self.topic.attributes.get(noun, ()) if name not in self.said]
        adjective = self.pick(adjectives) if adjectives and self.chance(self.size.adornment * 0.45) else None
        self.said.add(adjective)
        relative = self.relative(noun) if adorned and self.chance(self.size.adornment * 0.5 - 0.15) else None
        return Entity(noun, number, is_definite, adjective, relative)

    def relative(self, noun: str) -> Clause | None:
        """A short clause about the noun: what it is like, or what it does to a noun not mentioned yet."""
        if self.chance(0.6):
            return self.state(noun, None)
        options = [
            (action, thing)
            for action in self.topic.actions
            if noun in action.subjects and action.verb not in self.said
            for thing in action.objects
            if thing not in self.numbers
        ]
        if not options:
            return self.state(noun, None)
        action, thing = self.pick(options)
        self.said.add(action.verb)
        self.numbers[thing] = self.number(thing)
        return Clause(action.verb, None, self.standing, object=self.entity(thing, False, 0.65, False))

    def state(self, noun: str, subject: Entity | None, same: bool = False, negated: float = 0.0) -> Clause | None:
        """A clause that says what the noun is like; None if nothing (more) can be said of it."""
        predicates = [name for name in self.topic.predicates.get(noun, ()) if name not in self.said]
        if not predicates:
            return None
        predicate = self.pick(predicates)
        self.said.add(predicate)
        is_negated = self.chance(negated)
        return Clause("be", subject, self.standing, predicate=predicate, negated=is_negated, same_subject=same)

    def reason(self, main: Clause) -> Clause | None:
        """Why: mostly what the subject or the object is like, else what somebody does."""
        drawn = self.random()
        if drawn < 0.35:
            return self.state(main.subject.noun, main.subject, same=True, negated=0.15)
        if drawn < 0.7 and main.object:
            noun = main.object.noun
            return self.state(noun, self.entity(noun, True, 1.0, False), negated=0.15)
        return self.follow_up(main, negated=0.15)

    def moment(self, main: Clause) -> tuple[str, Clause] | None:
        clause = self.follow_up(main, negated=0.0)
        return (self.pick(("when", "before", "after")), clause) if clause else None

    def addition(self, main: Clause) -> tuple[str, Clause] | None:
        clause = self.follow_up(main, negated=0.15)
        return ("but" if self.chance(0.3) else "and", clause) if clause else None

    def follow_up(self, main: Clause, negated: float) -> Clause | None:
        """Another action, of the main clause's subject or of somebody else; None if the topic has none left."""
        same = main.subject if self.chance(0.45) else None
        doer = main.subject.noun
        deeds = [deed for deed in self.topic.deeds if deed[0].verb not in self.said and (deed[1] == doer) == bool(same)]
        if not deeds:
            return None
        place = self.pick(self.topic.places) if not main.place and self.chance(self.size.adornment * 0.3) else None
        return self.clause(self.happening(deeds), negated, self.size.adornment > 1, same, place)
