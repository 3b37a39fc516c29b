"""ONNX Runtime in the place of torch: the graphs that `xlmd.onnx.graphs` wrote, with the library's loop around them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from xlmd.errors import UserError
from xlmd.method.generation import XLMDGenerationConfig, XLMDGenerationMixin
from xlmd.method.model import XLMDConfig
from xlmd.onnx.graphs import ENCODE, REFINE, VERSION, graph_file, require

if TYPE_CHECKING:  # it is optional
    import onnxruntime


class OnnxEngine(XLMDGenerationMixin):
    """A trained XLM-D in ONNX Runtime on the CPU: an `xlmd.method.decoding.Engine`, with `generate`.

    folder: what `xlmd export --format onnx` wrote. int8: the quantised graphs. threads: cores per graph; None: all.
    Raises UserError if ONNX Runtime or a part of the folder is missing, or if the graphs are of another version.
    """

    device = torch.device("cpu")

    def __init__(self, folder: str | Path, *, int8: bool = False, threads: int | None = 1) -> None:
        require("onnxruntime")
        folder = Path(folder)
        try:
            self.config = XLMDConfig.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} holds no exported model: {error}") from error
        try:
            self.generation_config = XLMDGenerationConfig.from_pretrained(folder)
        except OSError:
            self.generation_config = XLMDGenerationConfig()
        self._encode = _session(folder / graph_file(ENCODE, int8), threads)
        self._refine = _session(folder / graph_file(REFINE, int8), threads)
        self.weights_sha256 = self._encode.get_modelmeta().custom_metadata_map["xlmd_weights"]

    def eval(self) -> "OnnxEngine":
        """Itself: graphs cannot be trained."""
        return self

    def encode(self, source: torch.Tensor, source_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Engine`."""
        feed = {"source": source.numpy(), "source_lengths": source_lengths.numpy()}
        z, lengths = self._encode.run(None, feed)
        return torch.from_numpy(z), torch.from_numpy(lengths)

    def predict(
        self,
        z: torch.Tensor,
        lengths: torch.Tensor,
        alignment: torch.Tensor,
        positions: torch.Tensor,
        blank_penalty: float = 0.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Engine`."""
        if not len(positions):
            return positions, torch.zeros(0)
        feed = {
            "z": z.numpy(),
            "lengths": lengths.numpy(),
            "alignment": alignment.numpy(),
            "positions": positions.numpy(),
            "blank_penalty": np.array(blank_penalty, np.float32),
        }
        tokens, log_probability = self._refine.run(None, feed)
        return torch.from_numpy(tokens), torch.from_numpy(log_probability)


def _session(path: Path, threads: int | None) -> "onnxruntime.InferenceSession":
    import onnxruntime

    if not path.is_file():
        raise UserError(f"{path}: there is no such file; `xlmd export` writes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or 0, 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes share no other base
        raise UserError(f"ONNX Runtime cannot read {path}: {error}") from error
    version = session.get_modelmeta().custom_metadata_map.get("xlmd_version")
    if version != VERSION:
        raise UserError(f"{path}: a graph of version {version}, but {VERSION} is expected; export the model again")
    return session
