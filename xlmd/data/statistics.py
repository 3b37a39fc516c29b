"""What cleaning left of a corpus, for reading."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xlmd.errors import UserError
from xlmd.files import read_json


def statistics(paths: Sequence[str | Path]) -> str:
    """A Markdown table, one row a split: pairs read and kept, pairs left out by reason, tokens a line of each side.

    paths: the JSON files that `preprocess_pair` writes, or folders that hold them at any depth. Raises UserError if
    there is none.
    """
    reports = []
    for path in map(Path, paths):
        reports += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not reports:
        raise UserError(f"no counts of a corpus in {', '.join(map(str, paths))}")
    return pd.DataFrame([_row(path, read_json(path)) for path in reports]).fillna(0).to_markdown(index=False)


def _row(path: Path, report: dict) -> dict[str, str | int]:
    if "dropped" not in report or "tokens" not in report:
        raise UserError(f"{path} does not hold the counts of a corpus")
    row = {"corpus": "/".join(path.parts[-3:-1]), "split": path.stem, "read": report["read"], "kept": report["kept"]}
    row |= {f"left out: {reason}": count for reason, count in report["dropped"].items()}
    for language, tokens, longest in zip(report["languages"], report["tokens"], report["longest"], strict=True):
        row |= {f"{language}: tokens a line": f"{tokens / report['kept']:.1f}", f"{language}: longest": longest}
    return row
