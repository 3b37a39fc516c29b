"""Results: what the decodings of trained runs gave, read from where the workflow left them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from xlmd.data.text import read_lines
from xlmd.errors import UserError
from xlmd.experiment.configuration import read_definitions
from xlmd.experiment.points import Point
from xlmd.files import read_json

ScoreName = Literal["bleu", "sacrebleu"]
# The paper scores these with BLEU of Moses tokens and all others with sacreBLEU (§3.1).
_OF_TOKENS = {"en-de", "de-en", "en-ro", "ro-en", "en-fr", "fr-en"}


def score_shown(direction: str) -> ScoreName:
    """The score of a direction that tables show, the one that the paper reports for it."""
    return "bleu" if direction in _OF_TOKENS else "sacrebleu"


# Programs other than transformers that run a trained model, as an option `engine` of a decoding that is only timed.
ENGINE_NAMES = {"ctranslate2": "CTranslate2"}


@dataclass(frozen=True)
class Result:
    """One decoding of one trained run. record: the run's own (run.json). latency: its times in a table's job."""

    point: Point
    run: Path
    folder: Path
    record: dict[str, Any]
    latency: dict[str, Any] | None = None
    latency_file: Path | None = None

    @cached_property
    def score(self) -> dict[str, Any]:
        return read_json(self.folder / "test.score.json")

    @property
    def shown_score(self) -> float:
        """The one that tables show: see `score_shown`."""
        return self.score[score_shown(self.point.direction)]["score"]

    @cached_property
    def translations(self) -> list[str]:
        """Moses-tokenised translations of the test set."""
        return read_lines(self.folder / "test.txt")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the system, with the depth of its model."""
        return self.record["description"]["settings"]

    @property
    def started_from(self) -> list[str]:
        """The trained models that it started from; none, if from random weights."""
        pretrained = _pretrained(self.point.system)
        named = [self.settings.get(name) for name, whose in pretrained.items() if whose != "teacher"]  # which rescores
        return [] if self.settings.get("reset") else [model for model in named if model]

    @property
    def description(self) -> dict[str, Any]:
        """What the run says of itself: its system, settings, label and size."""
        description = self.record["description"]
        if "label" not in description:
            raise UserError(f"{self.run}/run.json is of an earlier version: it has no label; train the run anew")
        return description

    @property
    def timing(self) -> dict[str, Any]:
        """What it took: `latency` of a result that was timed. Raises UserError of one that was not."""
        if self.latency is None:
            raise UserError(f"{self.folder} is not among the timings in {self.latency_file}")
        return self.latency

    @property
    def row(self) -> str:
        """The system as the paper prints it, with what sets a row apart: another engine, or the teacher's choice."""
        decoding = dict(self.point.decoding)
        apart = [ENGINE_NAMES[decoding["engine"]]] if "engine" in decoding else []
        apart += ["rescored"] if str(decoding.get("rescore")).lower() == "true" else []
        return " ".join([self.description["label"], *(f"({what})" for what in apart)])

    @cached_property
    def iterations(self) -> str:
        """The number of iterations as the paper prints it: "4", or "N" for one a token."""
        if self.latency:
            return self.latency["iterations_label"]
        return self._decoded["iterations_label"]

    @property
    def effort(self) -> dict[str, float]:
        """`System.effort` of the decoding: mean_iterations and mean_passes of an adaptive system."""
        return {name: self._decoded[name] for name in ("mean_iterations", "mean_passes") if name in self._decoded}

    @cached_property
    def _decoded(self) -> dict[str, Any]:
        return read_json(self.folder / "test.json")

    @property
    def name(self) -> str:
        """Row, iterations and, beside the configuration's own, the seed in a few words."""
        iterations = "" if self.iterations == "N" else f", {self.iterations} iterations"
        return self.row + iterations + (f", seed {self.point.seed}" if self.point.seed is not None else "")

    @property
    def measured_as(self) -> str:
        """What was measured, in a few words."""
        beam = dict(self.point.decoding).get("beam")
        return self.description["size"] + (f", beam {beam}" if beam else "")

    def origin(self, role: str = "result") -> dict[str, Any]:
        """Where this result's figures come from, for provenance."""
        return {
            "role": role,
            "run": str(self.run),
            "decoding": str(self.folder),
            "latency": str(self.latency_file) if self.latency else None,
            "direction": self.point.direction,
            "seed": self.record["seed"],
        }


@cache
def _pretrained(system: str) -> dict[str, str]:
    """The settings of a system that name trained models, and whose they are."""
    return read_definitions()["systems"]["properties"][system]["pretrained"]


class Results:
    """All results below a folder of the workflow. latency: the file of one table's timings."""

    def __init__(self, root: str | Path, latency: str | Path | None = None) -> None:
        self.root = Path(root)
        self.latency_file = Path(latency) if latency else None
        self.timings = read_json(latency) if latency else {"cells": {}}
        self._records: dict[Path, dict[str, Any]] = {}

    def __getitem__(self, point: Point) -> Result:
        """A point's result. Raises UserError if its run was not trained."""
        run, folder = self.root / "runs" / point.run, self.root / "runs" / point.path
        if run not in self._records:
            self._records[run] = read_json(run / "run.json")
        return Result(point, run, folder, self._records[run], self.timings["cells"].get(point.path), self.latency_file)

    def all(self, points: Iterable[Point]) -> list[Result]:
        return [self[point] for point in points]
