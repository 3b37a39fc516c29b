"""Tables whose measured cells remember where they come from, written as CSV, Markdown and LaTeX."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import pandas as pd

from xlmd.files import atomic_write


class Measured(NamedTuple):
    """A figure, or a translation, that this project made, and the result files that it was computed from.

    deviation: the standard deviation over seeds, None for a single run.
    """

    value: float | str
    origins: tuple[dict[str, Any], ...]
    deviation: float | None = None

    @classmethod
    def mean(cls, values: Sequence[float], origins: Sequence[dict[str, Any]]) -> "Measured":
        """The mean over the runs of several seeds; one run's own value, bit for bit, if there is one."""
        if len(values) == 1:
            return cls(values[0], tuple(origins))
        return cls(fmean(values), tuple(origins), stdev(values))


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
        """Every cell as text, missing ones empty; a column NAME of several seeds is followed by NAME_sd."""
        columns = {}
        for column in self.columns:
            values = [row.get(column.name) for row in self.rows]
            columns[column.name] = [_text(value, column.decimals) for value in values]
            deviations = [value.deviation if isinstance(value, Measured) else None for value in values]
            if any(deviation is not None for deviation in deviations):
                columns[f"{column.name}_sd"] = [
                    "" if deviation is None else f"{deviation:.{column.decimals}f}" for deviation in deviations
                ]
        return pd.DataFrame(columns, dtype=str, index=range(len(self.rows)))

    def printed(self, plus_minus: str = " ± ") -> pd.DataFrame:
        """The table to read: a mean over seeds with its standard deviation in one cell."""
        frame = self.frame()
        for column in self.columns:
            name = f"{column.name}_sd"
            if name in frame:
                both = frame[column.name] + plus_minus + frame.pop(name)
                frame[column.name] = both.str.removesuffix(plus_minus)
        return frame

    def measured(self) -> Iterator[tuple[dict[str, str], str, str, Measured]]:
        """(row's keys, column, text as printed, cell) of each measured cell, row by row."""
        texts = self.frame()
        for number, row in enumerate(self.rows):
            keys = {key: texts.at[number, key] for key in self.keys}
            for column in self.columns:
                cell = row.get(column.name)
                if isinstance(cell, Measured):
                    yield keys, column.name, texts.at[number, column.name], cell

    def markdown(self) -> str:
        """A heading, the table, and its notes as a list."""
        body = self.printed().to_markdown(
            index=False,
            headers=[column.heading for column in self.columns],
            disable_numparse=True,
            colalign=["right" if column.decimals else "left" for column in self.columns],
        )
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join(part for part in (f"## {self.title}", body, notes) if part) + "\n"

    def latex(self) -> str:
        """A booktabs table to \\input; its notes stand in the Markdown file."""
        frame = self.printed(" $\\pm$ ").map(lambda text: text.replace("&", "\\&").replace("_", "\\_"))
        frame.columns = [column.heading.replace("_", "\\_").replace("%", "\\%") for column in self.columns]
        alignment = "".join("r" if column.decimals else "l" for column in self.columns)
        return frame.style.hide(axis="index").to_latex(
            hrules=True,
            column_format=alignment,
            caption=self.title,
            label=f"tab:{self.name}",
            position_float="centering",
        )


def write_csv(path: str | Path, table: Table) -> None:
    """Write a table as UTF-8 CSV with "\\n" line ends, atomically."""
    with atomic_write(path) as handle:
        table.frame().to_csv(handle, index=False, lineterminator="\n")


def write_markdown(path: str | Path, tables: Sequence[Table]) -> None:
    """Write one or several tables below each other as Markdown, atomically."""
    with atomic_write(path) as handle:
        handle.write("\n".join(table.markdown() for table in tables))


def write_latex(path: str | Path, table: Table) -> None:
    with atomic_write(path) as handle:
        handle.write(table.latex())


def _text(value: Any, decimals: int) -> str:
    if value is None:
        return ""
    if isinstance(value, Measured):
        return value.value if isinstance(value.value, str) else f"{value.value:.{decimals}f}"
    return str(value)
