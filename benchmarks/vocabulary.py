"""What the cut of a vocabulary saves: parameters, and the processor time of an update, with and without.

    R=results/multi30k-cpu
    python -m benchmarks.vocabulary $R/bases/captions $R/corpora/multi30k/de-en/train en de

Imports the base's source once more with its whole vocabulary, and trains XLM-D from both on the first lines of the
text, in turns: the same sentences in the same pieces, so only the number of those that compete differs. Prints a
Markdown table.
"""

import argparse
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from xlmd.data.batching import ParallelBatch, ParallelText
from xlmd.data.encoded import EncodedText, encode
from xlmd.data.text import stream_lines
from xlmd.data.tokenizer import load_tokenizer
from xlmd.files import read_json, write_lines
from xlmd.options import from_mapping
from xlmd.pretrained.model import import_model
from xlmd.pretrained.registry import Source
from xlmd.pretrained.tokenizer import import_tokenizer
from xlmd.systems.xlmd import XLMD, XLMDSettings

KINDS = {"all-mask": 0.0, "Algorithm 1": 1.0}


@dataclass
class Contestant:
    system: XLMD
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    text: ParallelText

    def seconds(self, batch: ParallelBatch, progress: float) -> float:
        """Processor time of one update."""
        start = time.process_time()
        loss, _ = self.system.loss(self.model, batch, progress, torch.Generator().manual_seed(1))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.process_time() - start


def contestant(base: Path, work: Path, lines: list[Path], m: int) -> Contestant:
    """XLM-D from a base, and the text in its pieces."""
    tokenizer = load_tokenizer(base / "tokenizer")
    settings = {"mlm": str(base / "mlm/model"), "M": m, "all_mask_fraction": 0.5, "calibrate_blank": False}
    system = XLMD(from_mapping(XLMDSettings, settings), tokenizer)
    model = system.build().train()
    for number, path in enumerate(lines):
        encode(path, base / "tokenizer", work / f"{number}")
    text = ParallelText(*(EncodedText(work / f"{number}") for number in range(2)))
    return Contestant(system, model, torch.optim.AdamW(model.parameters(), 1e-5), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="folder of a base with a cut vocabulary")
    parser.add_argument("text", help="its training text, without the language")
    parser.add_argument("languages", nargs=2, help="source and target")
    parser.add_argument("--M", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=24, help="in an update")
    parser.add_argument("--updates", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        whole, lines = Path(folder) / "whole", [Path(folder) / language for language in args.languages]
        for language, path in zip(args.languages, lines, strict=True):
            write_lines(path, list(itertools.islice(stream_lines(f"{args.text}.{language}"), 1000)))
        made = read_json(args.base / "mlm/run.json")["settings"]
        source = Source(**made["source"])
        import_tokenizer(source, whole / "tokenizer", whole / "vocabulary.json", [])
        import_model(source, whole / "tokenizer", whole / "vocabulary.json", whole / "mlm", made["layers"], 1)
        bases = {"full": whole, "corpus": args.base}
        found = {name: contestant(base, Path(folder) / f"{name}.ids", lines, args.M) for name, base in bases.items()}
        times: dict[tuple[str, str], list[float]] = {}
        for update in range(args.updates + 1):
            drawn = np.arange(update * args.sentences, (update + 1) * args.sentences)
            for (kind, progress), (name, one) in itertools.product(KINDS.items(), found.items()):
                batch = one.text.collate(drawn, one.system.tokenizer.pad_token_id)
                times.setdefault((kind, name), []).append(one.seconds(batch, progress))
    print("| | full | corpus |\n|---|---|---|")
    rows = {
        "pieces": [f"{len(one.system.tokenizer):,}" for one in found.values()],
        "parameters": [f"{sum(p.numel() for p in one.model.parameters()):,}" for one in found.values()],
    }
    rows |= {
        f"seconds per update, {kind}": [f"{np.median(times[kind, name][1:]):.2f}" for name in found] for kind in KINDS
    }
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
