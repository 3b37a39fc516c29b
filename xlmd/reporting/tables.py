"""Tables whose measured cells remember where they come from, written as CSV and Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from xlmd.errors import UserError
from xlmd.files import atomic_write


class Measured(NamedTuple):
    """A figure that this project measured, and the result files that it was computed from."""

    value: float
    origins: tuple[dict[str, Any], ...]

    @classmethod
    def mean(cls, values: Sequence[float], origins: Sequence[dict[str, Any]]) -> "Measured":
        """The mean over the runs of several seeds; one run's own value, bit for bit, if there is one."""
        return cls(values[0] if len(values) == 1 else fmean(values), tuple(origins))


class Column(NamedTuple):
    """name: in the CSV file. heading: in print. decimals: of measured figures."""

    name: str
    heading: str
    decimals: int = 0


@dataclass
class Table:
    """Rows of values by column name: `Measured` with the column's decimals, None empty, anything else as it is.

    keys: the columns whose values together name a row.
    """

    name: str
    title: str
    columns: list[Column]
    keys: tuple[str, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """Every cell as it is printed, missing ones as empty text."""
        return pd.DataFrame(
            [[_text(row.get(column.name), column.decimals) for column in self.columns] for row in self.rows],
            columns=[column.name for column in self.columns],
            dtype=str,
        )

    def measured(self) -> Iterator[tuple[dict[str, str], str, str, Measured]]:
        """(row's keys, column, text as printed, cell) of each measured cell, row by row."""
        printed = self.frame()
        for number, row in enumerate(self.rows):
            keys = {key: printed.at[number, key] for key in self.keys}
            for column in self.columns:
                cell = row.get(column.name)
                if isinstance(cell, Measured):
                    yield keys, column.name, printed.at[number, column.name], cell

    def markdown(self) -> str:
        """A heading, the table, and its notes as a list."""
        body = self.frame().to_markdown(
            index=False,
            headers=[column.heading for column in self.columns],
            disable_numparse=True,
            colalign=["right" if column.decimals else "left" for column in self.columns],
        )
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join(part for part in (f"## {self.title}", body, notes) if part) + "\n"


def write_csv(path: str | Path, table: Table) -> None:
    """Write a table as UTF-8 CSV with "\\n" line ends, atomically."""
    with atomic_write(path) as handle:
        table.frame().to_csv(handle, index=False, lineterminator="\n")


def write_markdown(path: str | Path, *tables: Table) -> None:
    """Write one or several tables below each other as Markdown, atomically."""
    with atomic_write(path) as handle:
        handle.write("\n".join(table.markdown() for table in tables))


def read_paper(path: str | Path, columns: Sequence[str]) -> list[dict[str, str | None]]:
    """The rows of one of the paper's tables, every cell as printed there and None for its dashes.

    Raises UserError naming the file if it cannot be read or lacks one of `columns`.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserError(f"{path}: missing column {', '.join(missing)}")
    return [{name: value or None for name, value in row.items()} for row in frame.to_dict("records")]


def _text(value: Any, decimals: int) -> str:
    if value is None:
        return ""
    if isinstance(value, Measured):
        return f"{value.value:.{decimals}f}"
    return str(value)
