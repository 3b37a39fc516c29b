"""Translations to read: the first sentences of each test set, as they came out."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from xlmd.errors import UserError
from xlmd.files import atomic_write, read_json, read_lines


def samples(decodes: Sequence[str], texts: Sequence[str], out: str, count: int = 10) -> None:
    """Write the first `count` sentences of every direction with all systems' translations as Markdown.

    decodes: description files (test.json) of decoded test sets, translations beside them (test.txt). texts: the test
    sets, one entry a direction, as DIRECTION=SOURCE=REFERENCE. Nothing is selected: these are lines 1 to `count`.
    """
    sides = {}
    for entry in texts:
        direction, *paths = entry.split("=")
        if len(paths) != 2:
            raise UserError(f"{entry!r}: expected DIRECTION=SOURCE=REFERENCE")
        sides[direction] = [read_lines(path)[:count] for path in paths]
    systems = defaultdict(list)
    for path in decodes:
        entry = read_json(path)
        systems[entry["direction"]].append((_label(entry), read_lines(Path(path).with_suffix(".txt"))[:count]))
    with atomic_write(out) as handle:
        handle.write(f"# The first {count} test sentences of each direction\n\nMoses-tokenised, unselected.\n")
        for direction, (sources, references) in sides.items():
            handle.write(f"\n## {direction}\n")
            for number, (source, reference) in enumerate(zip(sources, references, strict=True)):
                handle.write(f"\n{number + 1}. source: {source}\n   - reference: {reference}\n")
                handle.writelines(f"   - {label}: {lines[number]}\n" for label, lines in systems[direction])


def _label(entry: dict) -> str:
    """A run and its decoding in a few words."""
    if entry["system"] == "xlmd":
        return f"XLM-D, M={entry['settings']['M']}, T={entry['decoding']['iterations']}"
    return entry["system"].capitalize()
