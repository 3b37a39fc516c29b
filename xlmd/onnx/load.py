"""The XLM-D of a run folder in ONNX Runtime."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from xlmd.errors import UserError
from xlmd.onnx.engine import OnnxEngine
from xlmd.onnx.graphs import quantise, write_graphs
from xlmd.systems import System
from xlmd.systems.xlmd import XLMD
from xlmd.weights import weights_sha256

EXPORTED = "onnx"  # the folder in a run's that `xlmd export` writes by default

logger = logging.getLogger(__name__)


def load(system: System, run: str | Path, device: str, *, int8: bool, threads: int | None) -> OnnxEngine:
    """The graphs that `xlmd export` wrote into the run folder, or made for the moment if none are of these weights.

    device: "auto" or "cpu". threads: cores to use; None: all. Raises UserError if the system is no XLM-D, or if ONNX is
    not installed.
    """
    if not isinstance(system, XLMD):
        raise UserError(f"ONNX Runtime runs XLM-D only, and {run} is a {system.name}")
    if device not in ("auto", "cpu"):
        raise UserError(f"ONNX Runtime runs on the CPU here, not on device {device!r}")
    return exported(run, int8=int8, threads=threads) or _made_now(system, Path(run) / "model", int8, threads)


def exported(run: str | Path, *, int8: bool = False, threads: int | None = 1) -> OnnxEngine | None:
    """The graphs in the run folder, if there are any that can be used and are of the run's weights."""
    folder = Path(run) / EXPORTED
    if not folder.is_dir():
        return None
    try:
        engine = OnnxEngine(folder, int8=int8, threads=threads)
    except UserError as error:
        logger.warning("%s is not used: %s", folder, error)
        return None
    if engine.weights_sha256 != weights_sha256(Path(run) / "model"):
        logger.warning("%s is not used: the run was trained anew since it was exported", folder)
        return None
    return engine


def write_engine(system: XLMD, model_folder: Path, folder: Path, *, int8: bool) -> None:
    """Write into `folder` what `OnnxEngine` reads of a trained model, with the quantised graphs too if int8."""
    model = system.load(model_folder)
    model.config.save_pretrained(folder)
    write_graphs(model, folder, weights_sha256(model_folder))
    if int8:
        quantise(folder)


def _made_now(system: XLMD, model_folder: Path, int8: bool, threads: int | None) -> OnnxEngine:
    logger.info("making ONNX graphs of %s; `xlmd export` keeps them", model_folder)
    with TemporaryDirectory() as folder:
        write_engine(system, model_folder, Path(folder), int8=int8)
        return OnnxEngine(folder, int8=int8, threads=threads)
