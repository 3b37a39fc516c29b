"""The paper against itself: each number and comparison of its prose, recomputed from its own tables."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from xlmd.reporting.paper import number, read_paper

LT, M0, M6, CMLM, TRANSFORMER = "XLM-D with LT only", "XLM-D (M=0)", "XLM-D (M=6)", "CMLM", "Transformer"
SEVERAL = (2, 4, 8)
DIRECTIONS = ("en-de", "de-en", "en-ro", "ro-en")
FURTHER, SMALL, LARGE = ("en-fr", "ja-en", "ko-en", "ar-en"), ("ko-en", "ar-en"), ("en-fr", "ja-en")
LENGTHS = ("1", "10", "20", "30", "40")


class Tables:
    """The paper's tables, cell by cell."""

    def __init__(self, folder: str | Path) -> None:
        self.rows = {table: read_paper(Path(folder) / f"table{table}.csv") for table in range(1, 11)}

    def __call__(self, table: int, system: str, iterations: int | str, column: str) -> float:
        (row,) = [r for r in self.rows[table] if (r["system"], r["iterations"]) == (system, str(iterations))]
        return number(row[column])

    def column(self, table: int, column: str, ours: bool) -> list[float]:
        """All figures of a column of Table 1 or 2, of XLM-D or of all others but the Transformer."""
        rows = [row for row in self.rows[table] if row["system"] != TRANSFORMER and row[column]]
        return [number(row[column]) for row in rows if str(row["system"]).startswith("XLM-D") == ours]

    def best(self, table: int, column: str) -> float:
        """XLM-D's best of Table 1 or 2."""
        return max(self.column(table, column, ours=True))

    def over(self, system: str, iterations: int | str, table: int, column: str) -> float:
        """How far XLM-D's best of Table 1 or 2 is above a system."""
        return self.best(table, column) - self(table, system, iterations, column)

    def of_one_model(self, table: int, *columns: str) -> bool:
        """Whether one XLM-D, at one number of iterations, has the best figures of several columns of Table 1 or 2."""
        ours = [row for row in self.rows[table] if str(row["system"]).startswith("XLM-D")]
        return any(all(number(row[column]) == self.best(table, column) for column in columns) for row in ours)

    def speedup(self, system: str) -> float:
        """From the latencies of Table 8."""
        return self(8, TRANSFORMER, "N", "latency_ms") / self(8, system, 1, "latency_ms")

    def bucket_gain(self, low: str, more: int, fewer: int) -> float:
        """What iterations gain in a range of lengths of Table 7."""
        (row,) = [row for row in self.rows[7] if row["min_length"] == low]
        return number(row[f"T={more}"]) - number(row[f"T={fewer}"])


Computed = Callable[[Tables], float | bool]


@dataclass(frozen=True)
class Statement:
    """What the prose says.

    printed: its number; True for a comparison in words; None where the prose has no number for what the tables give,
    or leaves it out. computed: the same from the tables' cells.
    """

    section: str
    text: str
    printed: float | bool | None
    computed: Computed
    decimals: int = 2


def _above_all_others(tables: Tables, table: int) -> bool:
    """Whether every XLM-D of Table 1 or 2 is above every other non-autoregressive system."""
    return all(min(tables.column(table, d, ours=True)) > max(tables.column(table, d, ours=False)) for d in DIRECTIONS)


def _differences(tables: Tables, table: int, first: str, second: str, columns: Iterable[str]) -> list[float]:
    """What one XLM-D is above another at the same several iterations."""
    return [tables(table, first, t, d) - tables(table, second, t, d) for t in SEVERAL for d in columns]


def _over_reset(tables: Tables, iterations: Iterable[int]) -> list[float]:
    return [
        tables(6, system, t, "pretrained") - tables(6, system, t, "reset") for system in (M0, M6) for t in iterations
    ]


def _across_s(tables: Tables) -> list[float]:
    """The largest difference between upsampling ratios at each of several iterations."""
    found = ([tables(5, M0, t, f"s={s}") for s in ("1.5", "2.0", "2.5", "3.0")] for t in SEVERAL)
    return [max(row) - min(row) for row in found]


def _rising(values: Iterable[float]) -> bool:
    found = list(values)
    return all(low < high for low, high in zip(found, found[1:], strict=False))


def _over_transformer(direction: str) -> Computed:
    """What XLM-D (M=0) at T = 8 is above the Transformer in a direction of Table 3."""
    return lambda tables: tables(3, M0, 8, direction) - tables(3, TRANSFORMER, "N", direction)


def _small_gain_more(tables: Tables) -> bool:
    gains = {d: _over_transformer(d)(tables) for d in FURTHER}
    return min(gains[d] for d in SMALL) > max(gains[d] for d in LARGE)


def _eight_below_four(tables: Tables) -> int:
    """In how many cells of Tables 1 and 3 eight iterations are below four."""
    cells = [(1, system, d) for system in (M0, M6) for d in DIRECTIONS] + [(3, M0, d) for d in FURTHER]
    return sum(tables(table, system, 8, d) < tables(table, system, 4, d) for table, system, d in cells)


def _repeated(tables: Tables) -> list[set[float]]:
    """The figures of one measurement, wherever tables print it."""
    t = tables
    same = [
        {t(1, TRANSFORMER, "N", "en-de"), t(2, TRANSFORMER, "N", "en-de"), t(4, TRANSFORMER, "N", "original"),
         t(10, TRANSFORMER, "N", "bleu")},
        {t(1, CMLM, 10, "en-de"), t(4, CMLM, 10, "distilled")},
        {t(1, CMLM, 10, "speedup"), t(4, CMLM, 10, "speedup")},
        {t(2, LT, 1, "en-de"), t(6, LT, 1, "pretrained")},
        {t(2, M6, 1, "en-de"), t(6, M6, 1, "pretrained")},
        {t(2, M0, 1, "en-de"), t(4, M0, 1, "distilled"), t(5, M0, 1, "s=2.0"), t(6, M0, 1, "pretrained")},
        {t(2, M0, 1, "speedup"), t(4, M0, 1, "speedup"), t(8, M0, 1, "speedup")},
        *({t(2, system, 1, "speedup"), t(8, system, 1, "speedup")} for system in (M6, LT)),
    ]  # fmt: skip
    same += [{t(1, TRANSFORMER, "N", d), t(2, TRANSFORMER, "N", d)} for d in DIRECTIONS]
    for n in SEVERAL:
        same += [
            {t(1, M0, n, "en-de"), t(4, M0, n, "distilled"), t(5, M0, n, "s=2.0"), t(6, M0, n, "pretrained"),
             t(9, M0, n, "en-de_dynamic")},
            {t(1, M6, n, "en-de"), t(6, M6, n, "pretrained"), t(9, M6, n, "en-de_dynamic"), t(10, M6, n, "bleu")},
            *({t(1, system, n, "de-en"), t(9, system, n, "de-en_dynamic")} for system in (M0, M6)),
            {t(1, M0, n, "speedup"), t(4, M0, n, "speedup")},
            {t(1, M6, n, "speedup"), t(10, M6, n, "speedup")},
        ]  # fmt: skip
    return same


STATEMENTS = [
    Statement("abstract", "best iterative XLM-D, En-De", 29.80, lambda t: t.best(1, "en-de")),
    Statement("abstract", "iterative XLM-D over CMLM, En-De", 2.77, lambda t: t.over(CMLM, 10, 1, "en-de")),
    Statement("abstract", "single-step speed-up", 19.9, lambda t: t.speedup(LT), 1),
    Statement("abstract", "every XLM-D above every other non-autoregressive system of its table", True,
              lambda t: _above_all_others(t, 1) and _above_all_others(t, 2)),
    Statement("1", "best single-step XLM-D, En-De", 27.46, lambda t: t.best(2, "en-de")),
    Statement("1", "best single-step XLM-D, En-Ro", 34.70, lambda t: t.best(2, "en-ro")),
    Statement("1", "27.46 and 34.70 are of one model", True, lambda t: t.of_one_model(2, "en-de", "en-ro")),
    Statement("1", "best iterative XLM-D, En-Ro", 35.65, lambda t: t.best(1, "en-ro")),
    Statement("1", "29.80 and 35.65 are of one model", True, lambda t: t.of_one_model(1, "en-de", "en-ro")),
    Statement("3.2", "CMLM against the Transformer, \"comparable\": the widest gap of Table 1", None,
              lambda t: max(t(1, TRANSFORMER, "N", d) - t(1, CMLM, 10, d) for d in DIRECTIONS)),
    Statement("3.2", "iterative XLM-D over CMLM, De-En", 2.75, lambda t: t.over(CMLM, 10, 1, "de-en")),
    Statement("3.2", "2.77 and 2.75 are of one model", True, lambda t: t.of_one_model(1, "en-de", "de-en")),
    Statement("3.2", "the models of 2.77 and 2.75 are faster than CMLM", True,
              lambda t: min(t(1, M0, 8, "speedup"), t(1, M6, 8, "speedup")) > t(1, CMLM, 10, "speedup")),
    Statement("3.2", "iterative XLM-D over CMLM, En-Ro", 2.57, lambda t: t.over(CMLM, 10, 1, "en-ro")),
    Statement("3.2", "iterative XLM-D over CMLM, Ro-En", 2.53, lambda t: t.over(CMLM, 10, 1, "ro-en")),
    Statement("3.2", "2.57 and 2.53 are of one model", True, lambda t: t.of_one_model(1, "en-ro", "ro-en")),
    Statement("3.2", "every iterative XLM-D above the Transformer", True,
              lambda t: all(min(t.column(1, d, ours=True)) > t(1, TRANSFORMER, "N", d) for d in DIRECTIONS)),
    Statement("3.2", "speed-up of the best iterative XLM-D, En-De", 2.8, lambda t: t(1, M0, 8, "speedup"), 1),
    Statement("3.2", "every single-step XLM-D above all baselines in all directions", True,
              lambda t: _above_all_others(t, 2)),
    Statement("3.2", "single-step XLM-D over GLAT, En-De", 2.25, lambda t: t.over("GLAT", 1, 2, "en-de")),
    Statement("3.2", "single-step XLM-D over GLAT, De-En", 0.84, lambda t: t.over("GLAT", 1, 2, "de-en")),
    Statement("3.2", "single-step XLM-D over latent-GLAT, the best baseline, En-De (passed over)", None,
              lambda t: t.over("latent-GLAT", 1, 2, "en-de")),
    Statement("3.2", "single-step XLM-D over latent-GLAT, the best baseline, De-En (passed over)", None,
              lambda t: t.over("latent-GLAT", 1, 2, "de-en")),
    Statement("3.2", "single-step XLM-D over GLAT, En-Ro", 3.51, lambda t: t.over("GLAT", 1, 2, "en-ro")),
    Statement("3.2", "single-step XLM-D over the Transformer, En-Ro", 0.42,
              lambda t: t.over(TRANSFORMER, "N", 2, "en-ro")),
    Statement("3.2", "single-step XLM-D over the Transformer, Ro-En", 0.33,
              lambda t: t.over(TRANSFORMER, "N", 2, "ro-en")),
    Statement("3.2", "0.42 and 0.33 are of one model", True, lambda t: t.of_one_model(2, "en-ro", "ro-en")),
    Statement("3.2", "single-step XLM-D over the Transformer, En-De (passed over)", None,
              lambda t: t.over(TRANSFORMER, "N", 2, "en-de")),
    Statement("3.2", "single-step XLM-D over the Transformer, De-En (passed over)", None,
              lambda t: t.over(TRANSFORMER, "N", 2, "de-en")),
    Statement("3.2", "every single-step XLM-D is faster than every other single-step system", True,
              lambda t: min(t.column(2, "speedup", ours=True)) > max(t.column(2, "speedup", ours=False))),
    Statement("3.2", "iterative XLM-D is faster with M = 6 than with M = 0 at every T", True,
              lambda t: min(_differences(t, 1, M6, M0, ["speedup"])) > 0),
    Statement("3.2", "superiority on every pair of Table 3: over CMLM (10), at T = 8", True,
              lambda t: all(t(3, M0, 8, d) > t(3, CMLM, 10, d) for d in FURTHER)),
    Statement("3.2", "superiority on every pair of Table 3: over the Transformer, at T = 8", True,
              lambda t: all(t(3, M0, 8, d) > t(3, TRANSFORMER, "N", d) for d in FURTHER)),
    *(
        Statement("3.2", f"XLM-D (M=0, T = 8) over the Transformer, {d} (passed over)", None, _over_transformer(d))
        for d in LARGE
    ),
    Statement("3.2", "gains over the Transformer larger on Ko-En and Ar-En than on En-Fr and Ja-En", True,
              _small_gain_more),
    Statement("3.3", "original data: best XLM-D", 27.49, lambda t: t(4, M0, 8, "original")),
    Statement("3.3", "original data: XLM-D over CMLM", 2.88,
              lambda t: t(4, M0, 8, "original") - t(4, CMLM, 10, "original")),
    Statement("3.3", "original data: its speed-up", 2.8, lambda t: t(4, M0, 8, "speedup"), 1),
    Statement("3.3", "original data: faster than CMLM", True,
              lambda t: t(4, M0, 8, "speedup") > t(4, CMLM, 10, "speedup")),
    Statement("3.3", "original data: the Transformer", 27.74, lambda t: t(4, TRANSFORMER, "N", "original")),
    Statement("3.3", "original data: XLM-D against the Transformer, \"comparable\"", None,
              lambda t: t(4, M0, 8, "original") - t(4, TRANSFORMER, "N", "original")),
    Statement("3.3", "s from 1.5 to 2.0, one iteration", 1.38, lambda t: t(5, M0, 1, "s=2.0") - t(5, M0, 1, "s=1.5")),
    Statement("3.3", "every larger s is better at one iteration", True,
              lambda t: _rising(t(5, M0, 1, f"s={s}") for s in ("1.5", "2.0", "2.5", "3.0"))),
    Statement("3.3", "with several iterations s does not influence \"notably\": the largest difference", None,
              lambda t: max(_across_s(t))),
    # 0.33 is the smallest difference that §3.2 calls outperforming.
    Statement("3.3", "with several iterations it is below 0.33, a difference that counts as outperforming in 3.2", True,
              lambda t: max(_across_s(t)) < t.over(TRANSFORMER, "N", 2, "ro-en")),
    Statement("3.3", "M = 6 \"without damaging much\": the most that it is below M = 0 in Table 1", None,
              lambda t: max(_differences(t, 1, M0, M6, DIRECTIONS))),
    Statement("3.3", "pre-trained, single step", 27.46, lambda t: t(6, LT, 1, "pretrained")),
    Statement("3.3", "reset, single step", 25.80, lambda t: t(6, LT, 1, "reset")),
    Statement("3.3", "pre-trained over reset, single step", 1.66,
              lambda t: t(6, LT, 1, "pretrained") - t(6, LT, 1, "reset")),
    Statement("3.3", "pre-trained over reset in every row", True, lambda t: min(_over_reset(t, (1, *SEVERAL))) > 0),
    Statement("3.3", "pre-trained over reset by over 1.0 with several iterations", True,
              lambda t: min(_over_reset(t, SEVERAL)) > 1.0),
    Statement("3.3", "more iterations improve every range of lengths", True,
              lambda t: all(t.bucket_gain(low, *ts) > 0 for low in LENGTHS for ts in ((2, 1), (4, 2)))),
    Statement("3.3", "the shortest sentences gain least from T = 4", True,
              lambda t: _rising(t.bucket_gain(low, 4, 1) for low in LENGTHS[:2])
              and t.bucket_gain("1", 4, 1) == min(t.bucket_gain(low, 4, 1) for low in LENGTHS)),
    Statement("3.3", "T = 2 over T = 1 for 40 and more tokens", 2.70, lambda t: t.bucket_gain("40", 2, 1)),
    Statement("3.3", "more iterations are better: cells of Tables 1 and 3 with T = 8 below T = 4", 0,
              _eight_below_four, 0),
    Statement("A.2", "speed-up of M=0 from its latency", 19.5, lambda t: t.speedup(M0), 1),
    Statement("A.2", "speed-up of M=6 from its latency", 19.6, lambda t: t.speedup(M6), 1),
    Statement("A.2", "with LT only the fastest XLM-D", True, lambda t: t.speedup(LT) > max(map(t.speedup, (M0, M6)))),
    Statement("A.3", "dynamic better than static for all iterations and directions", True,
              lambda t: all(t(9, system, n, f"{d}_dynamic") > t(9, system, n, f"{d}_static")
                            for system in (M0, M6) for n in SEVERAL for d in ("en-de", "de-en"))),
    Statement("A.3", "XLM-D against AB-Net: its BLEU", 29.59, lambda t: t(10, M6, 8, "bleu")),
    Statement("A.3", "XLM-D against AB-Net: AB-Net's BLEU", 28.69, lambda t: t(10, "AB-Net", 10, "bleu")),
    Statement("A.3", "XLM-D against AB-Net: its speed-up", 4.1, lambda t: t(10, M6, 8, "speedup"), 1),
    Statement("A.3", "XLM-D against AB-Net: AB-Net's speed-up", 2.4, lambda t: t(10, "AB-Net", 10, "speedup"), 1),
    Statement("A.3", "the same XLM-D against AB-Net-Enc: its speed-up less AB-Net-Enc's (passed over)", None,
              lambda t: t(10, M6, 8, "speedup") - t(10, "AB-Net-Enc", 10, "speedup"), 1),
    Statement("all", "a measurement that several tables print is the same in each", True,
              lambda t: all(len(figures) == 1 for figures in _repeated(t))),
]  # fmt: skip


def check(folder: str | Path) -> list[dict[str, str]]:
    """Each statement with its number as printed and as the tables give it. folder: of the paper's tables (CSV).

    `agrees` is empty where the prose prints nothing.
    """
    tables = Tables(folder)
    rows = []
    for statement in STATEMENTS:
        computed = _spelt(statement.computed(tables), statement.decimals)
        printed = "" if statement.printed is None else _spelt(statement.printed, statement.decimals)
        rows.append(
            {
                "section": statement.section,
                "statement": statement.text,
                "printed": printed,
                "computed": computed,
                "agrees": "" if not printed else "yes" if printed == computed else "no",
            }
        )
    return rows


def _spelt(value: float | bool, decimals: int) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.{decimals}f}"
