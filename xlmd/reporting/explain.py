"""Answers where a cell of a table comes from, out of the provenance written beside it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xlmd.errors import UserError
from xlmd.experiment.tables import TABLES
from xlmd.files import read_json


def explain(table: str | Path, keys: Sequence[str], column: str) -> str:
    """Everything that made a cell, as text for a reader.

    table: a CSV file of the workflow; its provenance lies beside it in provenance/. keys: what names the row, as
    printed, in the order of the key columns ("XLM-D (M=6)", "4"). column: its name, or the part that names its
    direction or variant ("en-de" for "en-de_bleu"). Raises UserError, with what there is to choose from, if there is no
    such cell.
    """
    table = Path(table)
    record = read_json(table.parent / "provenance" / f"{table.stem}.json")
    own = [cell for cell in record["cells"] if cell["table"] == table.stem]
    row = [cell for cell in own if list(cell["row"].values()) == list(keys)]
    names = {column} | {spec.measured(column) for spec in TABLES.values() if spec.name == table.stem}
    cells = [cell for cell in row if cell["column"] in names]
    if not cells:
        raise UserError(_quoted(table, keys, column) or f"{table}: {_choice(own, row, keys, column)}")
    (cell,) = cells
    seeds = "" if cell["deviation"] is None else f" ± {cell['deviation']:.4g} over seeds"
    lines = [
        f"{table} · {' · '.join(keys)} · {cell['column']}: {cell['value']}{seeds}{_exactly(cell['exact'])}",
        f"scale: {record['scale']['name']}; table made {record['finished']}",
    ]
    for origin in cell["origins"]:
        lines += ["", *_origin(origin, record, table.parent)]
    return "\n".join(lines)


def _exactly(value: float | str) -> str:
    return "" if isinstance(value, str) else f" (exactly {value!r})"


def _quoted(table: Path, keys: Sequence[str], column: str) -> str | None:
    """A message about a cell that the table has but nobody measured: it quotes the paper or is empty."""
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    if column not in frame.columns:
        return None
    rows = frame[frame.apply(lambda row: set(keys) <= set(row), axis=1)]
    if rows.empty:
        return None
    value = rows.iloc[0][column]
    return f"{table}: {column} of {' '.join(keys)!r} is {value or 'empty'}: not measured here"


def _choice(cells: list[dict[str, Any]], row: list[dict[str, Any]], keys: Sequence[str], column: str) -> str:
    """What could have been asked for."""
    if row:
        return f"no measured column {column!r} in that row; there are: {', '.join(cell['column'] for cell in row)}"
    known = dict.fromkeys(" ".join(f'"{key}"' for key in cell["row"].values()) for cell in cells)
    return f"no measured row {' '.join(keys)!r}; there are: {', '.join(known)}"


def _origin(origin: dict[str, Any], record: dict[str, Any], results: Path) -> list[str]:
    """results: where the results are now; their paths were recorded as seen from where Snakemake ran."""
    root, _, name = origin["run"].rpartition("/runs/")
    run = record["runs"][origin["run"]]
    git = run["environment"]["git"] or {}
    lines = [
        f"{origin['role']}: {origin['decoding']}",
        f"  run folder:  {origin['run']}  (seed {run['seed']}, {run['started']} to {run['finished']})",
        f"  commit:      {git.get('commit', 'unknown')}{' with uncommitted changes' if git.get('dirty') else ''}",
        f"  hardware:    {_hardware(run['environment']['hardware'])}",
        f"  settings:    {_flat(run['settings']['settings'])}",
        f"  trainer:     {_flat(run['settings']['trainer'])}",
    ]
    lines += [f"  input:       {path}  sha256 {digest[:16]}…" for path, digest in run["inputs"].items()]
    figures = read_json(results / Path(origin["decoding"]).relative_to(root) / "test.score.json")
    lines.append(f"  BLEU:        {figures['bleu']['score']:.2f}  {figures['bleu']['signature']}")
    lines.append(f"  sacreBLEU:   {figures['sacrebleu']['score']:.2f}  {figures['sacrebleu']['signature']}")
    if origin["latency"]:
        lines.append(f"  latency:     {origin['latency']}")
    lines.append(f"  log:         {root}/logs/train/{name}.log")
    lines.append(f"  made by:     {run['command']}")
    lines.append(
        f"  make anew:   snakemake --cores all --force {shlex.quote(origin['run'] + '/run.json')}, then the table"
    )
    lines.append("               (with the --configfile of this scale, where it is not the default)")
    return lines


def _flat(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _hardware(hardware: dict[str, Any]) -> str:
    return f"{hardware.get('gpu') or hardware.get('cpu')}, {hardware.get('threads')} threads"
