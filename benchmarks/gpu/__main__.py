"""All that a GPU is to check and to measure, one part after another: `make gpu`.

    python -m benchmarks.gpu [PART ...] [--anew] [--output docs/benchmarks]

A part is a process of its own and takes eight minutes at most. A part that has passed, with these sources, this torch
and this GPU, is not run again (--anew: it is), so that the command can be stopped and started at will. What each one
said lies in build/gpu/PART.log; docs/benchmarks/gpu.md sums up. Without a GPU it builds, and says what needs one.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu import report
from xlmd.files import read_json, write_json

ROOT = Path(__file__).parents[2]
SECONDS = 480  # at most, for a part
SOURCES = "xlmd/**/*.py", "xlmd/_cuda/*", "benchmarks/**/*.py", "tests/*.py"
CUDA_TESTS = "tests/test_ctc_cuda.py", "tests/test_host_waits.py", "tests/test_cuda_graphs.py"
# Every kernel, in registers and wide, once; all the tests would take the checker of memory errors an hour.
SAMPLE = "test_the_gpu_agrees or test_bad_lengths or test_rows_may_start or test_nothing_in_the_padding"


@dataclass(frozen=True)
class Part:
    """A command; needs_gpu: whether it is for a GPU alone; page: what it writes below the output, without suffix."""

    name: str
    what: str
    command: tuple[str, ...]
    needs_gpu: bool = True
    page: str | None = None


def python(*words: str) -> tuple[str, ...]:
    return sys.executable, *words


def parts(output: Path) -> list[Part]:
    """What is run, in this order."""
    install = "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"
    tests = "-m", "pytest", "-q", "-p", "no:cacheprovider"
    ours = "--kernel-name", "kns=xlmd"  # all of torch's would take it an hour
    memory_checker = "compute-sanitizer", "--tool", "memcheck", *ours, "--error-exitcode", "1"
    to = "--output", str(output)
    return [
        Part("build", "the native library, beside the torch that is there", python(*install, "--editable", "."), False),
        Part("tests", "the CUDA tests", python(*tests, *CUDA_TESTS)),
        Part(
            "sanitizer",
            "a sample of them under NVIDIA's checker of memory errors",
            (*memory_checker, *python(*tests, "tests/test_ctc_cuda.py", "-k", SAMPLE)),
        ),
        Part("ctc", "CTC", python("-m", "benchmarks.ctc", "--device", "cuda", *to), page="ctc-gpu"),
        Part("latency", "a translation's time", python("-m", "benchmarks.gpu.latency", *to), page="latency-gpu"),
        Part("training", "an update's time", python("-m", "benchmarks.gpu.training", *to), page="training-gpu"),
    ]


def key(device: str) -> str:
    """What a part's result holds for: sources, torch and GPU."""
    digest = hashlib.sha256(f"{device} {torch.__version__}".encode())
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(part: Part, log: Path) -> dict[str, object]:
    """How a part ended, what it said going to a file: {"outcome", "seconds", "last"}, the last line of it."""
    if shutil.which(part.command[0]) is None:
        return {"outcome": f"not run: {part.command[0]} is not on the PATH", "seconds": 0.0, "last": ""}
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(part.command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            status = process.wait(SECONDS)
            outcome = "passed" if status == 0 else f"failed with status {status}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            outcome = f"stopped after {SECONDS} s"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return {
        "outcome": outcome,
        "seconds": round(time.monotonic() - start, 1),
        "last": next((line for line in reversed(lines) if line.strip()), ""),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(p.name for p in parts(Path()))}; all")
    parser.add_argument("--anew", action="store_true", help="run parts that have passed, too")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--state", type=Path, default=Path("build/gpu"), help="where results and logs lie")
    options = parser.parse_args(arguments)
    chosen = parts(options.output)
    unknown = sorted(set(options.parts) - {part.name for part in chosen})
    if unknown:
        parser.error(f"there is no part {unknown[0]}")
    chosen = [part for part in chosen if part.name in (options.parts or [part.name])]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    options.state.mkdir(parents=True, exist_ok=True)
    results, waiting = {}, [part for part in chosen if part.needs_gpu and gpu is None]
    for part in chosen:
        if part in waiting:
            continue
        file, now = options.state / f"{part.name}.json", key(gpu or "no GPU")
        result = read_json(file) if file.exists() else {}
        if options.anew or result.get("key") != now or result["outcome"] != "passed":
            print(f"{part.name}: {part.what} …", flush=True)
            result = run(part, options.state / f"{part.name}.log") | {"key": now}
            write_json(file, result)
        results[part.name] = result
        print(f"{part.name}: {result['outcome']}, {result['seconds']} s. {result['last']}", flush=True)
    if waiting:
        names = ", ".join(part.name for part in waiting)
        print(f"torch {torch.__version__} finds no GPU here, and these parts need one: {names}", file=sys.stderr)
    elif gpu is not None and not options.parts:
        report.summary(options.output, gpu, [(part, results[part.name]) for part in chosen])
    return 1 if waiting or any(result["outcome"] != "passed" for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
