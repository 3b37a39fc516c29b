"""What the training of a system and the pre-training have in common: from a task to a whole run folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from xlmd.devices import gpu_name
from xlmd.record import finish, start_record
from xlmd.train.accelerator import make_accelerator
from xlmd.train.loop import fit
from xlmd.train.settings import TrainerSettings
from xlmd.train.update import Stream
from xlmd.weights import Model


class Task(Protocol[Model]):
    """What is trained, on what.

    settings: a dataclass, what decides the result besides the trainer's settings and the inputs. inputs: the files and
    folders that are read, hashed for the record. recorded: what run.json tells of the settings beside the trainer's.
    best_by: the figure of `validate` that ranks checkpoints, higher is better. description: for the progress bar.
    """

    settings: Any
    inputs: list[str | Path]
    recorded: Mapping[str, Any]
    best_by: str
    description: str

    def build(self) -> Model:
        """A fresh model; seeded, so that it is the same each time."""

    def stream(self, rank: int) -> Stream:
        """The training batches of one of the trainer's processes."""

    def loss(
        self, model: Model, batch: Any, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `fit`."""

    def validate(self, model: Model) -> dict[str, float]:
        """Figures of a model on held-out text."""

    def facts(self, model: Model, stream: Any) -> dict[str, Any]:
        """What run.json says of the trained model and its data."""


def train_task(task: Task[Model], trainer: TrainerSettings, out: Path, code: str) -> None:
    """Train and write the run folder: model/, curves.csv, run.json.

    run.json holds what a reader needs to repeat or audit the run: settings, data hashes, versions, times, and the
    task's own facts. code: version of the code; a checkpoint of another one is not continued. Raises UserError on
    settings or files that do not fit.
    """
    accelerator = make_accelerator(trainer)
    record = start_record(
        {**task.recorded, "trainer": asdict(trainer)},
        task.inputs,
        seed=trainer.seed,
        threads=trainer.threads,
        gpu=gpu_name(accelerator.device),
    )
    model = task.build()
    stream = task.stream(accelerator.process_index)

    def finished(result: dict[str, Any]) -> None:
        finish(record, out / "run.json", **task.facts(model, stream), result=result)

    fit(
        model,
        task.loss,
        stream,
        trainer,
        out,
        accelerator=accelerator,
        validate=task.validate,
        best_by=task.best_by,
        identity={"settings": asdict(task.settings), "inputs": record["inputs"], "code": code},
        description=task.description,
        finish=finished,
    )
