"""Gathers decoded, scored and timed files into the index that a table is made from."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from xlmd.files import read_json, write_json
from xlmd.reporting.results import Result


def collect(
    decodes: Sequence[str],
    corpora: Sequence[str],
    *,
    config: str,
    latency_direction: str,
    out: str,
) -> None:
    """Write a results index (`xlmd.reporting.results.Index`).

    decodes: description files of decoded or timed runs; beside them lie scores (test.score.json) and times
    (latency.json). corpora: the counts that cleaning wrote, one JSON a pair and split. config: the resolved
    configuration.
    """
    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    write_json(
        out,
        {
            "latency_direction": latency_direction,
            "scale": {"name": settings["scale"]["name"], "description": settings["scale"]["description"]},
            "corpora": [_corpus(Path(path)) for path in corpora],
            "results": [_result(Path(path)) for path in decodes],
        },
    )


def _corpus(counts: Path) -> dict[str, Any]:
    """What cleaning counted in a split, with the names that its path carries."""
    return {"corpus": counts.parent.parent.name, "pair": counts.parent.name, "split": counts.stem} | read_json(counts)


def _result(described: Path) -> dict[str, Any]:
    entry = read_json(described)
    beside = {"score_json": described.with_name("test.score.json"), "latency_json": described.with_name("latency.json")}
    known = {field.name for field in fields(Result)}
    return {key: entry[key] for key in entry if key in known} | {
        key: str(path) if path.exists() else None for key, path in beside.items()
    }
