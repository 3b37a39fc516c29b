"""Translations to read: the first sentences of each test set, as they came out."""

from pathlib import Path

from xlmd.data.text import read_lines
from xlmd.experiment.configuration import read_config
from xlmd.experiment.layout import Layout
from xlmd.experiment.tables import points
from xlmd.files import atomic_write
from xlmd.reporting.results import Results


def samples(config: str | Path, table: str, out: str | Path, count: int = 10) -> None:
    """Write the first `count` test sentences of every direction of a table with its systems' translations.

    config: the resolved configuration. table: "table1" or another whose systems translate test sets. Nothing is
    selected: these are lines 1 to `count`.
    """
    settings = read_config(config)
    layout, results = Layout(settings), Results(settings["results"])
    shown = results.all(points(settings, table))
    with atomic_write(out) as handle:
        handle.write(f"# The first {count} test sentences of each direction\n\nMoses-tokenised, unselected.\n")
        for direction in dict.fromkeys(result.point.direction for result in shown):
            sources, references = (read_lines(layout.text(direction, "test", side))[:count] for side in (0, 1))
            handle.write(f"\n## {direction}\n")
            for number, (source, reference) in enumerate(zip(sources, references, strict=True)):
                handle.write(f"\n{number + 1}. source: {source}\n   - reference: {reference}\n")
                for result in shown:
                    if result.point.direction == direction:
                        handle.write(f"   - {result.name}: {result.translations[number]}\n")
