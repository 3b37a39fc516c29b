"""Millions of pairs through the data pipeline: time, lines a second and peak memory of each stage.

    python -m benchmarks.corpus --pairs 5000000

Writes made-up pairs (words drawn from a vocabulary of 50,000 by Zipf's law, 3 to 40 a line), then runs the project's
own stages on them, each as the workflow runs it: cleaning and Moses tokenisation, a tokenizer trained on a sample,
encoding of both sides at once into memory-mapped files, and the first training batches from those. Peak memory is the
proportional set size (PSS) of a stage's processes together, and of that what is the processes' own: the rest are pages
of mapped files, which the system drops when it needs their memory and which processes share. Results are printed;
docs/benchmarks/corpus.md has some.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from xlmd.files import atomic_write, read_json
from xlmd.record import hardware

CHUNK = 100_000
_INTERVAL = 0.2

FIRST_BATCHES = """
import sys, time
start = time.perf_counter()
from xlmd.data.batching import BatchStream, ParallelText
from xlmd.data.encoded import EncodedText
text = ParallelText(EncodedText(sys.argv[1]), EncodedText(sys.argv[2]))
stream = BatchStream(text, max_tokens=16000, pad=1, seed=1)
next(stream)
first = time.perf_counter() - start
for _ in range(200):
    next(stream)
each = (time.perf_counter() - start - first) / 200
stream.load_state_dict(stream.state_dict() | {"epoch": 1})  # the start of another epoch holds the most
print(first, each)
"""


def write_pairs(folder: Path, pairs: int) -> None:
    """Line-parallel files all.en and all.de, and of the first lines sample.en and sample.de, dev.* and test.*."""
    random = np.random.default_rng(1)
    syllables = np.array(["ba", "der", "fi", "gol", "hun", "ka", "lem", "no", "pir", "sche", "tu", "vau", "zö", "mit"])
    words = np.array(["".join(random.choice(syllables, random.integers(1, 5))) for _ in range(50_000)])
    for language in ("en", "de"):
        random = np.random.default_rng([1, *language.encode()])
        lengths = np.random.default_rng(2)
        with atomic_write(folder / f"all.{language}") as handle:
            for start in range(0, pairs, CHUNK):
                count = min(CHUNK, pairs - start)
                ends = np.cumsum(lengths.integers(3, 41, count))
                drawn = words[random.zipf(1.2, ends[-1]) % len(words)]
                lines = [" ".join(line) for line in np.split(drawn, ends[:-1])]
                handle.writelines(line.capitalize() + ".\n" for line in lines)
                if start == 0:
                    for name, part in (("dev", lines[:1000]), ("test", lines[1000:2000]), ("sample", lines)):
                        (folder / f"{name}.{language}").write_text("".join(f"{line}.\n" for line in part))


class Peak(threading.Thread):
    """The largest PSS of some processes and their children together, sampled until they end.

    whole, own: in KiB; own is without mapped files.
    """

    def __init__(self, processes: Sequence[subprocess.Popen]) -> None:
        super().__init__(daemon=True)
        self.processes = [psutil.Process(process.pid) for process in processes]
        self.whole = self.own = 0

    def run(self) -> None:
        while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in self.processes):
            whole, own = (sum(sizes) for sizes in zip((0, 0), *map(_memory, self._all()), strict=True))
            self.whole, self.own = max(self.whole, whole), max(self.own, own)
            time.sleep(_INTERVAL)

    def _all(self) -> list[int]:
        found = []
        for process in self.processes:
            with contextlib.suppress(psutil.Error):  # it has just ended
                found += [process.pid, *(child.pid for child in process.children(recursive=True))]
        return found


def _memory(pid: int) -> tuple[int, int]:
    """Proportional set size of a process, and of that what is in no file; in KiB."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0, 0  # it has just ended
    sizes = dict(re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE))
    return int(sizes.get("Pss", 0)), int(sizes.get("Pss_Anon", 0))


def stage(name: str, lines: int, *commands: list[str]) -> dict:
    """Run commands side by side; what they took."""
    print(name, flush=True)
    start = time.perf_counter()
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for command in commands
    ]
    peak = Peak(running)
    peak.start()
    outputs = [process.communicate()[0] for process in running]
    seconds = time.perf_counter() - start
    peak.join()
    if any(process.returncode for process in running):
        sys.exit(f"{name} failed: {commands}")
    row = {"stage": name, "seconds": round(seconds, 1), "lines a second": f"{lines / seconds:,.0f}" if lines else ""}
    return row | {"peak MiB": peak.whole >> 10, "of its own": peak.own >> 10, "output": outputs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tokenize", choices=["moses", "none"], default="moses", help="Moses takes most of the time")
    parser.add_argument("--folder", help="where to work (several GB); by default a temporary folder")
    args = parser.parse_args()
    xlmd = [sys.executable, "-m", "xlmd.cli"]
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        write_pairs(folder, args.pairs)
        clean = folder / "clean"
        held_out = [str(folder / f"{split}.{language}") for split in ("dev", "test") for language in ("en", "de")]
        rows = [
            stage(
                "clean and Moses-tokenise" if args.tokenize == "moses" else "clean", 2 * args.pairs,
                [*xlmd, "preprocess", "--source", f"{folder}/all.en", "--language", "en",
                 "--target", f"{folder}/all.de", "--target-language", "de", "--out", str(clean),
                 "--cleaning", '{"max_length": 250, "max_ratio": 9}', "--held-out", *held_out,
                 "--processes", str(args.processes), "--tokenize", args.tokenize],
            ),
            stage(
                "train the tokenizer on a sample", 0,
                [*xlmd, "tokenizer", "--text", f"{folder}/sample.en", f"{folder}/sample.de", "--vocabulary", "8000",
                 "--out", f"{folder}/tokenizer"],
            ),
            stage(
                "encode", 2 * args.pairs,
                *([*xlmd, "encode", "--text", f"{clean}/train.{language}", "--tokenizer", f"{folder}/tokenizer",
                   "--out", f"{folder}/{language}"] for language in ("en", "de")),
            ),
            stage("first batches", 0, [sys.executable, "-c", FIRST_BATCHES, f"{folder}/en", f"{folder}/de"]),
        ]  # fmt: skip
        kept = read_json(clean / "train.json")
        size = sum(path.stat().st_size for path in folder.glob("*.npy")) / 2**30
    first, each = map(float, rows[-1]["output"].split())
    table = pd.DataFrame(rows).drop(columns="output").to_markdown(index=False)
    machine = f"{hardware()['cpu']}, {os.cpu_count()} cores, {args.processes} processes"
    command = f"python -m benchmarks.corpus --pairs {args.pairs} --tokenize {args.tokenize}"
    text = f"""Measured by `{command}` on {machine}.

{table}

Of {kept["read"]:,} pairs {kept["kept"]:,} were kept (left out: {kept["dropped"]}). Encoded they take {size:.1f} GiB.
The first batch of 16,000 tokens was there {first:.1f} s after the start of the process, imports included; each further
one took {1e3 * each:.1f} ms.
"""
    print(text)


if __name__ == "__main__":
    main()
