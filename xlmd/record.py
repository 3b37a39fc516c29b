"""The record of a run: what it was made of, by what, on what, and when."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import xlmd
from xlmd.files import file_sha256, write_json

PACKAGES = (
    "xlmd", "torch", "transformers", "tokenizers", "accelerate", "safetensors", "sentencepiece", "ctranslate2",
    "sacremoses", "sacrebleu", "numpy", "pandas", "snakemake",
)  # fmt: skip


def environment(threads: int | None = None, gpu: str | None = None) -> dict[str, Any]:
    """Package versions (null if not installed), Python, platform, git state of the sources (null outside a checkout)
    and hardware. threads, gpu: the caller's compute threads and GPU name."""
    return {
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git": git_state(),
        "hardware": hardware(threads, gpu),
    }


def git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that holds this package or the working directory, null if there is none.

    dirty: whether any file that git does not ignore differs from the commit, null if git could not tell in time.
    """
    for folder in (Path(xlmd.__file__).parent, Path.cwd()):
        root = _git(folder, "rev-parse", "--show-toplevel")
        # A checkout of something else around an installed package says nothing about this project's sources.
        if root and (Path(root) / "xlmd" / "__init__.py").is_file():
            commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
            changes = _git(folder, "status", "--porcelain")
            return {"commit": commit, "dirty": None if changes is None else bool(changes)} if commit else None
    return None


def start_record(
    settings: dict[str, Any],
    inputs: Iterable[str | Path],
    *,
    seed: int,
    threads: int | None = None,
    gpu: str | None = None,
) -> dict[str, Any]:
    """The record of a run that begins now, for `finish` to complete.

    settings: everything that decides the result. inputs: the files it reads, hashed now; of a folder, each file in it
    that is not hidden. Raises UserError naming an input that cannot be read.
    """
    return {
        "settings": settings,
        "seed": seed,
        "command": shlex.join(sys.argv),
        "environment": environment(threads, gpu),
        "started": now(),
        "finished": None,
        "inputs": {str(path): file_sha256(path) for path in _files(inputs)},
    }


def finish(record: dict[str, Any], path: str | Path, **facts: Any) -> dict[str, Any]:
    """Complete a record with the time and further facts about the run (steps, best score) and write it to `path`."""
    record = record | facts | {"finished": now()}
    write_json(path, record)
    return record


def now() -> str:
    """The time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _files(paths: Iterable[str | Path]) -> list[Path]:
    files = []
    for path in map(Path, paths):
        # Hidden files are not content: Snakemake leaves its time stamp in a folder that it made.
        inside = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
        files += sorted(inside) if path.is_dir() else [path]
    return files


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware(threads: int | None = None, gpu: str | None = None) -> dict[str, Any]:
    """What a time was measured on: CPU model, cores usable by this process, memory in GiB, and the caller's
    compute threads and GPU name (null for none)."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "threads": threads,
        "gpu": gpu,
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
