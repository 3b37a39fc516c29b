"""The figures that a training logs, as a file that grows with it."""

import csv
from pathlib import Path

from xlmd.errors import UserError
from xlmd.files import atomic_write


class Curves:
    """curves.csv: step, name and value of each logged figure, appended as training goes.

    rows: those of the checkpoint that a run continues from. The file itself may be gone: Snakemake removes what a
    failed job was to write.
    """

    def __init__(self, path: Path, rows: list[list[str]]) -> None:
        self.path, self.rows = path, [*rows]
        with atomic_write(path) as handle:
            csv.writer(handle, lineterminator="\n").writerows([["step", "name", "value"], *rows])

    def add(self, step: int, values: dict[str, float]) -> None:
        new = [[str(step), name, f"{value:.6g}"] for name, value in values.items()]
        self.rows += new
        try:
            with self.path.open("a", newline="", encoding="utf-8") as handle:
                csv.writer(handle, lineterminator="\n").writerows(new)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error
