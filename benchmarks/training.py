"""Cut CTC against its composition in whole training runs: the same run twice, time a step and BLEU side by side.

    python -m benchmarks.training results/runs/en-de/xlmd-distilled-M=2-s=2.0

Repeats the training of a run folder with the losses that the project uses (`linear_ctc_loss`, `linear_ctc_best_path`),
and with what they stand for: the whole T × V table by matrix product and log-softmax, then `ctc_loss` and
`ctc_best_path` on it. The two take turns of --updates updates, so that what slows the machine slows both; then each run
is trained whole, and its dev BLEU printed.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.functional import linear

from xlmd.ctc import BestPath, ctc_best_path, ctc_loss
from xlmd.data.batching import BatchStream, ParallelText
from xlmd.data.encoded import EncodedText
from xlmd.data.tokenizer import load_tokenizer
from xlmd.files import read_json
from xlmd.method import algorithm1 as training
from xlmd.options import from_mapping
from xlmd.systems import find_system
from xlmd.train.run import TrainFiles, train, usable_pairs
from xlmd.train.settings import TrainerSettings


def composed_loss(hidden, weight, targets, input_lengths, target_lengths, *, bias=None, **options) -> torch.Tensor:
    """`linear_ctc_loss` with the T × V table."""
    table = linear(hidden, weight, bias).log_softmax(-1)
    return ctc_loss(table, targets, input_lengths, target_lengths, **options)


def composed_best_path(hidden, weight, targets, input_lengths, target_lengths, *, bias=None, **options) -> BestPath:
    """`linear_ctc_best_path` with the T × V table."""
    return ctc_best_path(linear(hidden, weight, bias), targets, input_lengths, target_lengths, **options)


@contextmanager
def composed() -> Iterator[None]:
    """Training with the composition."""
    kept = training.linear_ctc_loss, training.linear_ctc_best_path
    training.linear_ctc_loss, training.linear_ctc_best_path = composed_loss, composed_best_path
    try:
        yield
    finally:
        training.linear_ctc_loss, training.linear_ctc_best_path = kept


@contextmanager
def cut() -> Iterator[None]:
    """Training as it is."""
    yield


def milliseconds(record: dict, rounds: int, updates: int) -> dict[str, list[float]]:
    """Time of an update by both ways: the shortest of `rounds` turns of `updates` each, {way: one for each kind}.

    The two kinds: plain CTC on all-mask input, and Algorithm 1.
    """
    settings = record["settings"]
    tokenizer = load_tokenizer(settings["files"]["tokenizer"])
    cls = find_system(settings["system"])
    system = cls(from_mapping(cls.Settings, settings["settings"]), tokenizer)
    source, target = (EncodedText(settings["files"][side]) for side in ("source", "target"))
    trainer = settings["trainer"]
    torch.set_num_threads(trainer["threads"])
    kept, _ = usable_pairs(system, source, target)
    stream = BatchStream(ParallelText(source, target, keep=kept), trainer["max_tokens"], tokenizer.pad_token_id, 1)
    batches = [next(stream) for _ in range(updates)]
    model = system.build().train()
    best = {way: [float("inf"), float("inf")] for way in ("cut", "composed")}
    for _ in range(rounds):
        for way, patch in (("cut", cut), ("composed", composed)):
            for kind, progress in enumerate((0.0, 1.0)):
                generator = torch.Generator().manual_seed(1)
                with patch():
                    start = time.perf_counter()
                    for batch in batches:
                        system.loss(model, batch, progress, generator)[0].backward()
                        model.zero_grad()
                    best[way][kind] = min(best[way][kind], (time.perf_counter() - start) * 1e3 / updates)
    return best


def whole_run(record: dict, folder: Path) -> float:
    """Dev BLEU of the run trained anew into `folder`."""
    settings = record["settings"]
    system = find_system(settings["system"])
    files = from_mapping(TrainFiles, settings["files"] | {"out": str(folder)})
    trainer = from_mapping(TrainerSettings, settings["trainer"])
    train(settings["system"], from_mapping(system.Settings, settings["settings"]), trainer, files)
    return read_json(folder / "run.json")["result"]["best"][0]["bleu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder of XLM-D")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=10, help="updates a turn")
    parser.add_argument("--times-only", action="store_true", help="do not train the whole run")
    args = parser.parse_args()
    record = read_json(Path(args.run) / "run.json")
    times = milliseconds(record, args.rounds, args.updates)
    print("forward and backward of an update, ms: plain CTC, Algorithm 1")
    for way, (plain, algorithm1) in times.items():
        print(f"  {way:<9}{plain:8.1f}{algorithm1:8.1f}")
    ratios = [a / b for a, b in zip(times["cut"], times["composed"], strict=True)]
    print(f"  ratio    {ratios[0]:8.2f}{ratios[1]:8.2f}")
    if args.times_only:
        return
    with tempfile.TemporaryDirectory() as folder:
        for way, patch in (("cut", cut), ("composed", composed)):
            with patch():
                print(f"{way}: best dev BLEU {whole_run(record, Path(folder) / way):.4f}")


if __name__ == "__main__":
    main()
