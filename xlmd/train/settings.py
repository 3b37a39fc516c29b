"""How a model is trained, whatever it is."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from xlmd.options import check, option


@dataclass
class TrainerSettings:
    """Optimisation, shared by all models (§3.1, Appendix A.1)."""

    steps: int = option(200_000, "updates", 1)
    max_tokens: int = option(16_000, "padded tokens per batch (longer side) in each process", 1)
    accumulation: int = option(1, "batches per update in each process", 1)
    processes: int = option(1, "processes on this machine, one per GPU where there are GPUs", 1)
    peak_lr: float = option(2e-4, "highest learning rate", 0)
    warmup_steps: int = option(10_000, "updates of linear warm-up", 0)
    schedule: Literal["inverse_sqrt", "linear", "constant_with_warmup"] = option("inverse_sqrt", "decay after warm-up")
    beta1: float = option(0.9, "Adam's β₁", 0)
    beta2: float = option(0.98, "Adam's β₂", 0)
    weight_decay: float = option(0.01, "decoupled weight decay", 0)
    clip: float = option(1.0, "largest gradient norm")
    curriculum: float = option(
        0.0, "share of training over which the length limit grows from the shortest quarter to all"
    )
    validate_every: int = option(5_000, "updates between validations", 1)
    validate_from: float = option(0.0, "share of training before the first validation", 0)
    validation_sentences: int = option(200, "how many dev sentences rank the checkpoints (the first ones)", 1)
    checkpoint_every: int = option(5_000, "updates between checkpoints", 1)
    average: int = option(5, "best validated checkpoints to average (1: the best, 0: the last)", 0)
    log_every: int = option(50, "updates between rows of curves.csv", 1)
    precision: Literal["no", "bf16"] = option("no", "mixed precision, as accelerate names it")
    device: Literal["auto", "cpu"] = option("auto", "auto: the GPU if there is one")
    threads: int = option(1, "CPU threads of a process; results are bitwise repeatable for a given number", 1)
    skip_non_finite: int = option(
        0, "updates left out because their loss or gradient is infinite or no number, before the run stops", 0
    )
    seed: int = option(1, "seed of weights, batches, masks and dropout", 0)

    def __post_init__(self) -> None:
        check(self)

    def decisive(self) -> dict[str, Any]:
        """The settings that change where training goes: a checkpoint is continued under any others."""
        others = ("skip_non_finite", "log_every", "checkpoint_every", "device")
        return {name: value for name, value in asdict(self).items() if name not in others}
