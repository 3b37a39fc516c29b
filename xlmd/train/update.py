"""One update: some batches' gradients, over all processes, and a step of the optimiser."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from transformers import get_scheduler

from xlmd.train.processes import of_all_processes, sum_gradients, sum_over_processes
from xlmd.train.settings import TrainerSettings

_SHOWN = 50  # lines named in a message

Loss = Callable[[Any, Any, float, torch.Generator], tuple[torch.Tensor, dict[str, torch.Tensor]]]


class Stream(Protocol):
    """An endless, resumable source of batches; `indices` of a batch, (B,) int64, are its sentences' numbers, from 0.

    source: the text that they are numbers of, for messages.
    """

    source: str

    def __iter__(self) -> Iterator[Any]: ...
    def set_progress(self, fraction: float) -> None: ...
    def state_dict(self) -> dict: ...
    def load_state_dict(self, state: dict) -> None: ...


def make_optimiser(model: torch.nn.Module, settings: TrainerSettings) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW, whose decay spares biases, norms and scalars, and its learning rate's schedule."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    spared = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": spared, "weight_decay": 0.0}],
        lr=settings.peak_lr,
        betas=(settings.beta1, settings.beta2),
        fused=True,
    )
    return optimiser, get_scheduler(settings.schedule, optimiser, settings.warmup_steps, settings.steps)


@dataclass
class Gradient:
    """What the batches of one update gave.

    loss: their mean; norm: of the gradient before clipping; figures: what the loss logged of this process's last batch,
    scalars where it was computed; drawn: this process's batches, each with its own loss.
    """

    loss: float
    norm: float
    figures: dict[str, torch.Tensor]
    drawn: list[tuple[torch.Tensor, Any]]

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)

    def lines(self) -> str:
        """The lines, from 1, of the sentences whose batch's loss is not finite; of all if each is."""
        mine = [(bool(loss.isfinite()), index + 1) for loss, batch in self.drawn for index in batch.indices.tolist()]
        everyones = of_all_processes(mine)
        culprits = [line for finite, line in everyones if not finite] or [line for _, line in everyones]
        shown = ", ".join(map(str, sorted(culprits)[:_SHOWN]))
        return shown + (f" and {len(culprits) - _SHOWN} more" if len(culprits) > _SHOWN else "")


def numbers(scalars: Sequence[torch.Tensor]) -> list[float]:
    """The values of tensors of no dimension, exactly; what is on a GPU comes over in one transfer."""
    return torch.stack([scalar.detach().double() for scalar in scalars]).tolist() if scalars else []


class Updates:
    """Draws the batches of updates and leaves their clipped gradient in the model.

    Batch k of an update draws its masks and its dropout from a seed of its own, so that N processes do what one does
    that accumulates N times as many batches.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss: Loss,
        stream: Stream,
        settings: TrainerSettings,
        accelerator: Accelerator,
    ) -> None:
        self._model, self._loss, self._stream = model, loss, stream
        self._settings, self._accelerator = settings, accelerator
        self._batches = iter(stream)
        self._generator = torch.Generator()

    def gradient(self, step: int) -> Gradient:
        """That of the update after `step` others."""
        settings, device, progress = self._settings, self._accelerator.device, step / self._settings.steps
        share = settings.accumulation * settings.processes
        drawn: list[tuple[torch.Tensor, Any]]
        figures: dict[str, torch.Tensor]
        total, drawn, figures = torch.zeros((), device=device), [], {}
        for part in range(settings.accumulation):
            self._stream.set_progress(progress)
            batch = next(self._batches).to(device)
            self._seed(step, part * settings.processes + self._accelerator.process_index)
            with self._accelerator.autocast():
                value, figures = self._loss(self._model, batch, progress, self._generator)
            (value / share).backward()
            total += value.detach() / share
            drawn.append((value.detach(), batch))
        sum_gradients(self._model.parameters())
        sum_over_processes([total])
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), settings.clip)
        # Whether the update is made depends on both: a GPU is waited for here, once per update.
        loss, norm_of_all = numbers([total, norm])
        return Gradient(loss, norm_of_all, figures, drawn)

    def _seed(self, step: int, batch: int) -> None:
        """Seed the masks (the generator) and the dropout (torch's own generators) of an update's batch."""
        masks, dropout = np.random.SeedSequence((self._settings.seed, step, batch)).generate_state(2)
        self._generator.manual_seed(int(masks))
        torch.manual_seed(int(dropout))
