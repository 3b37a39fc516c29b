"""One training loop for every model of the project: teacher, XLM-D and the masked language model.

It knows nothing of what it trains: it draws batches from a stream, asks for their loss, and steps. It can be killed at
any moment; started again with the same settings it continues from the last checkpoint with the same batches, dropout
and learning rate, so that on a CPU the weights come out bitwise the same.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from xlmd.errors import UserError
from xlmd.files import atomic_folder
from xlmd.progress import progress as progress_bar
from xlmd.train.checkpoints import Checkpoints, average_weights, fingerprint, load_weights, weights_of
from xlmd.train.curves import Curves
from xlmd.train.processes import wait_for_all
from xlmd.train.settings import TrainerSettings
from xlmd.train.update import Gradient, Loss, Stream, Updates, make_optimiser, numbers

logger = logging.getLogger(__name__)

Validate = Callable[[Any], dict[str, float]]  # of the model that is trained


def fit(
    model: PreTrainedModel,
    loss: Loss,
    stream: Stream,
    settings: TrainerSettings,
    folder: Path,
    *,
    accelerator: Accelerator,
    validate: Validate | None = None,
    best_by: str = "bleu",
    identity: dict | None = None,
    description: str = "training",
    finish: Callable[[dict[str, Any]], object] = lambda result: None,
) -> None:
    """Train `model` in place, average its best checkpoints and save it to folder/model in transformers' format.

    loss(model, batch, progress, generator) → (scalar, scalars to log). validate(model) → figures, of which `best_by`
    ranks checkpoints, higher is better. folder: where curves.csv, model/ and, until the end, checkpoints/ go. identity:
    what else besides the settings makes this run itself (its data's hashes): a checkpoint of another identity is not
    continued. Of several processes the first one writes, and it alone has the averaged weights. finish: called by it
    with {"steps", "final_loss", "skipped", "best": [{"step", best_by}, …]} once the model is saved; the last checkpoint
    goes only then. Raises UserError if another process trains into the folder, and, naming step, sentences and last
    checkpoint, if the loss or its gradient is not finite more often than `skip_non_finite` allows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder / "checkpoints", fingerprint(settings.decisive() | {"identity": identity}))
    first = accelerator.is_main_process
    if first:
        checkpoints.lock()
    training = _Training(model.to(accelerator.device), loss, stream, settings, accelerator)
    saved = checkpoints.load()
    wait_for_all()
    if saved:
        training.resume(saved)
        logger.info("continuing from the checkpoint of step %d", training.state.step)
    elif first:
        checkpoints.start_anew()
    keeper = None
    if first:
        curves = Curves(folder / "curves.csv", saved["curves"] if saved else [])
        keeper = _Keeper(training, curves, checkpoints, validate, best_by)
    del saved  # its tensors have been copied

    state, steps = training.state, settings.steps
    model.train()
    with progress_bar(total=steps, initial=state.step, desc=description, unit="step", disable=not first) as bar:
        while state.step < steps:
            gradient = training.update()
            if not gradient.is_finite:
                _leave_out(gradient, training, folder, checkpoints)
            bar.update()
            if keeper and (shown := keeper.keep()):
                bar.set_postfix(shown, refresh=False)
    model.eval()
    if keeper:
        keeper.save_model(folder / "model")
        finish(keeper.result())
        checkpoints.clear()


@dataclass
class _State:
    """What of a training in progress are plain numbers.

    best: (value, step) of the best validations, best first; running, counted: sum and number of the losses since the
    last row of the curves; skipped: updates left out; figures: of the last update that was made, some of them on the
    device still until `plain`.
    """

    step: int = 0
    best: list[tuple[float, int]] = field(default_factory=list)
    running: float = 0.0
    counted: int = 0
    skipped: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    def plain(self) -> Self:
        """Itself, with all figures as plain numbers."""
        waiting = {name: value for name, value in self.figures.items() if isinstance(value, torch.Tensor)}
        self.figures |= zip(waiting, numbers(list(waiting.values())), strict=True)
        return self


class _Training:
    """A model with everything that changes while it is trained; a checkpoint holds all of that."""

    def __init__(
        self, model: PreTrainedModel, loss: Loss, stream: Stream, settings: TrainerSettings, accelerator: Accelerator
    ) -> None:
        self.model, self.stream, self.settings = model, stream, settings
        self.optimiser, self.schedule = make_optimiser(model, settings)
        self.updates = Updates(model, loss, stream, settings, accelerator)
        self.state = _State()

    def update(self) -> Gradient:
        """One update; one whose loss or gradient is not finite changes no weight."""
        state = self.state
        gradient = self.updates.gradient(state.step)
        if gradient.is_finite:
            self.optimiser.step()
            state.figures = {"loss": gradient.loss, "gradient_norm": gradient.norm, **gradient.figures}
            state.running += gradient.loss
            state.counted += 1
        else:
            state.skipped += 1
        self.optimiser.zero_grad()
        self.schedule.step()
        state.step += 1
        return gradient

    def checkpoint(self) -> dict[str, Any]:
        """All but the weights."""
        return asdict(self.state.plain()) | {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "stream": self.stream.state_dict(),
        }

    def resume(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint, `saved` with its weights as "model"."""
        load_weights(self.model, saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        self.stream.load_state_dict(saved["stream"])
        for item in fields(_State):
            setattr(self.state, item.name, saved[item.name])


def _leave_out(gradient: Gradient, training: _Training, folder: Path, checkpoints: Checkpoints) -> None:
    """Tell of an update that was not finite. Raises UserError if it is one too many."""
    state, allowed = training.state, training.settings.skip_non_finite
    report = (
        f"{folder}: the loss is {gradient.loss} and the gradient norm {gradient.norm} at step {state.step}, "
        f"in a batch with lines {gradient.lines()} of {training.stream.source}"
    )
    if state.skipped > allowed:
        raise UserError(f"{report}; last good checkpoint: {checkpoints.latest or 'none'}")
    logger.warning("%s; left out, %d of at most %d", report, state.skipped, allowed)


class _Keeper:
    """What the first process does after each update: log, validate, and write checkpoints, each when it is due."""

    def __init__(
        self,
        training: _Training,
        curves: Curves,
        checkpoints: Checkpoints,
        validate: Validate | None,
        best_by: str,
    ) -> None:
        self._training, self._curves, self._checkpoints = training, curves, checkpoints
        self._validate, self._best_by = validate, best_by

    def keep(self) -> dict[str, str]:
        """Do what is due; the figures to show beside the progress, if there are new ones."""
        training, settings = self._training, self._training.settings
        step, over = training.state.step, training.state.step == settings.steps
        shown = {}
        if training.state.counted and (step % settings.log_every == 0 or over):
            shown = self._log()
        due = step % settings.validate_every == 0 and step >= settings.validate_from * settings.steps
        if self._validate and (due or over):
            self._rank(self._validate)
        if step % settings.checkpoint_every == 0 and not over:
            self._checkpoints.save(weights_of(training.model), training.checkpoint() | {"curves": self._curves.rows})
        return shown

    def _log(self) -> dict[str, str]:
        state = self._training.state.plain()
        loss = state.running / state.counted
        self._curves.add(state.step, state.figures | {"loss": loss, "lr": self._training.schedule.get_last_lr()[0]})
        state.running, state.counted = 0.0, 0
        best = {self._best_by: f"{state.best[0][0]:.2f}"} if state.best else {}
        return {"loss": f"{loss:.3f}"} | best

    def _rank(self, validate: Validate) -> None:
        model, state, kept = self._training.model, self._training.state, self._training.settings.average
        model.eval()
        figures = validate(model)
        model.train()
        self._curves.add(state.step, figures)
        if kept:
            self._checkpoints.save_best(state.step, weights_of(model))
            state.best = sorted([*state.best, (figures[self._best_by], state.step)], reverse=True)[:kept]

    def save_model(self, folder: Path) -> None:
        """The average of the best validated weights, or the last ones if none were ranked."""
        model, best = self._training.model, self._training.state.best
        if best:
            load_weights(model, average_weights([self._checkpoints.best(step) for _, step in best]))
        with atomic_folder(folder) as saved:
            model.save_pretrained(saved)

    def result(self) -> dict[str, Any]:
        """What a record says of the training."""
        state = self._training.state.plain()
        return {
            "steps": state.step,
            "final_loss": state.figures.get("loss"),
            "skipped": state.skipped,
            "best": [{"step": step, self._best_by: value} for value, step in state.best],
        }
