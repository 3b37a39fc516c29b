"""Where every number of a table comes from: the record of its measured cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xlmd.files import read_json, write_json
from xlmd.record import environment, now
from xlmd.reporting.results import Result
from xlmd.reporting.tables import Table


def provenance(
    tables: Sequence[Table],
    results: Sequence[Result],
    *,
    config: dict[str, Any],
    corpora: list[dict[str, Any]],
    out: str | Path,
) -> dict[str, Any]:
    """Write to `out` what `tables` were made with and, for each measured cell, the run and files it comes from.

    Each entry of `cells` names its table, row (the values of the table's key columns) and column, the value as printed
    and in full, and its `origins`: one for each result it is computed from, with role `result` or `baseline`.
    `runs` holds the records of the run folders (`run.json`), and of those whose models these started from: the masked
    language model, where it was pre-trained here, and the teachers. `distillation` holds, by the direction of a
    teacher, this teacher and the counts of its translations that a run learnt from. `started` is when the first of all
    runs began. Raises UserError if a record is missing or malformed.
    """
    runs = {str(result.run): result.record for result in results}
    distillation = {}
    for run in list(runs.values()):
        for folder in {Path(file).parent for file in run.get("inputs", {})}:
            if (folder / "distillation.json").exists():
                found = read_json(folder / "distillation.json")
                distillation[folder.name] = found
                folder = Path(found["teacher"])
            if (folder.parent / "run.json").exists():
                runs[str(folder.parent)] = read_json(folder.parent / "run.json")
    record = {
        "scale": config["scale"],
        "config": config,
        "corpora": corpora,
        "distillation": distillation,
        "seeds": sorted({result.record["seed"] for result in results}),
        "started": min((run["started"] for run in runs.values()), default=None),
        "finished": now(),
        "environment": environment(),
        "cells": [
            {
                "table": table.name,
                "row": row,
                "column": column,
                "value": text,
                "exact": cell.value,
                "deviation": cell.deviation,
                "origins": list(cell.origins),
            }
            for table in tables
            for row, column, text, cell in table.measured()
        ],
        "runs": runs,
    }
    write_json(out, record)
    return record
