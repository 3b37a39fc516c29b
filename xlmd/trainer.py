"""One training loop for every model of the project: teacher, XLM-D and the masked language model.

It knows nothing of what it trains: it draws batches from a stream, asks for their loss, and steps. It can be killed at
any moment; started again with the same settings it continues from the last checkpoint with the same batches, dropout
and learning rate, so that on a CPU the weights come out bitwise the same.
"""

import csv
import hashlib
import io
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save
from transformers import PreTrainedModel, get_scheduler

from xlmd.errors import UserError
from xlmd.files import atomic_folder, atomic_write
from xlmd.options import check, option
from xlmd.progress import progress as progress_bar

logger = logging.getLogger(__name__)

Loss = Callable[[torch.nn.Module, Any, float, torch.Generator], tuple[torch.Tensor, dict[str, float]]]


@dataclass
class TrainerSettings:
    """Optimisation, shared by all models (§3.1, Appendix A.1)."""

    steps: int = option(200_000, "updates", 1)
    max_tokens: int = option(16_000, "padded tokens a batch (longer side) on each process", 1)
    accumulation: int = option(1, "batches an update", 1)
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
    threads: int = option(1, "CPU threads; results are bitwise repeatable for a given number", 1)
    seed: int = option(1, "seed of weights, batches, masks and dropout")

    def __post_init__(self) -> None:
        check(self)


class Stream(Protocol):
    """An endless, resumable source of batches."""

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
    accelerator = Accelerator(cpu=cpu, mixed_precision=settings.precision)
    if accelerator.num_processes > 1:
        raise UserError("training runs in one process for now; started with several")
    return accelerator


def gpu_name(accelerator: Accelerator) -> str | None:
    """The name of the GPU that a run uses, or None on a CPU."""
    return torch.cuda.get_device_name(accelerator.device) if accelerator.device.type == "cuda" else None


def _fingerprint(settings: dict) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


class Checkpoints:
    """The state of an unfinished run below `folder`: the latest checkpoint and the best validated weights.

    A checkpoint is a folder of its own, there as a whole or not at all; older ones go once it is there.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    @property
    def latest(self) -> Path | None:
        return max(self.folder.glob("step-????????"), default=None)

    def load(self) -> dict | None:
        """The latest checkpoint's state, or None. One left by other settings or data is deleted, with a warning."""
        latest = self.latest
        if latest is None:
            self.clear()
            return None
        path = latest / "state.pt"
        # weights_only: a checkpoint can hold numbers, not code.
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            weights = load_file(latest / "model.safetensors")
        except Exception as error:
            raise UserError(
                f"{path} is not a readable checkpoint ({error}); delete its folder to start anew"
            ) from error
        if state["fingerprint"] != self.fingerprint:
            logger.warning("%s belongs to a run with other settings or data: starting anew", latest)
            self.clear()
            return None
        return state | {"model": weights}

    def save(self, model: dict[str, torch.Tensor], state: dict) -> None:
        serialised = io.BytesIO()
        torch.save(state | {"fingerprint": self.fingerprint}, serialised)
        new = self.folder / f"step-{state['step']:08d}"
        with atomic_folder(new) as folder:
            for name, content in (("model.safetensors", save(model)), ("state.pt", serialised.getvalue())):
                with atomic_write(folder / name, "wb") as handle:  # plain writes: they report a full disk
                    handle.write(content)
        kept = {new, *(self.best(step) for _, step in state["best"])}
        for path in self.folder.iterdir():
            if path.is_dir() and path not in kept:
                shutil.rmtree(path)
            elif path not in kept:
                path.unlink()

    def best(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.safetensors"

    def save_best(self, step: int, model: dict[str, torch.Tensor]) -> None:
        with atomic_write(self.best(step), "wb") as handle:
            handle.write(save(model))

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Curves:
    """curves.csv: one row a logged step, appended as training goes; on resumption rows of lost steps are cut off."""

    def __init__(self, path: Path, resumed_from: int) -> None:
        self.path = path
        rows = []
        if resumed_from and path.exists():
            with path.open(newline="", encoding="utf-8") as handle:
                rows = [row for row in csv.reader(handle)][1:]
            rows = [row for row in rows if int(row[0]) <= resumed_from]
        with atomic_write(path) as handle:
            csv.writer(handle, lineterminator="\n").writerows([["step", "name", "value"], *rows])

    def add(self, step: int, values: dict[str, float]) -> None:
        try:
            with self.path.open("a", newline="", encoding="utf-8") as handle:
                writer = csv.writer(handle, lineterminator="\n")
                writer.writerows([step, name, f"{value:.6g}"] for name, value in values.items())
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's tensors on the CPU, tied ones once (safetensors refuses shared memory)."""
    kept, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            kept[name] = tensor.detach().cpu().contiguous()
    return kept


def average_weights(paths: list[Path]) -> dict[str, torch.Tensor]:
    """The mean of several checkpoints' weights, computed in float64."""
    total: dict[str, torch.Tensor] = {}
    for path in paths:
        for name, tensor in load_file(path).items():
            total[name] = total.get(name, 0) + tensor.double()
    return {name: (tensor / len(paths)).float() for name, tensor in total.items()}


def load_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """The inverse of `weights_of`: tied tensors follow their twin."""
    model.load_state_dict(weights, strict=False)
    tied = {tensor.data_ptr() for name, tensor in model.state_dict().items() if name in weights}
    missing = [name for name, tensor in model.state_dict().items() if tensor.data_ptr() not in tied]
    if missing:
        raise UserError(f"a checkpoint lacks the weights {missing[:5]}")


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
) -> dict[str, Any]:
    """Train `model` in place, average its best checkpoints and save it to folder/model in transformers' format.

    loss(model, batch, progress, generator) → (scalar, figures to log). validate(model) → figures, of which `best_by`
    ranks checkpoints, higher is better. folder: where curves.csv, model/ and, until the end, checkpoints/ go. identity:
    what else besides the settings makes this run itself (its data's hashes): a checkpoint of another identity is not
    continued. Returns {"steps", "final_loss", "best": [{"step", best_by}, …]}.
    Raises UserError, naming the step, if the loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder / "checkpoints", _fingerprint(asdict(settings) | {"identity": identity}))
    generator = torch.Generator().manual_seed(settings.seed)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.peak_lr,
        betas=(settings.beta1, settings.beta2),
        fused=True,
    )
    schedule = get_scheduler(settings.schedule, optimiser, settings.warmup_steps, settings.steps)
    bare = model
    model.to(accelerator.device)
    state = checkpoints.load()
    step, best, running, counted = 0, [], 0.0, 0
    if state:
        load_weights(bare, state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        stream.load_state_dict(state["stream"])
        generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        step, best, running, counted = (state[name] for name in ("step", "best", "running", "counted"))
        logger.info("continuing from the checkpoint of step %d", step)
    model, optimiser = accelerator.prepare(model, optimiser)
    curves = Curves(folder / "curves.csv", step)
    batches = iter(stream)
    bar = progress_bar(total=settings.steps, initial=step, desc=description, unit="step")
    model.train()
    while step < settings.steps:
        progress = step / settings.steps
        total = 0.0
        for _ in range(settings.accumulation):
            stream.set_progress(progress)
            batch = next(batches).to(accelerator.device)
            with accelerator.autocast():
                value, figures = loss(model, batch, progress, generator)
            accelerator.backward(value / settings.accumulation)
            total += value.detach()
        norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip)
        mean_loss = float(total) / settings.accumulation
        if not math.isfinite(mean_loss) or not math.isfinite(float(norm)):
            raise UserError(
                f"{folder}: the loss is {mean_loss} and the gradient norm {float(norm)} at step {step + 1}; "
                f"last good checkpoint: {checkpoints.latest or 'none'}"
            )
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        step += 1
        bar.update()
        running, counted = running + mean_loss, counted + 1
        last = step == settings.steps
        if step % settings.log_every == 0 or last:
            row = {"loss": running / counted, "lr": schedule.get_last_lr()[0], "gradient_norm": float(norm), **figures}
            bar.set_postfix(
                refresh=False, loss=f"{row['loss']:.3f}", **({best_by: f"{best[0][0]:.2f}"} if best else {})
            )
            if accelerator.is_main_process:
                curves.add(step, row)
            running, counted = 0.0, 0
        due = step % settings.validate_every == 0 and step >= settings.validate_from * settings.steps
        if validate and (due or last) and accelerator.is_main_process:
            model.eval()
            figures = validate(bare)
            model.train()
            curves.add(step, figures)
            if settings.average:
                checkpoints.save_best(step, weights_of(bare))
                best = sorted([*best, [figures[best_by], step]], reverse=True)[: settings.average]
        if step % settings.checkpoint_every == 0 and not last and accelerator.is_main_process:
            checkpoints.save(
                weights_of(bare),
                {
                    "step": step,
                    "best": best,
                    "running": running,
                    "counted": counted,
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "stream": stream.state_dict(),
                    "generator": generator.get_state(),
                    "torch_rng": torch.get_rng_state(),
                    "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                },
            )
    bar.close()
    if best:
        load_weights(bare, average_weights([checkpoints.best(number) for _, number in best]))
    bare.eval()
    if accelerator.is_main_process:
        with atomic_folder(folder / "model") as saved:
            bare.save_pretrained(saved)
        checkpoints.clear()
    return {
        "steps": step,
        "final_loss": mean_loss,
        "best": [{"step": number, best_by: value} for value, number in best],
    }
