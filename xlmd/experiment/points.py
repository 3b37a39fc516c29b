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
    """A point in a table; its row follows from the run. column: a direction or a variant, as the table heads it."""

    column: str
    point: Point


def cells(config: dict[str, Any], table: str) -> list[Cell]:
    """Every measured cell of a table or figure ("table1" … "table11", "figure2"), each seed's on its own.

    Raises KeyError for an unknown table.
    """
    seeds = [None if seed == config["seed"] else seed for seed in config["grid"]["seeds"]]
    if table in OF_ONE_SEED:
        seeds = seeds[:1]
    return [
        cell._replace(point=replace(cell.point, seed=seed)) for cell in TABLES[table](_Grid(config)) for seed in seeds
    ]


def points(config: dict[str, Any], *tables: str) -> list[Point]:
    """The points of several tables, each once, in their order."""
    return list(dict.fromkeys(cell.point for table in tables for cell in cells(config, table)))


def timed(config: dict[str, Any], table: str) -> list[Point]:
    """What is timed for a table, in one job: its points in the direction of the analyses, the baseline first.

    The baseline is timed in transformers, against which speed-ups are given, and in CTranslate2. Of several seeds the
    first is timed, of a model trained on original and on distilled data the latter. Empty for a table without speeds.
    """
    if table not in TIMED_IN:
        return []
    grid = _Grid(config)
    shown = [cell.point for cell in TABLES[TIMED_IN[table]](grid) if cell.point.direction == grid.analysis]
    shown.sort(key=lambda point: point.data == "original")  # stable: otherwise the table's order
    kept = {replace(point, data=""): point for point in reversed(shown) if point.system != BASELINE}
    baseline = grid.baseline(grid.analysis)
    optimised = replace(baseline, decoding=(("engine", "ctranslate2"),))
    return [baseline, optimised, *reversed(kept.values())]


class _Grid:
    """The configuration's grid, with a method for each kind of point."""

    def __init__(self, config: dict[str, Any]) -> None:
        grid = config["grid"]
        self.directions = [entry["pair"] for entry in config["directions"]]
        self.further = [entry["pair"] for entry in config["further_directions"]]
        self.analysis: str = grid["analysis"]
        self.depths: list[int] = grid["M"]
        self.s = float(grid["s"])
        self.iterations: list[int] = grid["iterations"]
        self.all_iterations = list(dict.fromkeys([1, *self.iterations]))
        self.upsampling = [float(s) for s in grid["upsampling"]]
        self.figure_depths: list[int] = grid["figure2_M"]
        self.rival_directions: list[str] = grid["cmlm_directions"]
        self.rival_iterations: list[int] = grid["cmlm_iterations"]
        self.rival_in_table1: bool = grid["cmlm_in_table1"]
        self.baseline_decoding: Options = tuple(sorted(config["systems"][BASELINE]["decoding"].items()))
        ours = config["systems"][OURS]
        # What a run or decoding has without its name saying so.
        self.implied = {"reset": False, "add_and_scale": True, "strategy": "dynamic"}
        self.implied |= ours["settings"] | ours["decoding"]

    def baseline(self, direction: str, data: str = "original") -> Point:
        return Point(direction, BASELINE, data, decoding=self.baseline_decoding)

    def rivals(self, direction: str, iterations: list[int], data: str = "distilled") -> Iterator[Point]:
        """CMLM, where the configuration trains it."""
        for number in iterations if direction in self.rival_directions else []:
            yield Point(direction, RIVAL, data, decoding=(("iterations", number),))

    def ours(
        self,
        direction: str,
        m: int,
        iterations: int,
        data: str = "distilled",
        *,
        s: float | None = None,
        strategy: str | None = None,
        **settings: Any,
    ) -> Point:
        """XLM-D; settings: beside M and s. Named is only what differs from the configuration."""
        named = {"M": m, "s": s or self.s} | self._unlike(settings)
        decoding = {"iterations": iterations} | self._unlike({"strategy": strategy} if strategy else {})
        return Point(direction, OURS, data, tuple(named.items()), tuple(decoding.items()))

    def _unlike(self, options: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in options.items() if value != self.implied[key]}

    def latent_transform_only(self, direction: str, m: int, **settings: Any) -> Point:
        return self.ours(direction, m, 1, add_and_scale=False, **settings)


def _table1(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.directions:
        yield Cell(direction, grid.baseline(direction))
        for point in grid.rivals(direction, grid.rival_iterations[-1:]) if grid.rival_in_table1 else ():
            yield Cell(direction, point)
        for m in grid.depths:
            for iterations in grid.iterations:
                yield Cell(direction, grid.ours(direction, m, iterations))


def _table2(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.directions:
        yield Cell(direction, grid.baseline(direction))
        for m in grid.depths:
            yield Cell(direction, grid.ours(direction, m, 1))
        for m in grid.depths:
            yield Cell(direction, grid.latent_transform_only(direction, m))


def _table3(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.further:
        yield Cell(direction, grid.baseline(direction))
        for point in grid.rivals(direction, grid.rival_iterations):
            yield Cell(direction, point)
        for iterations in grid.iterations:
            yield Cell(direction, grid.ours(direction, 0, iterations))


def _table4(grid: _Grid) -> Iterator[Cell]:
    for data in ("original", "distilled"):
        yield Cell(data, grid.baseline(grid.analysis, data))
        for point in grid.rivals(grid.analysis, grid.rival_iterations[-1:], data):
            yield Cell(data, point)
        for iterations in grid.all_iterations:
            yield Cell(data, grid.ours(grid.analysis, 0, iterations, data))


def _table5(grid: _Grid) -> Iterator[Cell]:
    for s in grid.upsampling:
        for iterations in grid.all_iterations:
            yield Cell(f"s={s}", grid.ours(grid.analysis, 0, iterations, s=s))


def _table6(grid: _Grid) -> Iterator[Cell]:
    for column, reset in (("pretrained", False), ("reset", True)):
        yield Cell(column, grid.latent_transform_only(grid.analysis, 0, reset=reset))
        for m in grid.depths:
            for iterations in grid.all_iterations:
                yield Cell(column, grid.ours(grid.analysis, m, iterations, reset=reset))


def _table7(grid: _Grid) -> Iterator[Cell]:
    for iterations in (1, 2, 4):
        yield Cell(f"T={iterations}", grid.ours(grid.analysis, 0, iterations))


def _table8(grid: _Grid) -> Iterator[Cell]:
    yield Cell("latency_ms", grid.baseline(grid.analysis))
    for m in grid.depths:
        yield Cell("latency_ms", grid.ours(grid.analysis, m, 1))
    for m in grid.depths:
        yield Cell("latency_ms", grid.latent_transform_only(grid.analysis, m))


def _table9(grid: _Grid) -> Iterator[Cell]:
    for direction in grid.directions[:2]:
        for m in grid.depths:
            for iterations in grid.iterations:
                for strategy in ("static", "dynamic"):
                    yield Cell(f"{direction}_{strategy}", grid.ours(direction, m, iterations, strategy=strategy))


def _table10(grid: _Grid) -> Iterator[Cell]:
    yield Cell("bleu", grid.baseline(grid.analysis))
    for iterations in grid.iterations:
        yield Cell("bleu", grid.ours(grid.analysis, grid.depths[-1], iterations))


def _table11(grid: _Grid) -> Iterator[Cell]:
    """The paper's example is from the analyses' direction reversed; its baseline is CMLM, where there is one."""
    direction = "-".join(reversed(grid.analysis.split("-")))
    yield Cell("translation", grid.baseline(direction))
    for point in grid.rivals(direction, grid.rival_iterations[-1:]):
        yield Cell("translation", point)
    yield Cell("translation", grid.ours(direction, grid.depths[-1], grid.iterations[-1]))


def _figure2(grid: _Grid) -> Iterator[Cell]:
    for m in grid.figure_depths:
        for iterations in grid.all_iterations:
            yield Cell(grid.analysis, grid.ours(grid.analysis, m, iterations))


TABLES: dict[str, Callable[[_Grid], Iterator[Cell]]] = {
    f"table{number}": function
    for number, function in enumerate(
        [_table1, _table2, _table3, _table4, _table5, _table6, _table7, _table8, _table9, _table10, _table11], 1
    )
} | {"figure2": _figure2}

# What the audit tests the paper's claims on (`xlmd.reporting.claims`).
AUDITED = ("table1", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10", "figure2")

# Tables with speeds, and the table in whose job their systems are timed: where two show the same systems, the same
# times.
TIMED_IN = {
    "table1": "table1",
    "table2": "table2",
    "table4": "table4",
    "table8": "table2",
    "table10": "table1",
    "figure2": "figure2",
}

# Shown or timed for themselves, not as a mean: of several seeds the first.
OF_ONE_SEED = ("table8", "table11")
