"""What claims are tested on: results, found by what they are, and the comparisons of them that say for or against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlmd.data.text import read_lines
from xlmd.experiment.layout import Layout
from xlmd.experiment.tables import TABLES, cells
from xlmd.reporting.bleu import bleu_of, sentence_counts
from xlmd.reporting.results import Result, Results, ScoreName, score_shown

FOR, AGAINST, OPEN = "for", "against", "open"
SAMPLES, LEVEL, SEED = 1000, 0.05, 12345

Term = tuple[float, Result, Sequence[int] | None]  # weight, result, which of its sentences (None: all)


@dataclass(frozen=True)
class Comparison:
    """One piece of evidence: what was compared, with its figures, and which way it points."""

    text: str
    outcome: str


@dataclass(frozen=True)
class Shown:
    """A result in a column of a table, and what it is: `facts`, by which it is found.

    These are the settings of its system and, of the point, column, direction, data, system, seed, run and iterations:
    a number, where its label is one.
    """

    result: Result
    facts: dict[str, Any]


Condition = Callable[[Shown], bool]


def where(**wanted: Any) -> Condition:
    """Results of which each fact is as wanted: equal to the value or, of a function, such that it is true."""

    def holds(shown: Shown) -> bool:
        found = ((shown.facts.get(name), value) for name, value in wanted.items())
        return all(value(fact) if callable(value) else fact == value for fact, value in found)

    return holds


def at_least(least: int) -> Callable[[Any], bool]:
    """For `where`: numbers from `least` on."""
    return lambda value: isinstance(value, int) and value >= least


def other_than(*excluded: Any) -> Callable[[Any], bool]:
    """For `where`: anything else."""
    return lambda value: value not in excluded


def one_of(*allowed: Any) -> Callable[[Any], bool]:
    """For `where`: nothing else."""
    return lambda value: value in allowed


class Evidence:
    """The results that claims are tested on.

    Scores are those that the tables show: `score_shown` for the direction, or, by length, BLEU of Moses tokens. Whether
    a difference of them is more than the choice of test sentences makes is decided by resampling these; one between
    models trained apart, and smaller than `noise`, is open whatever they say.
    """

    def __init__(self, config: dict[str, Any], tables: set[str]) -> None:
        """tables: those whose results are there."""
        self.config, self.tables, self.layout = config, tables, Layout(config)
        self.noise: float = config["scale"].get("noise") or 0.0
        self._counted: dict[tuple[Path, ScoreName], np.ndarray] = {}

    def results(self, table: str, condition: Condition) -> list[Shown]:
        """The results of a table that are as the condition says, timed ones with times; none if it was not made."""
        if table not in self.tables:
            return []
        job = TABLES[table].timed_with
        results = Results(self.config["results"], self.layout.latency(job) if job else None)
        found = [_shown(cell.column, results[cell.point]) for cell in cells(self.config, table)]
        return [shown for shown in found if condition(shown)]

    def pairs(
        self, table: str, first: Condition, second: Condition, same: Sequence[str]
    ) -> Iterator[tuple[Result, Result]]:
        """(a, b) of a table's results with first(a) and second(b), of one seed and the same in the facts `same`."""
        others = self.results(table, second)
        for a in self.results(table, first):
            for b in others:
                if a.result.point != b.result.point and _alike(a, b, same):
                    yield a.result, b.result

    def neighbours(
        self, table: str, condition: Condition, along: str, same: Sequence[str]
    ) -> Iterator[tuple[Result, Result]]:
        """(low, high) of a table's results that are neighbours in the fact `along`, a number, and the same in the facts
        `same`, of one seed."""
        found = self.results(table, condition)
        values = sorted({shown.facts[along] for shown in found})
        higher = dict(zip(values, values[1:], strict=False))
        for low in found:
            for high in found:
                if higher.get(low.facts[along]) == high.facts[along] and _alike(low, high, same):
                    yield low.result, high.result

    def better(self, a: Result, b: Result) -> Comparison:
        """Whether a's translations are better than b's; two-sided."""
        observed, sampled = self._resampled([(1, a, None), (-1, b, None)])
        p = _two_sided(observed, sampled)
        scores = (f"{name} {result.shown_score:.2f}" for name, result in zip(_names(a, b), (a, b), strict=True))
        doubt = f"{_spelt(p)}{self._noisy(observed, a, b)}"
        text = f"{a.point.direction}: {', '.join(scores)} ({doubt}){self._starts(a, b)}"
        return Comparison(text, self._outcome(observed, p, a, b))

    def difference(self, text: str, terms: Sequence[Term], score: ScoreName | None = None) -> Comparison:
        """Whether a weighted sum of scores is above zero; two-sided. score: if not that of the directions."""
        observed, sampled = self._resampled(terms, score)
        p, results = _two_sided(observed, sampled), [result for _, result, _ in terms]
        described = f"{text}: {observed:+.2f} ({_spelt(p)}{self._noisy(observed, *results)})"
        return Comparison(described, self._outcome(observed, p, *results))

    def within(self, margin: float, a: Result, b: Result) -> Comparison:
        """Whether a's score is within `margin` of b's, or beyond: one-sided, as tests of equivalence are.

        p is the share of samples on the other side of the margin; what noise may bring there is noise.
        """
        observed, sampled = self._resampled([(1, a, None), (-1, b, None)])
        inside, spare = np.abs(sampled) < margin, margin - abs(observed)
        p = (1 + np.sum(~inside if spare > 0 else inside)) / (1 + SAMPLES)
        own, other = _names(a, b)
        text = (
            f"{a.point.direction}: {own} {observed:+.2f} against {other}, margin {margin:g} ({_spelt(p)}, one-sided"
            f"{self._noisy(spare, a, b)}){self._starts(a, b)}"
        )
        return Comparison(text, self._outcome(spare, p, a, b))

    def faster(self, a: Result, b: Result) -> Comparison | None:
        """Whether a is faster than b, by every run of the timing, of which there must be several; two-sided."""
        return self.times_as_fast(1, a, b)

    def times_as_fast(self, ratio: float, a: Result, b: Result) -> Comparison | None:
        """Whether a is more than `ratio` times as fast as b, by every run; two-sided. None if one was not timed."""
        if not a.latency or not b.latency:
            return None
        own, other = a.latency["translation"], b.latency["translation"]
        lowest = min(other["run_means"]) / max(own["run_means"])
        highest = max(other["run_means"]) / min(own["run_means"])
        several = min(len(own["run_means"]), len(other["run_means"])) > 1  # one run cannot tell a difference from noise
        names = _names(a, b)
        text = (
            f"{names[0]} {own['mean']:.1f} ms, {names[1]} {other['mean']:.1f} ms: {other['mean'] / own['mean']:.2f}×"
            f" ({lowest:.2f} to {highest:.2f} over runs)"
        )
        if not several or lowest <= ratio <= highest:
            return Comparison(text, OPEN)
        return Comparison(text, FOR if lowest > ratio else AGAINST)

    def references(self, result: Result) -> list[str]:
        """Moses-tokenised."""
        return read_lines(self.layout.text(result.point.direction, "test", 1))

    def starting_point(self, result: Result) -> str:
        """What a model was trained from, in a few words."""
        base = self.layout.base(result.point.direction)
        called = {self.layout.mlm(base): f"base {base}"}
        return " and ".join(called.get(model, model) for model in result.started_from) or "random weights"

    def _starts(self, a: Result, b: Result) -> str:
        """What the two were trained from, if not from the same."""
        first, second = self.starting_point(a), self.starting_point(b)
        return "" if first == second else f"; from {first} and from {second}"

    def _noisy(self, observed: float, *results: Result) -> str:
        return f"; within the noise of trainings, {self.noise:g}" if self._is_noise(observed, *results) else ""

    def _is_noise(self, observed: float, *results: Result) -> bool:
        return len({result.run for result in results}) > 1 and abs(observed) < self.noise

    def _outcome(self, observed: float, p: float, *results: Result) -> str:
        if p >= LEVEL or observed == 0 or self._is_noise(observed, *results):
            return OPEN
        return FOR if observed > 0 else AGAINST

    def _resampled(self, terms: Sequence[Term], score: ScoreName | None = None) -> tuple[float, np.ndarray]:
        """A weighted sum of scores, and the same of resampled sentences, (SAMPLES,).

        The same sentences are drawn for results of the same sentences of a direction.
        """
        random = np.random.default_rng(SEED)
        drawn: dict[tuple, np.ndarray] = {}
        observed, sampled = 0.0, np.zeros(SAMPLES)
        for weight, result, lines in terms:
            counts = self._counts(result, score or score_shown(result.point.direction))
            counts = counts if lines is None else counts[list(lines)]
            key = (result.point.direction, None if lines is None else tuple(lines))
            if key not in drawn:  # how often each sentence is drawn
                drawn[key] = random.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=SAMPLES)
            observed += weight * bleu_of(counts.sum(0))
            sampled += weight * np.array([bleu_of(sample) for sample in drawn[key] @ counts])
        return observed, sampled

    def _counts(self, result: Result, score: ScoreName) -> np.ndarray:
        key = (result.folder, score)
        if key not in self._counted:
            direction, how = result.point.direction, self.config["preprocessing"]
            detokenized = score == "sacrebleu"
            self._counted[key] = sentence_counts(
                result.translations,
                read_lines(self.layout.text(direction, "test", 1, raw=detokenized)),
                direction.split("-")[1],
                detokenized=detokenized,
                tokenize=how["tokenize"],
                romanian=how["romanian"],
            )
        return self._counted[key]


def _two_sided(observed: float, sampled: np.ndarray) -> float:
    """How probable it is to see so much on either side if there is nothing: twice the share of samples beyond zero."""
    beyond = min(np.sum(sampled <= 0), np.sum(sampled >= 0))
    return min(1.0, 2 * float(1 + beyond) / (1 + len(sampled)))


def _names(a: Result, b: Result) -> tuple[str, str]:
    """What two results are called: as in the tables, or, where that is the same, by their runs and decodings."""
    if a.name != b.name:
        return a.name, b.name
    own, other = (result.point.path.split("/", 1)[1].replace("/decodes/", ", ") for result in (a, b))
    return own, other


def _spelt(p: float) -> str:
    return f"p = {p:.3f}"


def _shown(column: str, result: Result) -> Shown:
    point, iterations = result.point, result.iterations
    own = {
        "column": column,
        "direction": point.direction,
        "data": point.data,
        "system": point.system,
        "run": point.run,
        "seed": result.record["seed"],
        "iterations": int(iterations) if iterations.isdigit() else iterations,
    }
    return Shown(result, result.settings | own)


def _alike(a: Shown, b: Shown, facts: Sequence[str]) -> bool:
    return all(a.facts[name] == b.facts[name] for name in ("seed", *facts))
