"""What cleaning left of a corpus, for reading."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xlmd.errors import UserError
from xlmd.files import read_json


def statistics(paths: Sequence[str | Path]) -> str:
    """A Markdown table, one row a split: pairs read and kept, pairs left out by reason, tokens a line of each side.

    paths: the JSON files that `preprocess_pair` writes, or folders that hold them at any depth. Raises UserError if
    there is none.
    """
    reports: dict[Path, Any] = {}
    for path in map(Path, paths):
        found = {file: read_json(file) for file in (sorted(path.rglob("*.json")) if path.is_dir() else [path])}
        reports |= {file: report for file, report in found.items() if not path.is_dir() or _is_report(report)}
    if not reports:
        raise UserError(f"no counts of a corpus in {', '.join(map(str, paths))}")
    table = pd.DataFrame([_row(path, report) for path, report in reports.items()])
    reasons = [column for column in table if column.startswith("left out")]
    table[reasons] = table[reasons].fillna(0).astype(int)
    return table.fillna("").to_markdown(index=False)


def _is_report(report: Any) -> bool:
    return isinstance(report, dict) and {"dropped", "tokens"} <= report.keys()


def _row(path: Path, report: dict) -> dict[str, str | int]:
    if not _is_report(report):
        raise UserError(f"{path} does not hold the counts of a corpus")
    row = {"corpus": "/".join(path.parts[-3:-1]), "split": path.stem, "read": report["read"], "kept": report["kept"]}
    row |= {f"left out: {reason}": count for reason, count in report["dropped"].items()}
    for language, tokens, longest in zip(report["languages"], report["tokens"], report["longest"], strict=True):
        row |= {f"{language}: tokens a line": f"{tokens / report['kept']:.1f}", f"{language}: longest": longest}
    return row
