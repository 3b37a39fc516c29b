"""Where every number comes from: the record of a run, and the record of a table's measured cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from xlmd.errors import UserError
from xlmd.files import read_json, write_json
from xlmd.record import environment, now
from xlmd.reporting.results import Index
from xlmd.reporting.tables import Table


def provenance(tables: Sequence[Table], index: Index, *, config: str | Path, out: str | Path) -> dict[str, Any]:
    """Write to `out` what `tables` were made with and, for each measured cell, the run and files it comes from.

    Each entry of `cells` names its table, row (the values of the table's key columns) and column, the value as printed
    and in full, and its `origins`: one for each result it is computed from, with role `result` or `baseline`.
    `runs` holds the records of the run folders (`run.json`), and of those whose models these started from: the masked
    language model, where it was pre-trained here. `distillation` holds, by direction, the counts of the teacher's
    translations that a run learnt from. `started` is when the first of all runs began.
    Raises UserError if a record is missing or malformed.
    """
    runs = {run: read_json(Path(run) / "run.json") for run in index.runs()}
    distillation = {}
    for run in list(runs.values()):
        for folder in {Path(file).parent for file in run.get("inputs", {})}:
            if (folder.parent / "run.json").exists():
                runs[str(folder.parent)] = read_json(folder.parent / "run.json")
            if (folder / "distillation.json").exists():
                distillation[run["description"]["direction"]] = read_json(folder / "distillation.json")
    record = {
        "scale": index.scale,
        "config": _read_config(config),
        "corpora": index.corpora,
        "distillation": distillation,
        "seeds": index.seeds,
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
                "origins": list(cell.origins),
            }
            for table in tables
            for row, column, text, cell in table.measured()
        ],
        "runs": runs,
    }
    write_json(out, record)
    return record


def _read_config(path: str | Path) -> Any:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
