"""One training loop for every model of the project: teacher, XLM-D and the masked language model.

It knows nothing of what it trains: it draws batches from a stream, asks for their loss, and steps. It can be killed at
any moment; started again with the same settings it continues from the last checkpoint with the same batches, dropout
and learning rate, so that on a CPU the weights come out bitwise the same.
"""

import csv
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from transformers import PreTrainedModel, get_scheduler

from xlmd.errors import UserError
from xlmd.files import atomic_folder, atomic_write
from xlmd.options import check, option
from xlmd.progress import progress as progress_bar
from xlmd.train.checkpoints import Checkpoints, average_weights, fingerprint, load_weights, weights_of
from xlmd.train.processes import of_all_processes, sum_over_processes, wait_for_all

logger = logging.getLogger(__name__)

_SHOWN = 50  # lines named in a message

# Settings that do not change where training goes: a checkpoint is continued under others.
_INDIFFERENT = ("skip_non_finite", "log_every", "checkpoint_every", "device")

Loss = Callable[[torch.nn.Module, Any, float, torch.Generator], tuple[torch.Tensor, dict[str, float]]]


@dataclass
class TrainerSettings:
    """Optimisation, shared by all models (§3.1, Appendix A.1)."""

    steps: int = option(200_000, "updates", 1)
    max_tokens: int = option(16_000, "padded tokens a batch (longer side) in each process", 1)
    accumulation: int = option(1, "batches an update in each process", 1)
    processes: int = option(1, "processes on this machine, one a GPU where there are GPUs", 1)
    peak_lr: float = option(2e-4, "highest learning rate")
    warmup_steps: int = option(10_000, "updates of linear warm-up")
    schedule: Literal["inverse_sqrt", "linear", "constant_with_warmup"] = option("inverse_sqrt", "decay after warm-up")
    beta1: float = option(0.9, "Adam's β₁")
    beta2: float = option(0.98, "Adam's β₂")
    weight_decay: float = option(0.01, "decoupled weight decay")
    clip: float = option(1.0, "largest gradient norm")
    curriculum: float = option(
        0.0, "share of training over which the length limit grows from the shortest quarter to all"
    )
    validate_every: int = option(5_000, "updates between validations", 1)
    validate_from: float = option(0.0, "share of training before the first validation")
    validation_sentences: int = option(200, "how many dev sentences rank the checkpoints (the first ones)", 1)
    checkpoint_every: int = option(5_000, "updates between checkpoints", 1)
    average: int = option(5, "best validated checkpoints to average (1: the best, 0: the last)")
    log_every: int = option(50, "updates between rows of curves.csv", 1)
    precision: Literal["no", "bf16"] = option("no", "mixed precision, as accelerate names it")
    device: Literal["auto", "cpu"] = option("auto", "auto: the GPU if there is one")
    threads: int = option(1, "CPU threads of a process; results are bitwise repeatable for a given number", 1)
    skip_non_finite: int = option(
        0, "updates left out because their loss or gradient is infinite or no number, before the run stops", 0
    )
    seed: int = option(1, "seed of weights, batches, masks and dropout")

    def __post_init__(self) -> None:
        check(self)


class Stream(Protocol):
    """An endless, resumable source of batches; `indices` of a batch, (B,) int64, are its sentences' numbers, from 0.

    source: the text that they are numbers of, for messages.
    """

    source: str

    def __iter__(self) -> Iterator[Any]: ...
    def set_progress(self, fraction: float) -> None: ...
    def state_dict(self) -> dict: ...
    def load_state_dict(self, state: dict) -> None: ...


def make_accelerator(settings: TrainerSettings) -> Accelerator:
    """The device, threads, precision and seeds of a run; call it before the model is built."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    # No other accelerators: the CTC library is for CPUs and CUDA.
    cpu = settings.device == "cpu" or not torch.cuda.is_available()
    if not cpu and settings.processes > torch.cuda.device_count():
        raise UserError(f"processes = {settings.processes}, but there are {torch.cuda.device_count()} GPUs here")
    # The others wait while the first one validates.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    accelerator = Accelerator(cpu=cpu, mixed_precision=settings.precision, kwargs_handlers=[patience])
    if accelerator.num_processes != settings.processes:
        raise UserError(
            f"processes = {settings.processes}, but this is one of {accelerator.num_processes}: give torchrun the same"
        )
    return accelerator


def gpu_name(accelerator: Accelerator) -> str | None:
    """The name of the GPU that a run uses, or None on a CPU."""
    return torch.cuda.get_device_name(accelerator.device) if accelerator.device.type == "cuda" else None


class Curves:
    """curves.csv: step, name and value of each logged figure, appended as training goes.

    rows: those of the checkpoint that a run continues from. The file itself may be gone: Snakemake removes what a
    failed job was to write.
    """

    def __init__(self, path: Path, rows: list[list[str]]) -> None:
        self.path, self.rows = path, [*rows]
        with atomic_write(path) as handle:
            csv.writer(handle, lineterminator="\n").writerows([["step", "name", "value"], *rows])

    def add(self, step: int, values: dict[str, float]) -> None:
        new = [[str(step), name, f"{value:.6g}"] for name, value in values.items()]
        self.rows += new
        try:
            with self.path.open("a", newline="", encoding="utf-8") as handle:
                csv.writer(handle, lineterminator="\n").writerows(new)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error


def fit(
    model: PreTrainedModel,
    loss: Loss,
    stream: Stream,
    settings: TrainerSettings,
    folder: Path,
    *,
    accelerator: Accelerator,
    validate: Callable[[PreTrainedModel], dict[str, float]] | None = None,
    best_by: str = "bleu",
    identity: dict | None = None,
    description: str = "training",
    finish: Callable[[dict[str, Any]], object] = lambda result: None,
) -> None:
    """Train `model` in place, average its best checkpoints and save it to folder/model in transformers' format.

    loss(model, batch, progress, generator) → (scalar, figures to log). validate(model) → figures, of which `best_by`
    ranks checkpoints, higher is better. folder: where curves.csv, model/ and, until the end, checkpoints/ go. identity:
    what else besides the settings makes this run itself (its data's hashes): a checkpoint of another identity is not
    continued. Batch k of an update draws its masks and its dropout from a seed of its own, so that N processes do what
    one does that accumulates N times as many batches; the first one writes, and it alone has the averaged weights.
    finish: called by it with {"steps", "final_loss", "skipped", "best": [{"step", best_by}, …]} once the model is
    saved; the last checkpoint goes only then. Raises UserError if another process trains into the folder, and, naming
    step, sentences and last checkpoint, if the loss or its gradient is not finite more often than `skip_non_finite`
    allows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    main, device = accelerator.is_main_process, accelerator.device
    decisive = {name: value for name, value in asdict(settings).items() if name not in _INDIFFERENT}
    checkpoints = Checkpoints(folder / "checkpoints", fingerprint(decisive | {"identity": identity}))
    if main:
        checkpoints.lock()
    generator = torch.Generator()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    model.to(device)
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.peak_lr,
        betas=(settings.beta1, settings.beta2),
        fused=True,
    )
    schedule = get_scheduler(settings.schedule, optimiser, settings.warmup_steps, settings.steps)
    state = checkpoints.load()
    wait_for_all()
    step, best, running, counted, skipped = 0, [], 0.0, 0, 0
    figures: dict[str, float] = {}  # of the last update that was made
    if state:
        load_weights(model, state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        stream.load_state_dict(state["stream"])
        step, best, running, counted, skipped, figures = (
            state[name] for name in ("step", "best", "running", "counted", "skipped", "figures")
        )
        logger.info("continuing from the checkpoint of step %d", step)
    elif main:
        checkpoints.start_anew()
    curves = Curves(folder / "curves.csv", state["curves"] if state else []) if main else None
    del state  # its tensors have been copied
    batches = iter(stream)
    bar = progress_bar(total=settings.steps, initial=step, desc=description, unit="step", disable=not main)
    share = settings.accumulation * settings.processes
    model.train()
    while step < settings.steps:
        progress = step / settings.steps
        total, drawn = torch.zeros((), device=device), []
        for part in range(settings.accumulation):
            stream.set_progress(progress)
            batch = next(batches).to(device)
            _seed(generator, settings.seed, step, part * settings.processes + accelerator.process_index)
            with accelerator.autocast():
                value, own_figures = loss(model, batch, progress, generator)
            (value / share).backward()
            total += value.detach() / share
            drawn.append((value.detach(), batch))
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        sum_over_processes([*gradients, total])
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip))
        update_loss = float(total)
        if math.isfinite(update_loss) and math.isfinite(norm):
            optimiser.step()
            figures = {"loss": update_loss, "gradient_norm": norm, **own_figures}
            running, counted = running + update_loss, counted + 1
        else:
            skipped += 1
            report = (
                f"{folder}: the loss is {update_loss} and the gradient norm {norm} at step {step + 1}, "
                f"in a batch with lines {_lines(drawn)} of {stream.source}"
            )
            if skipped > settings.skip_non_finite:
                raise UserError(f"{report}; last good checkpoint: {checkpoints.latest or 'none'}")
            logger.warning("%s; left out, %d of at most %d", report, skipped, settings.skip_non_finite)
        optimiser.zero_grad()
        schedule.step()
        step += 1
        bar.update()
        last = step == settings.steps
        if main and counted and (step % settings.log_every == 0 or last):
            row = figures | {"loss": running / counted, "lr": schedule.get_last_lr()[0]}
            bar.set_postfix(
                refresh=False, loss=f"{row['loss']:.3f}", **({best_by: f"{best[0][0]:.2f}"} if best else {})
            )
            curves.add(step, row)
            running, counted = 0.0, 0
        due = step % settings.validate_every == 0 and step >= settings.validate_from * settings.steps
        if main and validate and (due or last):
            model.eval()
            validated = validate(model)
            model.train()
            curves.add(step, validated)
            if settings.average:
                checkpoints.save_best(step, weights_of(model))
                best = sorted([*best, [validated[best_by], step]], reverse=True)[: settings.average]
        if main and step % settings.checkpoint_every == 0 and not last:
            checkpoints.save(
                weights_of(model),
                {
                    "step": step,
                    "best": best,
                    "running": running,
                    "counted": counted,
                    "skipped": skipped,
                    "figures": figures,
                    "curves": curves.rows,
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "stream": stream.state_dict(),
                },
            )
    bar.close()
    model.eval()
    if main:
        if best:
            load_weights(model, average_weights([checkpoints.best(number) for _, number in best]))
        with atomic_folder(folder / "model") as saved:
            model.save_pretrained(saved)
        ranked = [{"step": number, best_by: value} for value, number in best]
        finish({"steps": step, "final_loss": figures.get("loss"), "skipped": skipped, "best": ranked})
        checkpoints.clear()


def _seed(generator: torch.Generator, *where: int) -> None:
    """Seed the masks (`generator`) and the dropout (torch's own generators) of one batch."""
    masks, dropout = np.random.SeedSequence(where).generate_state(2)
    generator.manual_seed(int(masks))
    torch.manual_seed(int(dropout))


def _lines(drawn: list[tuple[torch.Tensor, Any]]) -> str:
    """The lines, from 1, of the sentences of batches (their loss, the batch) that are not finite; all if each is."""
    mine = [(bool(value.isfinite()), number + 1) for value, batch in drawn for number in batch.indices.tolist()]
    everyones = of_all_processes(mine)
    culprits = [number for finite, number in everyones if not finite] or [number for _, number in everyones]
    shown = ", ".join(map(str, sorted(culprits)[:_SHOWN]))
    return shown + (f" and {len(culprits) - _SHOWN} more" if len(culprits) > _SHOWN else "")
