"""A pre-trained masked language model, frozen, as an encoder with adapters (Guo et al., 2020, "AB-Net").

source (B, I) `<s> x </s>`
  → embeddings → layers, an adapter after each (B, I, d)   `encode`, once a sentence
      → target lengths                                     `length_head`
tokens or `<mask>`s (B, J, d)                              `embed`
  → the decoder, a subclass's own (B, J, d)                `decode`, once a pass
  → the masked language model's head                       `logits`

Trained are the adapters, the length head and what a subclass adds; it makes these after `__init__`, and then calls
`post_init`. The names of the parent are kept, so that any XLM-R checkpoint loads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM
from transformers.masking_utils import create_bidirectional_mask

from xlmd.nat.lengths import LengthHead
from xlmd.nat.model import NATConfig
from xlmd.output_layer import most_probable
from xlmd.weights import load_pretrained, read_base

# What belongs to the pre-trained model.
_BASE = ("roberta.", "lm_head.")


class AdaptedConfig(XLMRobertaConfig):
    """XLM-R's configuration; the inner widths of encoder adapters and of the decoder; a new decoder's layers."""

    model_type = "adapted-xlm-r"

    mask_token_id: int = 4
    adapter: int = 2048
    ffn: int = 2048
    decoder_layers: int = 6

    @property
    def longest(self) -> int:
        """The most subwords that a sentence may have beside `<s>` and `</s>`."""
        return longest_sentence(self)


def longest_sentence(config: XLMRobertaConfig) -> int:
    """The most subwords beside `<s>` and `</s>` that a model's positions hold (510 for XLM-R)."""
    assert config.pad_token_id is not None
    return config.max_position_embeddings - config.pad_token_id - 3


class Adapter(nn.Module):
    """h + W₂ relu(W₁ LayerNorm(h)), without biases; it starts as all but the identity."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down, self.up = nn.Linear(width, inner, bias=False), nn.Linear(inner, width, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + self.up(self.down(self.norm(hidden)).relu())


class AdaptedForTranslation(XLMRobertaForMaskedLM):
    """The frozen model, its encoder adapters and the length head; `decode` is a subclass's."""

    config_class = AdaptedConfig
    config: AdaptedConfig

    def __init__(self, config: AdaptedConfig) -> None:
        super().__init__(config)
        self.encoder_adapters = nn.ModuleList(
            Adapter(config.hidden_size, config.adapter) for _ in range(config.num_hidden_layers)
        )
        self.length_head = LengthHead(NATConfig(d_model=config.hidden_size, max_position_embeddings=config.longest))

    def encode(self, source: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:
        """The source's states (B, I, d). source: (B, I) int64, `<s> … </s>` padded; source_mask: (B, I) bool."""
        hidden = self.roberta.embeddings(input_ids=source)
        mask = self._mask(hidden, source_mask)
        for layer, adapter in zip(self.roberta.encoder.layer, self.encoder_adapters, strict=True):
            hidden = adapter(layer(hidden, mask))
        return hidden

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """The bare word embeddings (…, d) of tokens (…)."""
        return self.roberta.embeddings.word_embeddings(tokens)

    def decode(
        self, inputs: torch.Tensor, visible: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor:
        """The decoder's states (B, J, d).

        inputs: (B, J, d) from `embed`; visible: (B, J) bool, False at padding; encoded, source_mask: as in `encode`.
        """
        raise NotImplementedError

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores over the vocabulary, (…, V), from states (…, d)."""
        return self.lm_head(hidden)

    def most_probable(self, hidden: torch.Tensor, forbidden: Sequence[int] = ()) -> tuple[torch.Tensor, torch.Tensor]:
        """The best token by `logits` and its log-probability: see `xlmd.output_layer.most_probable`."""
        head = self.lm_head
        states = head.layer_norm(F.gelu(head.dense(hidden)))  # as the head does before its output layer
        return most_probable(states, head.decoder.weight, head.decoder.bias, forbidden)

    def _mask(self, hidden: torch.Tensor, visible: torch.Tensor) -> torch.Tensor | None:
        """The mask that the pre-trained layers take; hidden: (B, L, d); visible: (B, L) bool."""
        # As in `xlmd.method.model`: no mask would be faster where all is visible, which a GPU is not asked.
        skip = not visible.is_cuda
        return create_bidirectional_mask(self.config, hidden, visible, allow_is_bidirectional_skip=skip)  # type: ignore[return-value]


Adapted = TypeVar("Adapted", bound=AdaptedForTranslation)


def adapt(
    model_class: type[Adapted], mlm: str | Path, *, mask_token_id: int, dropout: float | None, **fields: int
) -> Adapted:
    """A pre-trained masked language model of XLM-R's kind with fresh adapters; all that was pre-trained is frozen.

    mlm: hub name or local folder in transformers' format. dropout: overrides the MLM's own. fields: of `AdaptedConfig`.
    Raises TypeError for another field, and UserError if the model cannot be read or is of another kind.
    """
    unknown = sorted(fields.keys() - AdaptedConfig.__annotations__.keys())
    if unknown:
        raise TypeError(
            f"adapt has no keyword {', '.join(unknown)}; fields are {', '.join(AdaptedConfig.__annotations__)}"
        )
    base = read_base(mlm)
    values = base.to_dict() | {"mask_token_id": mask_token_id} | fields
    # As of `NATSettings`: a narrow model learns far slower from 0.02.
    values["initializer_range"] = 0.5 * base.hidden_size**-0.5
    if dropout is not None:
        values |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    for stale in ("model_type", "architectures", "transformers_version", "_name_or_path"):
        values.pop(stale, None)
    config = AdaptedConfig(**values)
    with torch.device("meta"):
        new = [name for name in model_class(config).state_dict() if not name.startswith(_BASE)]
    model = load_pretrained(model_class, mlm, new=new, config=config)
    for pretrained in (model.roberta, model.lm_head):
        pretrained.requires_grad_(False)
    return model
