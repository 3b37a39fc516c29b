"""The paper against itself: each number in its prose, recomputed from its own tables."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xlmd.reporting.paper import read_paper

Cell = Callable[..., float]

LT, M0, M6, CMLM, TRANSFORMER = "XLM-D with LT only", "XLM-D (M=0)", "XLM-D (M=6)", "CMLM", "Transformer"


@dataclass(frozen=True)
class Statement:
    """What the prose says. printed: its number; computed: the same from the tables' cells (1: true, 0: false)."""

    section: str
    text: str
    printed: float
    computed: Callable[["Tables"], float]
    decimals: int = 2


class Tables:
    """The paper's tables, cell by cell."""

    def __init__(self, folder: str | Path) -> None:
        self.rows = {number: read_paper(Path(folder) / f"table{number}.csv") for number in range(1, 11)}

    def __call__(self, number: int, system: str, iterations: int | str, column: str) -> float:
        (row,) = [r for r in self.rows[number] if (r["system"], r["iterations"]) == (system, str(iterations))]
        return float(row[column])

    def column(self, number: int, column: str, ours: bool) -> list[float]:
        """All figures of a column of Table 1 or 2, of XLM-D or of all others but the Transformer."""
        rows = [row for row in self.rows[number] if row["system"] != TRANSFORMER]
        return [float(r[column]) for r in rows if r["system"].startswith("XLM-D") == ours and r[column]]

    def over(self, system: str, iterations: int | str, number: int, column: str) -> float:
        """How far XLM-D's best of Table 1 or 2 is above a system."""
        return self.best(number, column) - self(number, system, iterations, column)

    def speedup(self, system: str) -> float:
        """From the latencies of Table 8."""
        return self(8, TRANSFORMER, "N", "latency_ms") / self(8, system, 1, "latency_ms")

    def best(self, number: int, column: str) -> float:
        return max(self.column(number, column, ours=True))


def _bucket_gain(tables: Tables, low: str, more: str, fewer: str) -> float:
    (row,) = [row for row in tables.rows[7] if row["min_length"] == low]
    return float(row[f"T={more}"]) - float(row[f"T={fewer}"])


def _all(*conditions: bool) -> float:
    return float(all(conditions))


def _pretraining_gains(tables: Tables) -> list[float]:
    return [
        tables(6, system, t, "pretrained") - tables(6, system, t, "reset") for system in (M0, M6) for t in (2, 4, 8)
    ]


STATEMENTS = [
    Statement("3.2", "iterative XLM-D over CMLM, En-De", 2.77, lambda t: t.over(CMLM, 10, 1, "en-de")),
    Statement("3.2", "iterative XLM-D over CMLM, De-En", 2.75, lambda t: t.over(CMLM, 10, 1, "de-en")),
    Statement("3.2", "iterative XLM-D over CMLM, En-Ro", 2.57, lambda t: t.over(CMLM, 10, 1, "en-ro")),
    Statement("3.2", "iterative XLM-D over CMLM, Ro-En", 2.53, lambda t: t.over(CMLM, 10, 1, "ro-en")),
    Statement("3.2", "best En-De BLEU, at 2.8× speed", 29.80, lambda t: t.best(1, "en-de")),
    Statement("3.2", "its speed-up", 2.8, lambda t: t(1, M0, 8, "speedup"), 1),
    Statement("3.2", "single-step XLM-D over GLAT, En-De", 2.25, lambda t: t.over("GLAT", 1, 2, "en-de")),
    Statement("3.2", "single-step XLM-D over GLAT, De-En", 0.84, lambda t: t.over("GLAT", 1, 2, "de-en")),
    Statement("3.2", "single-step XLM-D over GLAT, En-Ro", 3.51, lambda t: t.over("GLAT", 1, 2, "en-ro")),
    Statement(
        "3.2", "single-step XLM-D over the Transformer, En-Ro", 0.42,
        lambda t: t.over(TRANSFORMER, "N", 2, "en-ro"),
    ),
    Statement(
        "3.2", "single-step XLM-D over the Transformer, Ro-En", 0.33,
        lambda t: t.over(TRANSFORMER, "N", 2, "ro-en"),
    ),
    Statement(
        "3.2", "single-step XLM-D better than all baselines in all directions (1: true)", 1,
        lambda t: _all(
            *(t.best(2, d) > max(t.column(2, d, ours=False)) for d in ("en-de", "de-en", "en-ro", "ro-en"))
        ), 0,
    ),
    Statement("3.2", "single-step speed-up", 19.9, lambda t: t.speedup(LT), 1),
    Statement("A.2", "speed-up of M=0 from its latency", 19.5, lambda t: t.speedup(M0), 1),
    Statement("A.2", "speed-up of M=6 from its latency", 19.6, lambda t: t.speedup(M6), 1),
    Statement(
        "3.2", "XLM-D (M=0, 8 iterations) over CMLM (10) on every pair of Table 3 (1: true)", 1,
        lambda t: _all(*(t(3, M0, 8, d) > t(3, CMLM, 10, d) for d in ("en-fr", "ja-en", "ko-en", "ar-en"))), 0,
    ),
    Statement(
        "3.2", "gains over the Transformer larger on Ko-En and Ar-En than on En-Fr and Ja-En (1: true)", 1,
        lambda t: _all(
            min(t(3, M0, 8, d) - t(3, TRANSFORMER, "N", d) for d in ("ko-en", "ar-en"))
            > max(t(3, M0, 8, d) - t(3, TRANSFORMER, "N", d) for d in ("en-fr", "ja-en"))
        ), 0,
    ),
    Statement(
        "3.3", "original data: XLM-D over CMLM", 2.88,
        lambda t: t(4, M0, 8, "original") - t(4, CMLM, 10, "original"),
    ),
    Statement("3.3", "original data: best XLM-D", 27.49, lambda t: t(4, M0, 8, "original")),
    Statement("3.3", "s from 1.5 to 2.0, one iteration", 1.38, lambda t: t(5, M0, 1, "s=2.0") - t(5, M0, 1, "s=1.5")),
    Statement(
        "3.3", "pre-trained over reset, single step", 1.66,
        lambda t: t(6, LT, 1, "pretrained") - t(6, LT, 1, "reset"),
    ),
    Statement(
        "3.3", "pre-trained over reset by over 1.0 with several iterations (1: true)", 1,
        lambda t: _all(min(_pretraining_gains(t)) > 1.0), 0,
    ),
    Statement("3.3", "T = 2 over T = 1 for 40 and more tokens", 2.70, lambda t: _bucket_gain(t, "40", "2", "1")),
    Statement(
        "3.3", "more iterations improve every length bucket (1: true)", 1,
        lambda t: _all(*(
            _bucket_gain(t, low, more, fewer) > 0
            for low in ("1", "10", "20", "30", "40") for more, fewer in (("2", "1"), ("4", "2"))
        )), 0,
    ),
    Statement(
        "A.3", "dynamic better than static for all iterations and directions (1: true)", 1,
        lambda t: _all(*(
            t(9, system, n, f"{d}_dynamic") > t(9, system, n, f"{d}_static")
            for system in (M0, M6) for n in (2, 4, 8) for d in ("en-de", "de-en")
        )), 0,
    ),
    Statement("A.3", "XLM-D against AB-Net (28.69): BLEU", 29.59, lambda t: t(10, M6, 8, "bleu")),
    Statement("A.3", "XLM-D against AB-Net (2.4×): speed-up", 4.1, lambda t: t(10, M6, 8, "speedup"), 1),
]  # fmt: skip


def check(folder: str | Path) -> list[dict[str, str]]:
    """Each statement with its number as printed and as the tables give it. folder: of the paper's tables (CSV)."""
    tables = Tables(folder)
    rows = []
    for statement in STATEMENTS:
        computed = f"{statement.computed(tables):.{statement.decimals}f}"
        printed = f"{statement.printed:.{statement.decimals}f}"
        rows.append(
            {
                "section": statement.section,
                "statement": statement.text,
                "printed": printed,
                "computed": computed,
                "agrees": "yes" if printed == computed else "no",
            }
        )
    return rows
