"""What claims are tested on: results, found by what they are, and the comparisons of them that say for or against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

from xlmd.data.text import read_lines
from xlmd.experiment.layout import Layout
from xlmd.experiment.tables import TABLES, cells
from xlmd.reporting.results import Result, Results

FOR, AGAINST, OPEN = "for", "against", "open"
SAMPLES, LEVEL = 1000, 0.05

_METRIC = BLEU(tokenize="none", force=True)


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


def other_than(excluded: Any) -> Callable[[Any], bool]:
    """For `where`: anything else."""
    return lambda value: value != excluded


class Evidence:
    """The results that claims are tested on."""

    def __init__(self, config: dict[str, Any], tables: set[str]) -> None:
        """tables: those whose results are there."""
        self.config, self.tables, self.layout = config, tables, Layout(config)

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
        """Whether a's translations are better than b's (BLEU of Moses tokens, paired bootstrap)."""
        scores = [result.score["bleu"]["score"] for result in (a, b)]
        p = self._bootstrap(a, b) if a.translations != b.translations else 1.0
        own, other = _names(a, b)
        text = f"{a.point.direction}: {own} {scores[0]:.2f}, {other} {scores[1]:.2f} ({_spelt(p)})"
        return Comparison(text, _outcome(scores[0] - scores[1], p < LEVEL))

    def faster(self, a: Result, b: Result) -> Comparison | None:
        """Whether a is faster than b, by every run of the timing, of which there must be several."""
        if not a.latency or not b.latency:
            return None
        times = [latency["translation"]["run_means"] for latency in (a.latency, b.latency)]
        means = [latency["translation"]["mean"] for latency in (a.latency, b.latency)]
        several = all(len(means) > 1 for means in times)  # one run cannot tell a difference from noise
        apart = several and (max(times[0]) < min(times[1]) or max(times[1]) < min(times[0]))
        own, other = _names(a, b)
        text = f"{own} {means[0]:.1f} ms, {other} {means[1]:.1f} ms"
        return Comparison(text, _outcome(means[1] - means[0], apart))

    def above_zero(self, text: str, terms: Sequence[tuple[float, Result, Sequence[int] | None]]) -> Comparison:
        """Whether a weighted sum of BLEU scores is above zero; p is the share of samples with the other sign.

        terms: (weight, result, which of its sentences; None: all).
        """
        observed, sampled = self._resampled(terms)
        p = float(np.mean(sampled <= 0 if observed > 0 else sampled >= 0))
        return Comparison(f"{text} ({_spelt(p)})", _outcome(observed, p < LEVEL))

    def within(self, margin: float, a: Result, b: Result) -> Comparison:
        """Whether a's BLEU is within `margin` of b's; p is the share of samples on the other side of the margin."""
        observed, sampled = self._resampled([(1, a, None), (-1, b, None)])
        inside = np.abs(sampled) < margin
        p = float(np.mean(~inside if abs(observed) < margin else inside))
        own, other = _names(a, b)
        text = f"{a.point.direction}: {own} {observed:+.2f} BLEU against {other}, margin {margin:g} ({_spelt(p)})"
        return Comparison(text, _outcome(margin - abs(observed), p < LEVEL))

    def _resampled(self, terms: Sequence[tuple[float, Result, Sequence[int] | None]]) -> tuple[float, np.ndarray]:
        """A weighted sum of BLEU scores, and the same of resampled sentences, (SAMPLES,).

        The same sentences are drawn for results of the same sentences of a direction.
        """
        random = np.random.default_rng(12345)
        drawn: dict[tuple, np.ndarray] = {}
        observed, sampled = 0.0, np.zeros(SAMPLES)
        for weight, result, lines in terms:
            statistics = self._statistics(result)[slice(None) if lines is None else list(lines)]
            key = (result.point.direction, None if lines is None else tuple(lines))
            if key not in drawn:
                drawn[key] = random.integers(len(statistics), size=(SAMPLES, len(statistics)))
            observed += weight * _bleu(statistics.sum(0))
            sampled += weight * np.array([_bleu(statistics[draw].sum(0)) for draw in drawn[key]])
        return observed, sampled

    def _statistics(self, result: Result) -> np.ndarray:
        """What sacreBLEU counts in each sentence, (sentences, counts)."""
        references = self.references(result)
        # sacreBLEU's own bootstrap resamples these too.
        counts = _METRIC._extract_corpus_statistics(result.translations, [references])
        return np.array(counts)

    def references(self, result: Result) -> list[str]:
        return read_lines(self.layout.text(result.point.direction, "test", 1))

    def _bootstrap(self, a: Result, b: Result) -> float:
        references = self.references(a)
        test = PairedTest(
            [("b", b.translations), ("a", a.translations)],
            {"BLEU": _METRIC},
            references=[references],
            test_type="bs",
            n_samples=SAMPLES,
        )
        scores: Any = test()[1]["BLEU"]  # of both systems, though sacreBLEU's annotations admit their names here
        return scores[1].p_value


def _names(a: Result, b: Result) -> tuple[str, str]:
    """What two results are called: as in the tables, or, where that is the same, by their runs and decodings."""
    if a.name != b.name:
        return a.name, b.name
    own, other = (result.point.path.split("/", 1)[1].replace("/decodes/", ", ") for result in (a, b))
    return own, other


def _spelt(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _bleu(counts: np.ndarray) -> float:
    return _METRIC._compute_score_from_stats(list(counts)).score


def _outcome(difference: float, significant: bool) -> str:
    if not significant or difference == 0:
        return OPEN
    return FOR if difference > 0 else AGAINST


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
