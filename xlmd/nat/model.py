"""The encoder and decoder of non-autoregressive systems: the decoder looks both ways and reads vectors.

source (B, I) `<s> x </s>`
  → encoder (B, I, d)                    `encode`, once a sentence
      → target lengths                   `length_head` (`xlmd.nat.lengths`)
vectors (B, J, d): `embed` of tokens or `<mask>`s, or a copy of the source (`xlmd.nat.inputs`)
  → decoder (B, J, d)                    `decode`, once a pass
  → · word embeddingsᵀ                   `logits`, of the positions that matter only

Encoder and decoder layers are those of transformers' Marian, as in the Transformer of the tables: what differs is what
the decoder reads, whom its positions see, and the objective. A system that needs further weights subclasses
`NATForTranslation` and makes them after its `__init__`; the name of the class is what a saved model is known by.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F
from transformers import MarianConfig, MarianModel, MarianPreTrainedModel

from xlmd.nat.lengths import LengthHead
from xlmd.output_layer import most_probable
from xlmd.tensors import attention_mask


class NATConfig(MarianConfig):
    """Marian's configuration, and what `NATSettings` adds to it. A target has 1..max_position_embeddings tokens."""

    model_type = "nat"

    mask_token_id: int = 4
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    length: Literal["absolute", "offset"] = "absolute"
    length_pooling: Literal["first", "mean"] = "first"
    length_range: int = 128
    length_detached: bool = False


class NATForTranslation(MarianPreTrainedModel):
    """Marian's encoder and decoder, the latter without causal mask, and a predictor of the target's length."""

    config_class = NATConfig
    config: NATConfig
    _supports_flash_attn = _supports_flex_attn = False  # they take no mask per query
    # The sinusoidal positions are computed, not learned.
    _keys_to_ignore_on_save = ["model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"]
    _keys_to_ignore_on_load_missing = _keys_to_ignore_on_save

    positions_in_every_layer = False  # add the position embeddings before each layer of the decoder, not the first only

    predicts_length = True

    def __init__(self, config: NATConfig) -> None:
        super().__init__(config)
        self.model = MarianModel(config)
        if config.positions == "learned":
            self._keys_to_ignore_on_save = self._keys_to_ignore_on_load_missing = []
            for stack in (self.model.encoder, self.model.decoder):
                stack.embed_positions = LearnedPositions(config.max_position_embeddings, config.d_model)
        for layer in self.model.decoder.layers:
            layer.self_attn.is_causal = False  # what its kernels go by where there is no mask
        if self.predicts_length:
            self.length_head = LengthHead(config)
        self.post_init()

    def encode(self, source: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:
        """The source's states (B, I, d). source: (B, I) int64, `<s> … </s>` padded; source_mask: (B, I) bool."""
        return self.model.encoder(input_ids=source, attention_mask=self._attention_mask(source_mask)).last_hidden_state

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Word embeddings (…, d) of tokens (…), as encoder and decoder read them."""
        return self.model.shared(tokens) * self.model.decoder.embed_scale

    def positions(self, length: int) -> torch.Tensor:
        """The decoder's embeddings (length, d) of the positions 0, 1, …"""
        return self.model.decoder.embed_positions((1, length))

    def decode(
        self, inputs: torch.Tensor, visible: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor:
        """The decoder's states (B, J, d).

        inputs: (B, J, d), without positions, which are added here. visible: bool, True at what may be seen: (B, J),
        by every position, for padding; or (B, J, J), query by key, each row with at least one True. encoded: (B, I, d)
        from `encode`; source_mask: (B, I) bool.
        """
        dropout = self.model.decoder.dropout
        positions = self.positions(inputs.shape[1])
        seen, source_seen = self._attention_mask(visible), self._attention_mask(source_mask)
        hidden = inputs
        for number, layer in enumerate(self.model.decoder.layers):
            if number == 0 or self.positions_in_every_layer:
                hidden = F.dropout(hidden + positions, dropout, self.training)
            hidden = layer(hidden, seen, encoded, encoder_attention_mask=source_seen, use_cache=False)
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores over the vocabulary, (…, V), from states (…, d)."""
        return F.linear(hidden, self.model.shared.weight)

    def most_probable(self, hidden: torch.Tensor, forbidden: Sequence[int] = ()) -> tuple[torch.Tensor, torch.Tensor]:
        """The best token by `logits` and its log-probability: see `xlmd.output_layer.most_probable`."""
        return most_probable(hidden, self.model.shared.weight, forbidden=forbidden)

    def _attention_mask(self, visible: torch.Tensor) -> torch.Tensor | None:
        return attention_mask(visible, self.config._attn_implementation, self.dtype)


class LearnedPositions(nn.Embedding):
    """Learned embeddings of the positions 0, 1, …, in the place of Marian's sinusoidal ones."""

    def forward(self, shape: Sequence[int], **_: object) -> torch.Tensor:  # type: ignore[override]
        """(length, d) from the shape (batch, length) of what is embedded."""
        return self.weight[: shape[1]]
