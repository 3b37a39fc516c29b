"""Updates of an XLM-D of XLM-R base's size, and how much of what the GPU's matrix products reach they use.

    python -m benchmarks.gpu.training [--output docs/benchmarks]

An update is the project's own (`xlmd.train.update`): loss, gradient, clipping and AdamW, on 16,000 padded tokens of
made-up sentences in bfloat16. The share is that of the operations which the model's products need (`Work.update`,
nothing computed twice), over the time, in that of plain bfloat16 products of 8192 × 8192 matrices.
"""

import argparse
import statistics
from pathlib import Path

import torch
from accelerate import Accelerator

from benchmarks.gpu import report
from benchmarks.gpu.latency import times
from benchmarks.gpu.models import Tokenizer, Work, random_model
from xlmd.data.batching import ParallelBatch
from xlmd.systems.xlmd import XLMD, XLMDSettings
from xlmd.train.settings import TrainerSettings
from xlmd.train.update import Updates, make_optimiser

TOKENS, LENGTH, REPEATS = 16_000, 32, 10


class Same:
    """A stream of one batch of made-up sentences, all of one length."""

    source = "made-up sentences"

    def __init__(self, vocabulary: int, count: int, length: int) -> None:
        ids = torch.randint(4, vocabulary - 1, (2, count, length), generator=torch.Generator().manual_seed(1))
        lengths = torch.full((count,), length)
        self.batch = ParallelBatch(ids[0], lengths, ids[1], lengths, torch.arange(count))

    def __iter__(self) -> "Same":
        return self

    def __next__(self) -> ParallelBatch:
        return self.batch

    def set_progress(self, fraction: float) -> None:
        pass

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        pass


def peak(device: torch.device, size: int = 8192) -> float:
    """Operations a second of plain products of square bfloat16 matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 * 1e3 / times(lambda: torch.mm(a, b), device, REPEATS)[0]


def measure(accelerator: Accelerator, tokens: int, repeats: int, *, algorithm1: bool, **changes: object) -> dict:
    """One row: the median of `repeats` updates. changes: of the model's configuration."""
    device, trainer = accelerator.device, TrainerSettings(max_tokens=tokens)
    model = random_model(**changes).to(device).train()
    settings = XLMDSettings(M=model.config.insertion_layer, all_mask_fraction=0.0 if algorithm1 else 1.0)
    system = XLMD(settings, Tokenizer(model.config.vocab_size))
    stream = Same(model.config.vocab_size, tokens // LENGTH, LENGTH)
    optimiser, _ = make_optimiser(model, trainer)
    updates = Updates(model, system.loss, stream, trainer, accelerator)

    def update() -> None:
        updates.gradient(0)
        optimiser.step()
        optimiser.zero_grad()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    milliseconds = statistics.median(times(update, device, repeats))
    work = Work(model.config, len(stream.batch), LENGTH + 2, LENGTH)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return {
        "M": model.config.insertion_layer,
        "loss": "Algorithm 1" if algorithm1 else "plain CTC",
        "ms": milliseconds,
        "tokens / s": tokens * 1e3 / milliseconds,
        "10¹² operations": work.update(algorithm1) / 1e12,
        "10¹² operations / s": work.update(algorithm1) / milliseconds / 1e9,
        "GiB": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    accelerator = Accelerator(mixed_precision="bf16")
    highest = peak(accelerator.device)
    rows = []
    for m in (0, 6):
        for algorithm1 in (False, True):
            rows.append(measure(accelerator, TOKENS, REPEATS, algorithm1=algorithm1, insertion_layer=m))
            rows[-1]["share of the products"] = rows[-1]["10¹² operations / s"] * 1e12 / highest
            torch.cuda.empty_cache()
    title = (
        f"Measured by `python -m benchmarks.gpu.training` on {report.machine(accelerator.device)}; 12 layers of 768, "
        f"{TOKENS:,} tokens an update, sentences of {LENGTH}; plain products: {highest / 1e12:.0f}·10¹² operations / s."
    )
    aims = [
        report.Aim(f"M = {row['M']}, {row['loss']}: share of plain products", row["share of the products"], 0.4, True)
        for row in rows
    ]
    report.write(
        options.output / "training-gpu", title, aims, rows, ("share of the products", "share of plain products")
    )


if __name__ == "__main__":
    main()
