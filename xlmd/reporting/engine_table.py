"""What a sentence takes in each engine: systems beside engines, batches and cores, with the BLEU of what was timed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlmd.experiment.grid import BASELINE
from xlmd.experiment.points import Cell
from xlmd.experiment.tables import TableSpec
from xlmd.files import read_json
from xlmd.reporting.results import Results
from xlmd.reporting.tables import Column, Measured, Table

PRINTED = {
    "torch": "torch",
    "ctranslate2": "CTranslate2",
    "ctranslate2_int8": "CTranslate2, int8",
    "onnx": "ONNX Runtime",
    "onnx_int8": "ONNX Runtime, int8",
}
COLUMNS = [
    Column("system", "System"),
    Column("measured_as", "Measured as"),
    Column("data", "Data"),
    Column("iterations", "Iter."),
    Column("engine", "Engine"),
    Column("batch", "Batch"),
    Column("threads", "Cores"),
    Column("ms", "ms per sentence", 3),
    Column("spread", "spread of runs", 3),
    Column("bleu", "BLEU", 2),
    Column("speedup", "over the Transformer in torch", 2),
    Column("speedup_best", "over the fastest Transformer", 2),
]
KEYS = ("system", "measured_as", "data", "iterations", "engine", "batch", "threads")


def engine_table(spec: TableSpec, cells: Sequence[Cell], results: Results, timings: str | Path) -> Table:
    """A row per system, engine, size of batch and number of cores. timings: what `xlmd compare_engines` wrote."""
    measured = read_json(timings)
    points = {cell.point.path: cell.point for cell in cells}
    reference = next(iter(points))
    rows = []
    for conditions in dict.fromkeys(map(_conditions, measured["timings"])):
        together = [timing for timing in measured["timings"] if _conditions(timing) == conditions]
        by_transformers = [timing for timing in together if points[timing["cell"]].system == BASELINE]
        framework = next(t for t in by_transformers if (t["cell"], t["engine"]) == (reference, "torch"))
        fastest = min(by_transformers, key=lambda timing: timing["ms"])

        def origin(timing: dict[str, Any], role: str = "result") -> dict[str, Any]:
            return results[points[timing["cell"]]].origin(role) | {"latency": str(timings)}

        for timing in together:
            result, own = results[points[timing["cell"]]], (origin(timing),)
            over: dict[str, Any] = {
                name: Measured(other["ms"] / timing["ms"], (*own, origin(other, "baseline")))
                for name, other in (("speedup", framework), ("speedup_best", fastest))
            }
            rows.append(
                {
                    "system": result.row,
                    "measured_as": result.measured_as,
                    "data": result.point.data,
                    "iterations": result.iterations,
                    "engine": PRINTED[timing["engine"]],
                    "batch": str(timing["batch"]),
                    "threads": str(timing["threads"]),
                    "ms": Measured(timing["ms"], own),
                    "spread": None if timing["spread"] is None else Measured(timing["spread"], own),
                    "bleu": Measured(timing["bleu"], own),
                }
                | over
            )
    return Table(spec.name, spec.heading, COLUMNS, KEYS, rows, [_note(measured)])


def by_conditions(table: Table) -> list[Table]:
    """The table in parts to read, one for each size of batch and number of cores; its notes stand below the last."""
    parts: dict[tuple[str, str], Table] = {}
    columns = [column for column in table.columns if column.name not in ("batch", "threads")]
    for row in table.rows:
        batch, threads = row["batch"], row["threads"]
        title = f"{table.title}: batch {batch}, {threads} {'core' if threads == '1' else 'cores'}"
        part = parts.setdefault((batch, threads), Table(table.name, title, columns, table.keys))
        part.rows.append(row)
    *_, last = parts.values()
    last.notes = table.notes
    return list(parts.values())


def _conditions(timing: dict[str, Any]) -> tuple[int, int]:
    return timing["threads"], timing["batch"]


def _note(measured: dict[str, Any]) -> str:
    return (
        f"Times: {measured['sentences']} sentences of the {measured['direction']} test set, {measured['runs']} runs "
        f"through them, in each of which all rows take their turn, in one job on {measured['hardware']['cpu']}; "
        "subword ids in and out, no tokenisation. Spread: standard deviation of the runs. BLEU: of the very "
        "translations that were timed. The Transformer in torch is the baseline with its own beam; the fastest "
        "Transformer is whichever row takes the least time, whatever its beam, depth and engine. Both at the same "
        "batch and cores."
    )
