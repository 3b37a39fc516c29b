"""How figures came about: those that the paper quotes, and those measured here. Unlike protocols do not compare."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlmd.experiment.names import OWN
from xlmd.experiment.tables import TableSpec
from xlmd.reporting.paper import protocols
from xlmd.reporting.results import Result
from xlmd.reporting.tables import Column, Measured, Table

Paper = Sequence[dict[str, str | None]]


def quoted_protocols(spec: TableSpec, path: str | Path, paper: Paper) -> Table:
    """How the figures came about that the paper quotes."""
    frame = protocols(path, [system for row in paper if (system := row["system"])])
    columns = [Column(column, column.replace("_", " ")) for column in frame.columns]
    notes = [
        "Figures of different protocols do not compare: what a system was distilled from, how many lengths it tries, "
        "whether another model rescores, how checkpoints are averaged, and what tokens BLEU counts. *unsure*: not all "
        "of a row could be checked in its authors' code or text."
    ]
    heading = f"{spec.label}, protocols of the quoted systems"
    return Table(f"{spec.name}_protocols", heading, columns, ("system",), frame.to_dict("records"), notes)


def measured_protocols(spec: TableSpec, results: Sequence[Result]) -> Table:
    """Data, budget and size of every training behind a table, and what its decoding took."""
    rows = []
    for result in results:
        record, trainer = result.record, result.record["settings"]["trainer"]
        row: dict[str, Any] = {
            "decoding": result.point.path,
            "seed": str(record["seed"]),
            "data": _data(result),
            "started_from": ", ".join(result.started_from) or "random weights",
            "updates": str(record["result"]["steps"]),
            "batch": str(trainer["max_tokens"] * trainer["accumulation"] * trainer["processes"]),
            "averaged": str(len(record["result"]["best"]) or 1),
            "parameters": str(record["parameters"]),
        }
        row |= {name: Measured(value, (result.origin(),)) for name, value in result.effort.items()}
        rows.append(row)
    columns = [
        Column("decoding", "Decoding"),
        Column("seed", "Seed"),
        Column("data", "Data"),
        Column("started_from", "Started from"),
        Column("updates", "Updates"),
        Column("batch", "Tokens per update (longer side, padded, at most)"),
        Column("averaged", "Checkpoints averaged"),
        Column("parameters", "Parameters"),
    ]
    if any(result.effort for result in results):
        columns += [
            Column("mean_iterations", "Iterations per sentence", 2),
            Column("mean_passes", "Decoder passes per sentence", 2),
        ]
    notes = [
        "A decoding's name says its length beam, iterations and engine where the system has such. No candidate is "
        "rescored by another model unless the name says so. Distilled data are the translations of the table's own "
        "Transformer, reverse data those of the targets by the reverse direction's. Parameters include those that are "
        "shared or frozen."
    ]
    return Table(
        f"{spec.name}_measured", f"{spec.label}, protocols measured", columns, ("decoding", "seed"), rows, notes
    )


def _data(result: Result) -> str:
    """What a training learnt from, stage by stage if there were several."""
    stages = result.record.get("data", {}).get("stages", [{"data": [OWN]}])
    kinds = [[result.point.data if kind == OWN else kind for kind in stage["data"]] for stage in stages]
    return ", then ".join(" + ".join(stage) for stage in kinds)
