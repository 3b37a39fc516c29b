"""Table 11: one test sentence, chosen by rule, with the translations of the baseline and of XLM-D side by side."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from xlmd.data.text import read_lines
from xlmd.errors import UserError
from xlmd.experiment.grid import OURS
from xlmd.experiment.layout import Layout
from xlmd.experiment.points import Cell
from xlmd.experiment.tables import TableSpec
from xlmd.reporting.results import Results
from xlmd.reporting.tables import Column, Measured, Table

SHORTEST, LONGEST = 12, 25

RULE = (
    f"The first sentence of the test set whose reference has {SHORTEST} to {LONGEST} tokens and whose translations by "
    "the baseline (the last system above XLM-D: CMLM where it was trained) and XLM-D differ; if there is none, the "
    "first sentence. Words in bold are those in which the two differ."
)


def case_table(spec: TableSpec, cells: Sequence[Cell], results: Results, config: dict[str, Any]) -> Table:
    """Source, target and translations of the sentence that `RULE` chooses. Raises UserError if a file is missing."""
    shown = results.all(dict.fromkeys(cell.point for cell in cells))
    ours = next(result for result in shown if result.point.system == OURS)
    baseline = [result for result in shown if result.point.system != OURS][-1]
    layout, direction = Layout(config), ours.point.direction
    sources, references = (read_lines(layout.text(direction, "test", side)) for side in (0, 1))
    for result in shown:
        if len(result.translations) != len(references):
            raise UserError(f"{result.folder}/test.txt has {len(result.translations)} lines, not {len(references)}")
    number = choose(references, baseline.translations, ours.translations)
    translations = mark(baseline.translations[number], ours.translations[number])
    marked = dict(zip((baseline.point, ours.point), translations, strict=True))
    rows: list[dict[str, Any]] = [
        {"who": "Source", "text": sources[number]},
        {"who": "Target", "text": references[number]},
    ]
    rows += [
        {
            "who": result.name,
            "text": Measured(marked.get(result.point, result.translations[number]), (result.origin(),)),
        }
        for result in shown
    ]
    columns = [Column("who", ""), Column("text", f"Sentence {number + 1} of the {direction} test set")]
    return Table(spec.name, spec.heading, columns, ("who",), rows, [RULE])


def choose(references: Sequence[str], baseline: Sequence[str], ours: Sequence[str]) -> int:
    """The number of the sentence that `RULE` chooses, from 0."""
    for number, (reference, theirs, own) in enumerate(zip(references, baseline, ours, strict=True)):
        if SHORTEST <= len(reference.split()) <= LONGEST and theirs != own:
            return number
    return 0


def mark(first: str, second: str) -> tuple[str, str]:
    """Both sentences with the words in **bold** in which they differ."""
    words = first.split(), second.split()
    marked: tuple[list[str], list[str]] = ([], [])
    for operation, *ends in SequenceMatcher(None, *words, autojunk=False).get_opcodes():
        for side, (start, end) in enumerate((ends[:2], ends[2:])):
            span = " ".join(words[side][start:end])
            if span:
                marked[side].append(span if operation == "equal" else f"**{span}**")
    return " ".join(marked[0]), " ".join(marked[1])
