"""What tables are made of: columns and rows of points, from the lists in the configuration's `grid`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from xlmd.experiment.names import DATA, Options, parse_decoding, parse_run
from xlmd.experiment.points import Point

# The two systems that the paper's tables are about.
BASELINE, OURS = "transformer", "xlmd"

# What a run or a decoding of XLM-D has where neither its name nor the configuration says otherwise, as in
# `xlmd.systems.xlmd`. Names spell these only where they differ, and M, s and the number of iterations always.
DEFAULTS = {"reset": False, "add_and_scale": True, "strategy": "dynamic", "static_block": 8}
ALWAYS_SPELT = ("M", "s")

GREEDY: Options = (("beam", 1),)


class Grid:
    """A configuration's grid as one table sees it. compared: its entries for that table."""

    def __init__(self, config: dict[str, Any], table: str) -> None:
        grid, systems = config["grid"], config["systems"]
        self.directions: list[str] = [entry["pair"] for entry in config["directions"]]
        self.further_directions: list[str] = [entry["pair"] for entry in config["further_directions"]]
        self.analysis: str = grid["analysis"]
        self.M: list[int] = grid["M"]
        self.s = float(grid["s"])
        self.iterations: list[int] = grid["iterations"]
        self.upsampling = [float(s) for s in grid["upsampling"]]
        self.table7_iterations: list[int] = grid["table7_iterations"]
        self.figure2_M: list[int] = grid["figure2_M"]
        self.compared: list[dict[str, Any]] = [
            {"data": ["distilled"]} | entry for entry in grid["compared"] if table in entry["tables"]
        ]
        self.engine_iterations: list[int] = config["engines"]["iterations"]
        self.transformers: list[str] = config["engines"]["transformers"]
        self.implied: dict[str, Any] = implied(config)
        self._baseline_decoding: Options = tuple(sorted(systems[BASELINE]["decoding"].items()))

    def baseline(self, direction: str, data: str = "original") -> Point:
        """The Transformer, its decoding called by what the configuration says of it."""
        return Point(direction, BASELINE, data, decoding=self._baseline_decoding)

    def ours(self, direction: str, data: str, settings: dict[str, Any], decoding: dict[str, Any]) -> Point:
        """XLM-D, its names as short as they can be."""
        return Point(direction, OURS, data, self._spelt(settings), self._spelt(decoding))

    def _spelt(self, options: dict[str, Any]) -> Options:
        return tuple((key, value) for key, value in options.items() if self.implied.get(key) != value)


def implied(config: dict[str, Any]) -> dict[str, Any]:
    """`DEFAULTS` with what the configuration says instead."""
    ours = config["systems"][OURS]
    given = ours["settings"] | ours["decoding"]
    return {key: given.get(key, value) for key, value in DEFAULTS.items()}


@dataclass(frozen=True)
class Column:
    """What the cells of a column have in common. data: None where each row has its own."""

    name: str
    direction: str
    data: str | None = None
    settings: Options = ()
    decoding: Options = ()


Columns = Callable[[Grid], list[Column]]
Rows = Callable[[Grid, Column], Iterator[Point]]  # what stands in a column, from above to below
Numbers = Callable[[Grid], list[int]]


def directions(grid: Grid) -> list[Column]:
    return [Column(direction, direction) for direction in grid.directions]


def further_directions(grid: Grid) -> list[Column]:
    return [Column(direction, direction) for direction in grid.further_directions]


def analysis(name: str | None = None) -> Columns:
    """One column, of the direction of the analyses, by whose name it is called if it has none of its own."""
    return lambda grid: [Column(name or grid.analysis, grid.analysis)]


def reversed_analysis(name: str) -> Columns:
    """One column, of the direction of the analyses reversed."""
    return lambda grid: [Column(name, "-".join(reversed(grid.analysis.split("-"))))]


def kinds_of_data(grid: Grid) -> list[Column]:
    return [Column(data, grid.analysis, data=data) for data in DATA]


def upsampling_ratios(grid: Grid) -> list[Column]:
    return [Column(f"s={s}", grid.analysis, settings=(("s", s),)) for s in grid.upsampling]


def pretrained_and_reset(grid: Grid) -> list[Column]:
    return [
        Column(name, grid.analysis, settings=(("reset", reset),))
        for name, reset in (("pretrained", False), ("reset", True))
    ]


def numbers_of_iterations(grid: Grid) -> list[Column]:
    return [Column(f"T={t}", grid.analysis, decoding=(("iterations", t),)) for t in grid.table7_iterations]


def static_and_dynamic(grid: Grid) -> list[Column]:
    """Both strategies of decoding in the first two directions, as in the paper."""
    return [
        Column(f"{direction}_{strategy}", direction, decoding=(("strategy", strategy),))
        for direction in grid.directions[:2]
        for strategy in ("static", "dynamic")
    ]


def baseline(grid: Grid, column: Column) -> Iterator[Point]:
    yield grid.baseline(column.direction, column.data or "original")


def compared(grid: Grid, column: Column) -> Iterator[Point]:
    """The systems that the configuration compares in the table."""
    for entry in grid.compared:
        data = column.data or entry["data"][0]
        if column.direction in entry.get("directions", [column.direction]) and data in entry["data"]:
            for name in entry["decodings"]:
                yield Point(column.direction, entry["system"], data, decoding=tuple(parse_decoding(name).items()))


def transformers(grid: Grid, column: Column) -> Iterator[Point]:
    """The baseline and the Transformers that engines are compared on beside it, each decoded as the baseline and
    greedily."""
    reference = grid.baseline(column.direction)
    runs = [parse_run(f"{column.direction}/{name}") for name in grid.transformers]
    further = [replace(reference, data=run.data, settings=tuple(run.overrides.items())) for run in runs]
    for point in (reference, *further):
        yield point
        if dict(point.decoding).get("beam") != 1:
            yield replace(point, decoding=GREEDY)


def ours(m: Numbers, iterations: Numbers | None, **settings: Any) -> Rows:
    """XLM-D of every M with every number of iterations (None: the column's), on distilled data where the column does
    not say otherwise."""

    def rows(grid: Grid, column: Column) -> Iterator[Point]:
        for depth in m(grid):
            own = {"M": depth, "s": grid.s} | settings | dict(column.settings)
            for t in iterations(grid) if iterations else [None]:
                decoding = ({"iterations": t} if t else {}) | dict(column.decoding)
                yield grid.ours(column.direction, column.data or "distilled", own, decoding)

    return rows


def transform_only(m: Numbers) -> Rows:
    """XLM-D's latent transform without add and scale: a single-step system."""
    return ours(m, one, add_and_scale=False)


def m_0(grid: Grid) -> list[int]:
    return [0]


def every_m(grid: Grid) -> list[int]:
    return grid.M


def last_m(grid: Grid) -> list[int]:
    return grid.M[-1:]


def figure2_m(grid: Grid) -> list[int]:
    return grid.figure2_M


def one(grid: Grid) -> list[int]:
    return [1]


def several(grid: Grid) -> list[int]:
    return grid.iterations


def one_and_several(grid: Grid) -> list[int]:
    return list(dict.fromkeys([1, *grid.iterations]))


def engine_iterations(grid: Grid) -> list[int]:
    return grid.engine_iterations


def most(grid: Grid) -> list[int]:
    return grid.iterations[-1:]
