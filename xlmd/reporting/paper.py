"""The paper's own tables, as printed."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from xlmd.errors import UserError

# What names a row, or says what it is; every other column holds figures.
_NAMES = ("group", "system", "citation", "iterations", "min_length", "max_length", "speedup")


def read_paper(path: str | Path) -> list[dict[str, str | None]]:
    """The rows of one of the paper's tables, every cell as printed there and None for its dashes.

    Raises UserError naming the file if it cannot be read or has no column of iterations.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not {"iterations", "min_length"} & set(frame.columns):
        raise UserError(f"{path}: missing column iterations")
    return [{name: value or None for name, value in row.items()} for row in frame.to_dict("records")]


def number(cell: str | None) -> float:
    """A figure of the paper's. Raises UserError where it prints a dash."""
    if cell is None:
        raise UserError("the paper prints nothing there")
    return float(cell)


def protocols(path: str | Path, quoted: Iterable[str]) -> pd.DataFrame:
    """What is known of how each quoted system's figures came about. quoted: the systems of a table.

    `path`: CSV with a row a system. Raises UserError if it cannot be read.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return frame[frame["system"].isin(list(quoted))].reset_index(drop=True)


def figure_columns(rows: list[dict[str, str | None]]) -> list[str]:
    """The columns of figures other than speeds, in the paper's order."""
    return [name for name in (rows[0] if rows else {}) if name not in _NAMES]
