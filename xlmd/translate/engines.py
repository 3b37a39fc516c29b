"""The programs that run a trained model: torch, and for an XLM-D on a CPU ONNX Runtime, which gives the same tokens.

ONNX Runtime's module is found by its name, as a system is: what is decoded in torch does not depend on it.
"""

import importlib
from pathlib import Path
from typing import Any

from xlmd.devices import pick_device
from xlmd.errors import UserError
from xlmd.systems import System
from xlmd.translate.load import load_run, load_system

ENGINES = ("torch", "onnx", "onnx_int8")
RUNS_IN_ONNX = "xlmd"  # the system

_ONNX = "xlmd.onnx.load"


def load_engine(
    run: str | Path, tokenizer: str | Path, device: str, engine: str = "torch", threads: int | None = 1
) -> tuple[System, Any]:
    """The system of a run and what runs its model.

    engine: of `ENGINES`. threads: of ONNX Runtime; None: all cores. Raises UserError if the engine does not run the
    system or not on the device, or is not installed.
    """
    if engine not in ENGINES:
        raise UserError(f"engine = {engine!r}: expected one of {', '.join(ENGINES)}")
    if engine == "torch":
        return load_run(run, tokenizer, pick_device(device))
    system, onnx = load_system(run, tokenizer), importlib.import_module(_ONNX)
    return system, onnx.load(system, run, device, int8=engine == "onnx_int8", threads=threads)


def best_engine(run: str | Path, device: str) -> str:
    """ONNX Runtime where the computation is the CPU's and the run folder has graphs of its weights, else torch."""
    on_cpu = pick_device(device).type == "cpu"
    return "onnx" if on_cpu and importlib.import_module(_ONNX).exported(run) else "torch"
