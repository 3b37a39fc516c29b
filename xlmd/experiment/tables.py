"""The tables and figures of the paper, one record each: all that is particular to a table stands in its record.

A record says which points, trained and decoded, stand in which cells. The workflow asks for the files to make, the
reporting for those to read: neither can show or make what the other does not know of, and a point that several tables
show is trained and decoded once. A further table is one more record.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from xlmd.experiment.grid import (
    BASELINE,
    OURS,
    Columns,
    Grid,
    Rows,
    analysis,
    baseline,
    compared,
    directions,
    engine_iterations,
    every_m,
    figure2_m,
    further_directions,
    kinds_of_data,
    last_m,
    m_0,
    most,
    numbers_of_iterations,
    one,
    one_and_several,
    ours,
    pretrained_and_reset,
    reversed_analysis,
    several,
    static_and_dynamic,
    transform_only,
    transformers,
    upsampling_ratios,
)
from xlmd.experiment.points import Cell, Point


@dataclass(frozen=True)
class TableSpec:
    """One table or figure.

    columns, rows: what is measured, each row in each column.
    form: a grid of figures; BLEU by the length of sentences; one sentence's translations; times by engine; a picture.
    figure: what a cell of a grid shows.
    timed_with: the table in whose job its systems are timed, if it shows speeds.
    one_seed: it is of the first seed, not a mean over all.
    paper: what the paper prints of it, names of files in xlmd/resources/paper. protocols: whether to say how the
    figures of the systems that it quotes came about.
    audited: whether claims of the paper are tested on it.
    samples, curves: whether its systems' translations, and the course of their trainings, are shown too.
    """

    name: str
    title: str
    columns: Columns
    rows: tuple[Rows, ...]
    form: Literal["grid", "lengths", "case", "engines", "picture"] = "grid"
    figure: Literal["bleu", "latency_ms"] = "bleu"
    timed_with: str | None = None
    one_seed: bool = False
    paper: tuple[str, ...] = ()
    protocols: bool = False
    audited: bool = False
    samples: bool = False
    curves: bool = False

    @property
    def label(self) -> str:
        """ "Table 1"."""
        kind = self.name.rstrip("0123456789")
        return f"{kind.capitalize()} {self.name.removeprefix(kind)}".rstrip()

    @property
    def heading(self) -> str:
        """ "Table 1: Iterative systems"."""
        return f"{self.label}: {self.title}"

    @property
    def timed_by(self) -> str | None:
        """The job that makes its times, if it shows any."""
        return ENGINES_JOB if self.form == "engines" else self.timed_with

    @property
    def compares(self) -> bool:
        """Whether it has a place for the systems of `grid.compared`."""
        return compared in self.rows

    def measured(self, column: str) -> str:
        """What a column's measured figures are called in CSV: "en-de_bleu", or "bleu" where the column itself is."""
        return column if column == self.figure else f"{column}_{self.figure}"

    def cells(self, config: dict[str, Any]) -> Iterator[Cell]:
        """Every measured cell, of the first seed."""
        grid = Grid(config, self.name)
        for column in self.columns(grid):
            for rows in self.rows:
                for point in rows(grid, column):
                    yield Cell(column.name, point)


# The programs that run a system's models; what is not named runs in torch alone.
ENGINES_OF_SYSTEMS = {
    BASELINE: ("torch", "ctranslate2", "ctranslate2_int8"),
    OURS: ("torch", "onnx", "onnx_int8"),
}
ENGINES_JOB = "engines"

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "table1",
            "Iterative systems",
            columns=directions,
            rows=(baseline, compared, ours(every_m, several)),
            timed_with="table1",
            paper=("table1",),
            protocols=True,
            audited=True,
            samples=True,
            curves=True,
        ),
        TableSpec(
            "table2",
            "Single-step systems",
            columns=directions,
            rows=(baseline, compared, ours(every_m, one), transform_only(every_m)),
            timed_with="table2",
            paper=("table2",),
            protocols=True,
            audited=True,
        ),
        TableSpec(
            "table3",
            "Further language pairs",
            columns=further_directions,
            rows=(baseline, compared, ours(m_0, several)),
            paper=("table3",),
            audited=True,
            samples=True,
        ),
        TableSpec(
            "table4",
            "Original and distilled training data",
            columns=kinds_of_data,
            rows=(baseline, compared, ours(m_0, one_and_several)),
            timed_with="table4",
            paper=("table4",),
            audited=True,
        ),
        TableSpec(
            "table5",
            "Upsampling ratio s",
            columns=upsampling_ratios,
            rows=(ours(m_0, one_and_several),),
            paper=("table5",),
            audited=True,
        ),
        TableSpec(
            "table6",
            "Pre-trained and reset parameters",
            columns=pretrained_and_reset,
            rows=(transform_only(m_0), ours(every_m, one_and_several)),
            paper=("table6",),
            audited=True,
        ),
        TableSpec(
            "table7",
            "BLEU by the length of the reference",
            columns=numbers_of_iterations,
            rows=(ours(m_0, iterations=None),),
            form="lengths",
            paper=("table7",),
            audited=True,
        ),
        TableSpec(
            "table8",
            "Latency of a single step",
            columns=analysis("latency_ms"),
            rows=(baseline, compared, ours(every_m, one), transform_only(every_m)),
            figure="latency_ms",
            timed_with="table2",
            one_seed=True,
            paper=("table8",),
            audited=True,
        ),
        TableSpec(
            "table9",
            "Static and dynamic blocks",
            columns=static_and_dynamic,
            rows=(ours(every_m, several),),
            paper=("table9",),
            audited=True,
        ),
        TableSpec(
            "table10",
            "Pre-training models",
            columns=analysis("bleu"),
            rows=(baseline, compared, ours(last_m, several)),
            timed_with="table1",
            paper=("table10",),
            protocols=True,
            audited=True,
        ),
        # The paper's example is of the analyses' direction reversed; its baseline is CMLM.
        TableSpec(
            "table11",
            "Case study",
            columns=reversed_analysis("translation"),
            rows=(baseline, compared, ours(last_m, most)),
            form="case",
            one_seed=True,
        ),
        # Tables 1 and 2 hold those of its points that the paper gives as numbers.
        TableSpec(
            "figure2",
            "BLEU and speed-up against iterations for several M",
            columns=analysis(),
            rows=(compared, ours(figure2_m, one_and_several)),
            form="picture",
            timed_with="figure2",
            paper=("table1", "table2"),
            audited=True,
        ),
        TableSpec(
            "latency",
            "Systems and engines",
            columns=analysis("ms"),
            rows=(transformers, compared, transform_only(m_0), ours(every_m, engine_iterations)),
            form="engines",
            one_seed=True,
        ),
    )
}


def shown(config: dict[str, Any]) -> list[TableSpec]:
    """The tables and figures that a configuration has columns for: without further directions there is no Table 3."""
    return [spec for spec in TABLES.values() if spec.columns(Grid(config, spec.name))]


def cells(config: dict[str, Any], table: str) -> list[Cell]:
    """Every measured cell of a table or figure ("table1" … "table11", "figure2"), each seed's on its own.

    Raises KeyError for an unknown table.
    """
    spec = TABLES[table]
    seeds = [None if seed == config["seed"] else seed for seed in config["grid"]["seeds"]]
    return [
        cell._replace(point=replace(cell.point, seed=seed))
        for cell in spec.cells(config)
        for seed in (seeds[:1] if spec.one_seed else seeds)
    ]


def points(config: dict[str, Any], *tables: str) -> list[Point]:
    """The points of several tables, each once, in their order."""
    return list(dict.fromkeys(cell.point for table in tables for cell in cells(config, table)))


def timed(config: dict[str, Any], table: str) -> list[Point]:
    """What is timed for a table, in one job: in the direction of the analyses, the points of all tables that are timed
    with it, the baseline first.

    The baseline is timed in transformers, against which speed-ups are given, and in CTranslate2. Of several seeds the
    first is timed, of a model trained on original and on distilled data the latter. Empty for a table without speeds.
    """
    direction, job = config["grid"]["analysis"], TABLES[table].timed_with
    found = [
        cell.point
        for spec in TABLES.values()
        if job and spec.timed_with == job
        for cell in spec.cells(config)
        if cell.point.direction == direction
    ]
    found.sort(key=lambda point: point.data == "original")  # stable: otherwise the tables' order
    kept = {replace(point, data=""): point for point in reversed(dict.fromkeys(found)) if point.system != BASELINE}
    reference = Grid(config, table).baseline(direction)
    optimised = replace(reference, decoding=(("engine", "ctranslate2"),))
    return [reference, optimised, *reversed(kept.values())] if job else []


def in_engines(config: dict[str, Any]) -> list[Point]:
    """The points that engines are compared on, once for each engine that runs them, as an option of their decoding."""
    return [
        replace(point, decoding=(*point.decoding, ("engine", engine)))
        for spec in TABLES.values()
        if spec.form == "engines"
        for point in points(config, spec.name)
        for engine in ENGINES_OF_SYSTEMS.get(point.system, ("torch",))
    ]


def timed_together() -> list[list[TableSpec]]:
    """The tables with speeds, by the job that times them."""
    jobs: dict[str, list[TableSpec]] = {}
    for spec in TABLES.values():
        if spec.timed_with:
            jobs.setdefault(spec.timed_with, []).append(spec)
    return list(jobs.values())
