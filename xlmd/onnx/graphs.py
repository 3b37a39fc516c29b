"""The two graphs of a trained XLM-D: `encode`, run once per batch, and `refine`, run once per iteration (§2.4).

encode: source (B, I) int64, source_lengths (B,) int64 → z (B, T, d) float32, lengths (B,) int64
refine: z, lengths, alignment (B, T) int64, positions (N,) int64, blank_penalty () float32
        → tokens (N,) int64, log_probability (N,) float32: the most probable at these positions of the flat alignment

The choice among the vocabulary lies inside the graph: nothing with V columns leaves it.
"""

import copy
import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from xlmd.errors import UserError
from xlmd.method.decorator import upsampled_lengths
from xlmd.method.model import XLMDForTranslation

VERSION = "1"
ENCODE, REFINE = "encode", "refine"

_OPSET = 23  # the first one with an operator for attention
_LARGEST_FILE = 1_500_000_000  # bytes; ONNX holds at most 2 GiB in one file, more lies beside it


def graph_file(name: str, int8: bool = False) -> str:
    """The name of a graph's file in an exported folder."""
    return f"{name}.int8.onnx" if int8 else f"{name}.onnx"


def require(*packages: str) -> None:
    """Raises UserError that says what to install if one of ONNX's packages, which are optional, is missing."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(f"{error}: `pip install onnx onnxruntime onnxscript`, or take --engine torch") from error


def write_graphs(model: XLMDForTranslation, folder: Path, weights_sha256: str) -> None:
    """Write both graphs, float32, optimised by ONNX Runtime for any CPU.

    weights_sha256: of the model's file of weights; the graphs carry it, so that a reader can tell whether they are of
    the same model. Raises UserError if ONNX is not installed.
    """
    require("onnx", "onnxruntime", "onnxscript")
    model = copy.deepcopy(model).cpu().float().eval()
    width = min(8, model.config.longest_source)
    lengths = torch.tensor([width, width - 1, width - 2]).clamp(min=1)
    source = torch.full((3, width), model.config.blank_token_id)
    z = torch.zeros(3, int(upsampled_lengths(lengths[:1], model.config.upsampling_ratio)), model.config.hidden_size)
    alignment = torch.full(z.shape[:2], model.config.mask_token_id)
    batch, length, count = (torch.export.Dim.DYNAMIC,) * 3
    refined = (
        z,
        upsampled_lengths(lengths, model.config.upsampling_ratio),
        alignment,
        torch.arange(5),
        torch.tensor(0.0),
    )
    with torch.no_grad():
        _write(
            _Encode(model), folder / graph_file(ENCODE), weights_sha256, (source, lengths),
            ({0: batch, 1: length}, {0: batch}), ["source", "source_lengths"], ["z", "lengths"],
        )  # fmt: skip
        _write(
            _Refine(model), folder / graph_file(REFINE), weights_sha256, refined,
            ({0: batch, 1: length}, {0: batch}, {0: batch, 1: length}, {0: count}, None),
            ["z", "lengths", "alignment", "positions", "blank_penalty"], ["tokens", "log_probability"],
        )  # fmt: skip


def quantise(folder: Path) -> None:
    """Write both graphs of a folder with the weights of their matrix products as int8; float32 ones are to be there."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    for name in (ENCODE, REFINE):
        with _quiet():
            quantize_dynamic(
                folder / graph_file(name), folder / graph_file(name, int8=True), per_channel=True,
                weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"],
                extra_options={"MatMulConstBOnly": True},
            )  # fmt: skip


class _Encode(torch.nn.Module):
    def __init__(self, model: XLMDForTranslation) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: torch.Tensor, source_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.model.encode(source, source_lengths)


class _Refine(torch.nn.Module):
    def __init__(self, model: XLMDForTranslation) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        z: torch.Tensor,
        lengths: torch.Tensor,
        alignment: torch.Tensor,
        positions: torch.Tensor,
        blank_penalty: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        refined = self.model.refine(z, lengths, alignment).flatten(0, 1)[positions]
        scores = self.model.scores(refined, blank_penalty)
        # ONNX Runtime's softmax runs on vectors, its logsumexp does not.
        return scores.argmax(dim=-1), scores.log_softmax(dim=-1).amax(dim=-1)


def _write(
    module: torch.nn.Module,
    path: Path,
    weights_sha256: str,
    example: tuple[torch.Tensor, ...],
    dynamic: tuple[dict | None, ...],
    inputs: list[str],
    outputs: list[str],
) -> None:
    import onnx
    import onnxruntime

    with _quiet():
        # The exporter would first try without strict, fail where a length depends on data, and print the graph.
        traced = torch.export.export(module, example, dynamic_shapes=dynamic, strict=True)
        program = torch.onnx.export(
            traced, dynamo=True, input_names=inputs, output_names=outputs, opset_version=_OPSET, verbose=False
        )
        assert program is not None  # the exporter that was asked for returns one
        raw, large = path.with_suffix(".raw"), _bytes(module) > _LARGEST_FILE
        program.save(raw, external_data=large)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    if large:
        key = "session.optimized_model_external_initializers_file_name"
        options.add_session_config_entry(key, f"{path.name}.data")
    onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    for leftover in (raw, Path(f"{raw}.data")):
        leftover.unlink(missing_ok=True)
    graph = onnx.load(path, load_external_data=False)
    onnx.helper.set_model_props(graph, {"xlmd_version": VERSION, "xlmd_weights": weights_sha256})
    onnx.save(graph, path)


def _bytes(module: torch.nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on their own inner workings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
