"""What a configuration costs: updates and tokens of every run, and device-hours at the speed measured here.

    python -m benchmarks.scale --configfile config/paper.yaml

Trains a few updates of each system at the configuration's own size, on made-up sentences and random weights, on the GPU
if there is one; the rate, in padded tokens a second (longer side), makes hours of what the runs of each table need:

    hours of a run = steps × max_tokens × accumulation × processes / tokens a second of one device / 3600

For a device that is not at hand, `--products` takes the operations a second that its plain matrix products reach, and
the rates are taken as proportional to those: the measured one is printed.

A table's hours count every run that it needs if nothing is there, teachers included; those of `all` count each run
once. Pre-training of a masked language model, distillation and decoding are not in them. The time of XLM-D is taken as
proportional to s, and the same for every M and without add and scale (which is faster: it passes once).
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from snakemake.utils import update_config
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from benchmarks.gpu.models import Tokenizer
from xlmd.data.batching import ParallelBatch
from xlmd.experiment.configuration import check_config, resolve_corpora, resolve_models
from xlmd.experiment.layout import Layout
from xlmd.experiment.points import BASELINE, OURS, TABLES, Point, points, timed
from xlmd.options import from_mapping
from xlmd.systems import find_system
from xlmd.train.loop import TrainerSettings

ROOT = Path(__file__).parent.parent
XLMR_VOCABULARY = 250_002


def read(paths: list[str]) -> dict[str, Any]:
    """config.yaml with other files laid over it."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for path in paths:
        update_config(config, yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    resolve_corpora(config)
    resolve_models(config)
    check_config(config)
    return config


def tokens_a_second(
    config: dict[str, Any], name: str, tokens: int, updates: int, length: int, folder: Path, device: torch.device
) -> float:
    """Of one process of a system's training, optimiser included; the median of `updates` after one to warm up."""
    entry, cls = config["systems"][name], find_system(name)
    base = config["bases"][Layout(config).base(config["grid"]["analysis"])]
    vocabulary = base["tokenizer"].get("vocabulary") or XLMR_VOCABULARY
    own = {setting: str(_mlm(folder, base["mlm"].get("shape", {}), vocabulary)) for setting in cls.pretrained}
    own |= {"s": config["grid"]["s"]} if name == OURS else {}
    system = cls(from_mapping(cls.Settings, entry["settings"] | own), Tokenizer(vocabulary))
    trainer = from_mapping(TrainerSettings, entry["trainer"])
    model = system.build().to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    generator = torch.Generator().manual_seed(1)
    count = max(1, tokens // length)
    ids = torch.randint(4, vocabulary - 1, (2, count, length), generator=generator)
    lengths = torch.full((count,), length)
    batch = ParallelBatch(ids[0], lengths, ids[1], lengths, torch.arange(count)).to(device)
    times = []
    for _ in range(updates + 1):
        start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16, enabled=trainer.precision == "bf16" and device.type == "cuda"):
            loss, _ = system.loss(model, batch, 1.0, generator)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        float(loss.detach())
        times.append(time.perf_counter() - start)
    return count * length / sorted(times[1:])[len(times[1:]) // 2]


def products_a_second(tokens: int, device: torch.device) -> float:
    """Operations a second of a matrix product of the feed-forward layers' shape, in the precision of training."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(shape, device=device, dtype=dtype) for shape in ((tokens, 768), (768, 3072)))
    times = []
    for _ in range(20):
        start = time.perf_counter()
        (a @ b)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * tokens * 768 * 3072 / sorted(times)[len(times) // 2]


def _mlm(folder: Path, shape: dict[str, Any], vocabulary: int) -> Path:
    """A masked language model of XLM-R base's or another shape, with random weights."""
    names = {"layers": "num_hidden_layers", "d_model": "hidden_size", "ffn": "intermediate_size"}
    names["heads"] = "num_attention_heads"
    own = {names[key]: value for key, value in shape.items() if key in names}
    sizes = {"vocab_size": vocabulary, "max_position_embeddings": 514, "type_vocab_size": 1}
    XLMRobertaForMaskedLM(XLMRobertaConfig(**sizes, **own)).save_pretrained(folder)
    return folder


def cost(config: dict[str, Any], rates: dict[str, float], run: Point) -> tuple[int, float]:
    """Padded tokens and device-hours of a run."""
    trainer = from_mapping(TrainerSettings, Layout(config).trainer(run.system, run.direction))
    tokens = trainer.steps * trainer.max_tokens * trainer.accumulation * trainer.processes
    longer = dict(run.settings).get("s", config["grid"]["s"]) / config["grid"]["s"]  # its alignments, and so its time
    return tokens, tokens * longer / rates[run.system] / 3600


def runs_of(config: dict[str, Any], *tables: str) -> dict[str, Point]:
    """{name: a point of it} of every run that tables need, teachers and what is timed beside them included."""
    runs = {}
    for point in (*points(config, *tables), *(point for table in tables for point in timed(config, table))):
        runs[point.run] = point
        if point.data == "distilled":
            teacher = Point(point.direction, BASELINE, "original")
            runs.setdefault(teacher.run, teacher)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", nargs="+", default=["config/paper.yaml"])
    parser.add_argument("--tokens", type=int, default=16_000, help="padded tokens an update that is timed")
    parser.add_argument("--length", type=int, default=32, help="subwords of a sentence")
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--products", type=float, help="10¹² operations a second of another device's matrix products")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = read(args.configfile)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {args.threads} threads"
    systems = sorted({point.system for point in points(config, *TABLES)})
    with tempfile.TemporaryDirectory() as folder:
        mlm = Path(folder) / "mlm"
        rates = {
            system: tokens_a_second(config, system, args.tokens, args.updates, args.length, mlm, device)
            for system in systems
        }
    products = products_a_second(args.tokens, device)
    print(f"{name}; matrix products: {products / 1e12:.3g}·10¹² operations a second")
    print("tokens a second of training: " + ", ".join(f"{name} {rate:,.1f}" for name, rate in rates.items()) + "\n")
    if args.products:
        rates = {system: rate * args.products * 1e12 / products for system, rate in rates.items()}
        print(f"Taken to a device of {args.products:g}·10¹² operations a second:\n")
    rows = []
    for label, tables in [*((table, [table]) for table in TABLES), ("all", list(TABLES))]:
        runs = runs_of(config, *tables)
        costs = [cost(config, rates, run) for run in runs.values()]
        rows.append({"what": label, "runs": len(runs), "tokens (10⁹)": round(sum(tokens for tokens, _ in costs) / 1e9)})
        rows[-1] |= {"device-hours": f"{sum(hours for _, hours in costs):,.0f}"}
    print(pd.DataFrame(rows).to_markdown(index=False))


if __name__ == "__main__":
    main()
