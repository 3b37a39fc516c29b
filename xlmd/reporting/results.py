"""The index of results that a table is made from: which run, score and latency file belong to which system."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xlmd.errors import UserError
from xlmd.files import read_json

PAPER_LAYERS = 12


@dataclass(frozen=True)
class Result:
    """One decoding of one trained run.

    settings and decoding are the options that tell systems of a table apart: `M` and `layers` of XLM-D,
    `encoder_layers`, `decoder_layers` and `beam` of the Transformer, `iterations`, `engine`.
    """

    system: str
    direction: str
    run: str
    settings: dict[str, Any]
    decoding: dict[str, Any]
    seed: int
    score_json: str | None = None
    latency_json: str | None = None

    @cached_property
    def score(self) -> dict[str, Any] | None:
        return read_json(self.score_json) if self.score_json else None

    @cached_property
    def latency(self) -> dict[str, Any] | None:
        return read_json(self.latency_json) if self.latency_json else None

    def setting(self, name: str) -> Any:
        """An entry of settings or decoding. Raises UserError naming the run if it is missing."""
        options = {**self.settings, **self.decoding}
        if name not in options:
            raise UserError(f"results index: {self.system} run {self.run} has no {name!r} in settings or decoding")
        return options[name]

    def origin(self, role: str = "result") -> dict[str, Any]:
        """Where this result's figures come from, for provenance."""
        return {
            "role": role,
            "run": self.run,
            "score": self.score_json,
            "latency": self.latency_json,
            "direction": self.direction,
            "seed": self.seed,
            "settings": self.settings,
            "decoding": self.decoding,
        }


@dataclass(frozen=True)
class Index:
    """All results of a table.

    latency_direction: the one direction that latency and speed-up are taken from. scale: its name and one sentence
    about it. corpora: for each `corpus`, `pair` and `split` what cleaning counted, at least the pairs `kept`.
    """

    latency_direction: str
    results: list[Result]
    scale: dict[str, str] = field(default_factory=dict)
    corpora: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seeds(self) -> list[int]:
        return sorted({result.seed for result in self.results})

    def runs(self) -> list[str]:
        """The run folders, each once, in the index's order."""
        return list(dict.fromkeys(result.run for result in self.results))


def read_index(path: str | Path) -> Index:
    """Read a results index. Raises UserError naming the file, the result's number and the key at fault."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object with latency_direction and results")
    entries = content.pop("results", None)
    if not isinstance(entries, list):
        raise UserError(f"{path}: 'results' must be a list")
    results = []
    for number, entry in enumerate(entries, 1):
        try:
            results.append(Result(**entry))
        except TypeError as error:
            raise UserError(f"{path}, result {number}: {_plain(error)}") from error
    try:
        return Index(results=results, **content)
    except TypeError as error:
        raise UserError(f"{path}: {_plain(error)}") from error


def timed_on(results: list[Result], direction: str) -> list[Result]:
    """Those results that were timed on `direction`."""
    return [result for result in results if result.direction == direction and result.latency]


def _plain(error: TypeError) -> str:
    """The message of a call with wrong arguments, without the name of the Python function."""
    return str(error).partition("() ")[2] or str(error)
