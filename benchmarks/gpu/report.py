"""The pages that the parts write: a table of aims, a table of figures, a picture; and the page that sums up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from xlmd.files import atomic_write, write_lines

if TYPE_CHECKING:
    from benchmarks.gpu.__main__ import Part


@dataclass(frozen=True)
class Aim:
    """A figure that is to be at most, or at least, a limit."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    def row(self) -> str:
        reached = self.value >= self.limit if self.at_least else self.value <= self.limit
        sign = "at least" if self.at_least else "at most"
        return f"| {self.text} | {sign} {self.limit:g} | {self.value:.3g} | {'reached' if reached else '**missed**'} |"


HEAD = ["| | aim | measured | |", "| --- | --- | --- | --- |"]


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}; torch {torch.__version__}"


def write(stem: Path, title: str, aims: Sequence[Aim], rows: Sequence[dict[str, Any]], bars: tuple[str, str]) -> None:
    """Write stem.md, stem.csv and stem.png. bars: the column that is drawn, and a word for what it is."""
    table = pd.DataFrame(rows)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(stem.with_suffix(".csv")) as file:
        table.to_csv(file, index=False, float_format="%.4g")
    figures = table.to_markdown(index=False, floatfmt=".4g").splitlines()
    write_lines(stem.with_suffix(".md"), [title, "", *HEAD, *(aim.row() for aim in aims), "", *figures])
    _draw(table, *bars, stem.with_suffix(".png"))


def _draw(table: pd.DataFrame, column: str, word: str, path: Path) -> None:
    from matplotlib.figure import Figure

    names = [name for name in table.columns if not pd.api.types.is_float_dtype(table[name])]
    labels = [", ".join(f"{name} {row[name]}" for name in names) for _, row in table.iterrows()]
    figure = Figure(figsize=(8, 1 + 0.3 * len(table)), layout="constrained")
    panel = figure.subplots()
    panel.barh(labels, table[column])
    panel.invert_yaxis()
    panel.set(xlabel=word)
    with atomic_write(path, "wb") as handle:
        figure.savefig(handle, format="png", dpi=110)


def summary(output: Path, gpu: str, results: Sequence[tuple["Part", dict[str, Any]]]) -> None:
    """Write gpu.md: how each part ended, and the aims of those that measure."""
    lines = [
        f"`make gpu` on {gpu}; torch {torch.__version__}.",
        "",
        "| part | outcome | s | |",
        "| --- | --- | ---: | --- |",
    ]
    for part, result in results:
        said = f"[{part.page}.md]({part.page}.md)" if part.page else f"`{result['last']}`" if result["last"] else ""
        lines.append(f"| {part.name}: {part.what} | {result['outcome']} | {result['seconds']:.0f} | {said} |")
    lines += ["", *HEAD]
    for part, result in results:
        page = output / f"{part.page}.md"
        if part.page and result["outcome"] == "passed" and page.exists():
            lines += _aims(page)
    write_lines(output / "gpu.md", lines)


def _aims(page: Path) -> list[str]:
    lines = page.read_text(encoding="utf-8").splitlines()
    first = lines.index(HEAD[1]) + 1
    return lines[first : first + next((n for n, line in enumerate(lines[first:]) if not line), len(lines))]
