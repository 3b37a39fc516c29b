"""Time of a translation by an XLM-D of XLM-R base's size with random weights: what it takes does not depend on them.

    python -m benchmarks.gpu.latency [--output docs/benchmarks]

Every shape runs a few times to warm up, then 30 times; the median and the slowest of twenty count. The time is that of
`generate`, from ids on the device to ids on the device.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.gpu import report
from benchmarks.gpu.models import random_model

LENGTHS, ITERATIONS, BATCHES, DTYPES = (16, 32), (1, 4, 10), (1, 32), (torch.bfloat16, torch.float32)
WARM_UPS, REPEATS = 5, 30


def times(call: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> list[float]:
    """Milliseconds of each of `repeats` calls, sorted."""
    for _ in range(WARM_UPS):
        call()
    found = []
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(1e3 * (time.perf_counter() - start))
    return sorted(found)


def measure(model: torch.nn.Module, dtype: torch.dtype, batch: int, length: int, iterations: int, repeats: int) -> dict:
    """One row: `batch` sentences of `length` subwords, specials counted."""
    source = torch.randint(4, model.config.vocab_size - 1, (batch, length), device=model.device)
    seen = torch.ones_like(source)
    found = times(lambda: model.generate(source, seen, iterations=iterations), model.device, repeats)
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "batch": batch,
        "source": length,
        "T": iterations,
        "median, ms": statistics.median(found),
        "95th of 100, ms": found[math.ceil(0.95 * len(found)) - 1],
        "sentences / s": batch * 1e3 / statistics.median(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    device = torch.device("cuda")
    model = random_model(insertion_layer=0).to(device).eval()
    rows = []
    for dtype in DTYPES:
        model.to(dtype)
        shapes = ((b, n, t) for b in BATCHES for n in LENGTHS for t in ITERATIONS)
        rows += [measure(model, dtype, *shape, REPEATS) for shape in shapes]
    first = next(row for row in rows if (row["batch"], row["T"], row["source"]) == (1, 1, LENGTHS[0]))
    title = (
        f"Measured by `python -m benchmarks.gpu.latency` on {report.machine(device)}; 12 layers of 768, M = 0, s = 2."
    )
    aims = [report.Aim("one sentence of 16 subwords, T = 1, bfloat16: ms", first["median, ms"], 2)]
    report.write(options.output / "latency-gpu", title, aims, rows, ("median, ms", "ms"))


if __name__ == "__main__":
    main()
