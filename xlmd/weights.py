"""Reading weights: safetensors only, so that nothing is unpickled, and whole or not at all."""

import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, PreTrainedModel, XLMRobertaConfig

from xlmd.errors import UserError
from xlmd.files import file_sha256

Model = TypeVar("Model", bound=PreTrainedModel)


def read_base(mlm: str | Path) -> XLMRobertaConfig:
    """The configuration of a pre-trained masked language model.

    Raises UserError if it cannot be read or is of another kind than XLM-R's.
    """
    try:
        base = AutoConfig.from_pretrained(mlm)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read a pre-trained model from {mlm!s}: {error}") from error
    if base.model_type != XLMRobertaConfig.model_type:
        kind = XLMRobertaConfig.model_type
        raise UserError(f"{mlm!s} is a {base.model_type} model; {kind} is what can be built on")
    return base


def load_pretrained(
    model_class: type[Model], source: str | Path, *, new: Collection[str] = (), **options: Any
) -> Model:
    """A model with the weights of a transformers folder or of a hub's model, float32.

    new: parameters that the source does not have and that keep the values they are built with. options: further ones of
    `from_pretrained`. Raises UserError if the weights cannot be read as safetensors, or naming those that are missing
    or of another shape.
    """
    try:
        with _no_load_report():  # what it says is checked below
            loaded = model_class.from_pretrained(
                source, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **options
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"cannot read the weights of {source}: {error}") from error
    model, report = cast("tuple[Model, dict[str, Any]]", loaded)  # two, as `output_loading_info` has it
    wrong = sorted(set(report["missing_keys"]) - set(new)) + [key for key, *_ in report["mismatched_keys"]]
    if wrong:
        raise UserError(f"{source} does not hold a whole model of this kind; missing or of another shape: {wrong[:5]}")
    return model


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises UserError naming the file if it cannot be read."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the weights in {path}: {error}") from error


def weights_sha256(folder: str | Path) -> str:
    """One hash of all the weights in a transformers folder, by which what was made of them can tell whose it is.

    Raises UserError if there are none.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no weights: there is no .safetensors file")
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()


@contextmanager
def _no_load_report() -> Iterator[None]:
    """Without the table in which transformers lists, at every load, the parameters that a source does not have."""
    logger = logging.getLogger("transformers.modeling_utils")

    def passes(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)
