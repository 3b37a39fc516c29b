"""What the systems with an encoder and a decoder of their own have in common: their settings, and loading their models.

`EncoderDecoderSettings` is every such system's, the autoregressive Transformer's too; `NATSettings` adds what
non-autoregressive ones choose besides.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from transformers import PreTrainedTokenizerBase

from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.options import check, option
from xlmd.weights import Model, load_pretrained


@dataclass
class EncoderDecoderSettings:
    """Architecture and objective; the defaults are Transformer-base's (paper, §3.1)."""

    system: ClassVar[str]  # in messages

    encoder_layers: int = option(6, "layers of the encoder", 1)
    decoder_layers: int = option(6, "layers of the decoder", 1)
    d_model: int = option(512, "width of the layers and of the embedding", 2)
    ffn: int = option(2048, "inner width of the feed-forward layers", 1)
    heads: int = option(8, "attention heads of a layer", 1)
    dropout: float = option(0.1, "dropout rate")
    attention_dropout: float = option(0.0, "dropout rate of the attention weights")
    activation: Literal["relu", "gelu", "swish"] = option("relu", "activation of the feed-forward layers")
    init_std: float | None = option(None, "standard deviation of the initial weights; 0.5 / √d_model if not given")
    max_positions: int = option(512, "the longest sentence in subwords, </s> included", 2)
    label_smoothing: float = option(0.1, "probability that the training target spreads over all tokens")

    def __post_init__(self) -> None:
        check(self)
        if self.d_model % self.heads or self.d_model % 2:
            raise UserError(f"{self.system}: d_model {self.d_model} must be even and a multiple of heads {self.heads}")
        for name in ("dropout", "attention_dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{self.system}: {name} must be in [0, 1), not {getattr(self, name)}")
        if self.init_std is not None and self.init_std <= 0:
            raise UserError(f"{self.system}: init_std must be positive, not {self.init_std}")

    @property
    def layers(self) -> str:
        """The size of a model in a few words."""
        return f"{self.encoder_layers}+{self.decoder_layers} layers"

    def shape(self, vocabulary: int) -> dict[str, Any]:
        """What of a Marian-like configuration a model's weights and predictions depend on."""
        return {
            "vocab_size": vocabulary,
            "encoder_layers": self.encoder_layers,
            "decoder_layers": self.decoder_layers,
            "d_model": self.d_model,
            "encoder_ffn_dim": self.ffn,
            "decoder_ffn_dim": self.ffn,
            "encoder_attention_heads": self.heads,
            "decoder_attention_heads": self.heads,
            "activation_function": self.activation,
            "max_position_embeddings": self.max_positions,
        }

    def configuration(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """All of a Marian-like configuration."""
        return {
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            # 0.02 at Transformer-base's width, where it is customary; a narrow model learns far slower from so little.
            "init_std": self.init_std if self.init_std is not None else 0.5 * self.d_model**-0.5,
            "scale_embedding": True,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "decoder_start_token_id": tokenizer.pad_token_id,
            "forced_eos_token_id": None,
        } | self.shape(len(tokenizer))


@dataclass
class NATSettings(EncoderDecoderSettings):
    """What non-autoregressive systems choose besides; the source is read as `<s> x </s>`, the target is bare."""

    activation: Literal["relu", "gelu", "swish"] = option("gelu", "activation of the feed-forward layers")
    max_positions: int = option(512, "the longest sentence in subwords, on the source side <s> and </s> included", 3)
    scale_embedding: bool = option(True, "multiply word embeddings by √d_model")
    positions: Literal["sinusoidal", "learned"] = option("sinusoidal", "position embeddings of encoder and decoder")
    length: Literal["absolute", "offset"] = option("absolute", "predict the target's length or its difference to I")
    length_pooling: Literal["first", "mean"] = option("mean", "predict it from the state at <s> or the mean of all")
    length_range: int = option(128, "the largest difference to I that is predicted, either way, if length is offset", 1)
    length_detached: bool = option(False, "the length loss does not train the encoder")
    length_weight: float = option(0.1, "weight of a sentence's length loss", 0)

    def shape(self, vocabulary: int) -> dict[str, Any]:
        own = ("scale_embedding", "positions", "length", "length_pooling", "length_range", "length_detached")
        return super().shape(vocabulary) | {name: getattr(self, name) for name in own}


def load_matching(model_class: type[Model], folder: str | Path, expected: dict[str, Any], kind: str) -> Model:
    """A trained model from a transformers folder whose configuration has the `expected` values. kind: in messages.

    A configuration without one of these keys has the default of the model's class. Raises UserError naming the first
    setting (or the vocabulary) in which the folder's model differs.
    """
    found = read_json(Path(folder) / "config.json")
    (architecture,) = found.get("architectures") or [found.get("model_type")]
    if architecture != model_class.__name__:
        raise UserError(f"{folder} holds a {architecture} model, not a {kind} ({model_class.__name__})")
    assert model_class.config_class is not None
    defaults = model_class.config_class().to_dict()
    for key, value in expected.items():
        has = found.get(key, defaults.get(key))
        if has != value:
            raise UserError(f"{folder}: the model has {key} {has}, the settings ask for {value}")
    return load_pretrained(model_class, folder)
