"""The most probable token over a large vocabulary: blocks of logits beside logits first, then argmax.

    python -m benchmarks.output_layer                  # CPU, one thread, float32
    python -m benchmarks.output_layer --device cuda    # bfloat16

The contenders of a shape take turns in one run, and each one's shortest time counts. Memory is what the first call of
each needs at its peak above the inputs. Writes `output-layer-DEVICE.csv` and `.md` under --output.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from benchmarks.ctc import PeakMemory, timed
from xlmd.files import atomic_write, write_lines
from xlmd.output_layer import most_probable

VOCABULARY = 250_002
SHAPES = [(1, 768), (32, 768), (256, 256)]  # positions, d


def table_first(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, then argmax and log-probability: what `most_probable` is compared with."""
    logits = torch.nn.functional.linear(hidden, weight, bias)
    best, token = logits.max(dim=-1)
    return token, best.float() - logits.float().logsumexp(dim=-1)


def measure(count: int, size: int, device: str, seconds: float) -> dict[str, object]:
    """Milliseconds and MiB of the contenders for `count` positions of `size` dimensions."""
    random = torch.Generator(device).manual_seed(1)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    weight = torch.randn(VOCABULARY, size, generator=random, device=device, dtype=dtype)
    bias = torch.randn(VOCABULARY, generator=random, device=device, dtype=dtype)
    hidden = torch.randn(count, size, generator=random, device=device, dtype=dtype)
    contenders = {
        "blocks": lambda: most_probable(hidden, weight, bias),
        "table": lambda: table_first(hidden, weight, bias),
        "product": lambda: torch.mm(hidden, weight.t()),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    memory = {}
    for name, call in contenders.items():
        with PeakMemory(device) as peak:
            call()
        memory[name] = peak.extra
    while not times["product"] or sum(map(sum, times.values())) < 1000 * seconds and len(times["product"]) < 20:
        for name, call in contenders.items():
            times[name].append(timed(call, device))
    blocks, table, product = (min(times[name]) for name in contenders)
    return {
        "positions": count,
        "d": size,
        "blocks, ms": blocks,
        "table, ms": table,
        "product alone, ms": product,
        "table / blocks": table / blocks,
        "blocks, MiB": memory["blocks"],
        "table, MiB": memory["table"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=float, default=10, help="of turns per shape")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        rows = [measure(*shape, options.device, options.seconds) for shape in SHAPES]
    table = pd.DataFrame(rows)
    with atomic_write(options.output / f"output-layer-{options.device}.csv") as file:
        table.to_csv(file, index=False, float_format="%.4g")
    name = torch.cuda.get_device_name() if options.device == "cuda" else "one thread"
    title = f"Measured by `python -m benchmarks.output_layer --device {options.device}`, V {VOCABULARY:,}, {name}."
    text = table.to_markdown(index=False, floatfmt=".4g")
    write_lines(options.output / f"output-layer-{options.device}.md", [title, "", *text.splitlines()])
    print(text)


if __name__ == "__main__":
    main()
