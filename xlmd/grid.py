"""The experiment grid: which trained and decoded points each table and figure of the paper shows.

A point is trained and decoded once, however many tables show it. The workflow asks here for the files that a table
needs, and the table for those that its cells are read from: neither can show or make what the other does not know of.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

BASELINE, RIVAL, OURS = "transformer", "cmlm", "xlmd"

Options = tuple[tuple[str, Any], ...]


def spell(options: Options) -> str:
    """Options as they stand in a path: "M=3-s=2.0"."""
    return "-".join(f"{key}={value}" for key, value in options)


@dataclass(frozen=True)
class Point:
    """One decoding of one trained run.

    data: "original" or "distilled". settings: what the run changes of the configuration, in the order of its name;
    decoding: what tells its decodings apart. seed: None for the configuration's own.
    """

    direction: str
    system: str
    data: str
    settings: Options = ()
    decoding: Options = ()
    seed: int | None = None

    @property
    def run(self) -> str:
        """Its run folder below runs/."""
        settings = self.settings + ((("seed", self.seed),) if self.seed is not None else ())
        return f"{self.direction}/{'-'.join(filter(None, [self.system, self.data, spell(settings)]))}"

    @property
    def path(self) -> str:
        """The folder of its decoding below runs/."""
        return f"{self.run}/decodes/{spell(self.decoding)}"


class Cell(NamedTuple):
    """A point in a table.

    row: the system as the paper prints it, or None where it follows from the run (XLM-D's M, whose depth is known once
    the model is). column: a direction or a variant, as the table heads it.
    """

    row: str | None
    column: str
    point: Point


def cells(config: dict[str, Any], table: str) -> list[Cell]:
    """Every measured cell of a table or figure ("table1" … "table11", "figure2"), each seed's on its own.

    Raises KeyError for an unknown table.
    """
    seeds = [None if seed == config["seed"] else seed for seed in config["grid"]["seeds"]]
    return [
        cell._replace(point=replace(cell.point, seed=seed)) for cell in TABLES[table](_Grid(config)) for seed in seeds
    ]


def points(config: dict[str, Any], *tables: str) -> list[Point]:
    """The points of several tables, each once, in their order."""
    return list(dict.fromkeys(cell.point for table in tables for cell in cells(config, table)))


def timed(config: dict[str, Any], table: str) -> list[Point]:
    """What a table's speeds are measured on: its points in the direction of the analyses, the baseline first.

    The baseline is timed in transformers, against which speed-ups are given, and in CTranslate2. Empty for a table
    without speeds. One seed stands for all: a model's speed does not depend on its weights' values.
    """
    if table not in WITH_SPEED:
        return []
    grid = _Grid(config)
    baseline = grid.baseline(grid.analysis)
    others = [cell.point for cell in TABLES[table](grid) if cell.point.direction == grid.analysis]
    optimised = replace(baseline, decoding=(("engine", "ctranslate2"),))
    # The data a model was trained on has no part in its speed: Table 4 shows one speed for both columns.
    shown = {replace(point, data="") for point in others if point.system == BASELINE}
    kept = []
    for point in others:
        if (same := replace(point, data="")) not in shown:
            shown.add(same)
            kept.append(point)
    return [baseline, optimised, *kept]


class _Grid:
    """The configuration's grid, with a method for each kind of point."""

    def __init__(self, config: dict[str, Any]) -> None:
        grid = config["grid"]
        self.directions = [entry["pair"] for entry in config["directions"]]
        self.further = [entry["pair"] for entry in config["further_directions"]]
        self.analysis: str = grid["analysis"]
        self.depths: list[int] = grid["M"]
        self.s: float = grid["s"]
        self.iterations: list[int] = grid["iterations"]
        self.upsampling: list[float] = grid["upsampling"]
        self.figure_depths: list[int] = grid["figure2_M"]
        self.rival_directions: list[str] = grid["cmlm_directions"]
        self.baseline_decoding: Options = tuple(sorted(config["systems"][BASELINE]["decoding"].items()))
        self.rival_iterations: list[int] = grid["cmlm_iterations"]

    def baseline(self, direction: str, data: str = "original") -> Point:
        return Point(direction, BASELINE, data, decoding=self.baseline_decoding)

    def rivals(self, direction: str, iterations: list[int], data: str = "distilled") -> Iterator[tuple[str, Point]]:
        """CMLM, where the configuration trains it."""
        for number in iterations if direction in self.rival_directions else []:
            yield "CMLM", Point(direction, RIVAL, data, decoding=(("iterations", number),))

    def ours(self, direction: str, m: int, iterations: int, data: str = "distilled", **others: Any) -> Point:
        """XLM-D; others: settings beside M and s, `strategy`: of decoding."""
        decoding = {"iterations": iterations} | {key: others.pop(key) for key in ("strategy",) if key in others}
        settings = {"M": m, "s": self.s} | others
        return Point(direction, OURS, data, tuple(settings.items()), tuple(decoding.items()))

    def latent_transform_only(self, direction: str, m: int, **others: Any) -> Point:
        return self.ours(direction, m, 1, add_and_scale=False, **others)


def _table1(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.directions:
        yield Cell("Transformer", direction, grid.baseline(direction))
        for row, point in grid.rivals(direction, grid.rival_iterations[-1:]):
            yield Cell(row, direction, point)
        for m in grid.depths:
            for iterations in grid.iterations:
                yield Cell(None, direction, grid.ours(direction, m, iterations))


def _table2(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.directions:
        yield Cell("Transformer", direction, grid.baseline(direction))
        for m in grid.depths:
            yield Cell(None, direction, grid.ours(direction, m, 1))
        for m in grid.depths:
            yield Cell(None, direction, grid.latent_transform_only(direction, m))


def _table3(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.further:
        yield Cell("Transformer", direction, grid.baseline(direction))
        for row, point in grid.rivals(direction, grid.rival_iterations):
            yield Cell(row, direction, point)
        for iterations in grid.iterations:
            yield Cell(None, direction, grid.ours(direction, 0, iterations))


def _table4(grid: _Grid) -> Iterator[Cell]:
    for data in ("original", "distilled"):
        yield Cell("Transformer", data, grid.baseline(grid.analysis, data))
        for row, point in grid.rivals(grid.analysis, grid.rival_iterations[-1:], data):
            yield Cell(row, data, point)
        for iterations in (1, *grid.iterations):
            yield Cell(None, data, grid.ours(grid.analysis, 0, iterations, data))


def _table5(grid: _Grid) -> Iterator[Cell]:
    for s in grid.upsampling:
        for iterations in (1, *grid.iterations):
            yield Cell(None, f"s={s}", grid.ours(grid.analysis, 0, iterations, s=s))


def _table6(grid: _Grid) -> Iterator[Cell]:
    for column, others in (("pretrained", {}), ("reset", {"reset": True})):
        yield Cell(None, column, grid.latent_transform_only(grid.analysis, 0, **others))
        for m in grid.depths:
            for iterations in (1, *grid.iterations):
                yield Cell(None, column, grid.ours(grid.analysis, m, iterations, **others))


def _table7(grid: _Grid) -> Iterator[Cell]:
    for iterations in (1, 2, 4):
        yield Cell(None, f"T={iterations}", grid.ours(grid.analysis, 0, iterations))


def _table8(grid: _Grid) -> Iterator[Cell]:
    yield Cell("Transformer", "latency_ms", grid.baseline(grid.analysis))
    for m in grid.depths:
        yield Cell(None, "latency_ms", grid.ours(grid.analysis, m, 1))
    for m in grid.depths:
        yield Cell(None, "latency_ms", grid.latent_transform_only(grid.analysis, m))


def _table9(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.directions[:2]:
        for m in grid.depths:
            for iterations in grid.iterations:
                yield Cell(None, f"{direction}_static", grid.ours(direction, m, iterations, strategy="static"))
                yield Cell(None, f"{direction}_dynamic", grid.ours(direction, m, iterations))


def _table10(grid: _Grid) -> Iterator[Cell]:
    yield Cell("Transformer", "bleu", grid.baseline(grid.analysis))
    for iterations in grid.iterations:
        yield Cell(None, "bleu", grid.ours(grid.analysis, grid.depths[-1], iterations))


def _table11(grid: _Grid) -> Iterator[Cell]:
    """The paper's example is from the analyses' direction reversed; its baseline is CMLM, where there is one."""
    direction = "-".join(reversed(grid.analysis.split("-")))
    yield Cell("Transformer", "translation", grid.baseline(direction))
    for row, point in grid.rivals(direction, grid.rival_iterations[-1:]):
        yield Cell(row, "translation", point)
    yield Cell(None, "translation", grid.ours(direction, grid.depths[-1], grid.iterations[-1]))


def _figure2(grid: _Grid) -> Iterator[Cell]:
    for m in grid.figure_depths:
        for iterations in (1, *grid.iterations):
            yield Cell(None, grid.analysis, grid.ours(grid.analysis, m, iterations))


TABLES: dict[str, Callable[[_Grid], Iterator[Cell]]] = {
    f"table{number}": function
    for number, function in enumerate(
        [_table1, _table2, _table3, _table4, _table5, _table6, _table7, _table8, _table9, _table10, _table11], 1
    )
} | {"figure2": _figure2}

# What the audit tests the paper's claims on (`xlmd.reporting.claims`).
AUDITED = ("table1", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10", "figure2")

WITH_SPEED = ("table1", "table2", "table4", "table8", "table10", "figure2")
