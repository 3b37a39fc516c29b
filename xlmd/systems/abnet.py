"""AB-Net: one masked language model as encoder and decoder, frozen, with adapters (Guo et al., 2020).

As both sides start from the same multilingual model and neither is trained, they share its weights.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from xlmd.nat.adapted import AdaptedSettings, AdaptedSystem
from xlmd.nat.adapters import AdaptedConfig, AdaptedForTranslation


class DecoderAdapter(nn.Module):
    """Attention to the source and a feed-forward layer, each with a residual and then a LayerNorm."""

    def __init__(self, config: AdaptedConfig) -> None:
        super().__init__()
        width, self.dropout = config.hidden_size, config.hidden_dropout_prob
        self.attention = nn.MultiheadAttention(
            width, config.num_attention_heads, config.attention_probs_dropout_prob, batch_first=True
        )
        self.inner, self.outer = nn.Linear(width, config.ffn), nn.Linear(config.ffn, width)
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, hidden: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:
        """(B, J, d) from hidden (B, J, d), encoded (B, I, d) and source_mask (B, I) bool."""
        attended, _ = self.attention(hidden, encoded, encoded, key_padding_mask=~source_mask, need_weights=False)
        hidden = self.attention_norm(hidden + F.dropout(attended, self.dropout, self.training))
        inner = self.outer(self.inner(hidden).relu())
        return self.norm(hidden + F.dropout(inner, self.dropout, self.training))


class ABNetForTranslation(AdaptedForTranslation):
    """The model, whose decoder is the pre-trained layers again, an adapter with attention to the source after each."""

    def __init__(self, config: AdaptedConfig) -> None:
        super().__init__(config)
        self.decoder_adapters = nn.ModuleList(DecoderAdapter(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def decode(
        self, inputs: torch.Tensor, visible: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor:
        """See `AdaptedForTranslation`. The target stands between `<s>` and `</s>`, as in pre-training."""
        lengths = visible.sum(dim=1, keepdim=True)  # (B, 1)
        edges = torch.tensor([self.config.bos_token_id, self.config.eos_token_id])
        first, last = self.embed(edges.to(self.device, non_blocking=True))
        places = torch.arange(-1, inputs.shape[1] + 1, device=self.device)
        inputs = F.pad(inputs, (0, 0, 1, 1))
        inputs = torch.where((places == -1).unsqueeze(1), first, inputs)
        inputs = torch.where((places == lengths).unsqueeze(2), last, inputs)
        hidden = self.roberta.embeddings(inputs_embeds=inputs)
        mask = self._mask(hidden, places <= lengths)
        for layer, adapter in zip(self.roberta.encoder.layer, self.decoder_adapters, strict=True):
            hidden = adapter(layer(hidden, mask), encoded, source_mask)
        return hidden[:, 1:-1]


@dataclass
class ABNetSettings(AdaptedSettings):
    """See `AdaptedSettings`."""


class ABNet(AdaptedSystem):
    """The network of adapters on both sides."""

    name: ClassVar[str] = "abnet"
    printed: ClassVar[str] = "AB-Net"
    Settings: ClassVar[type] = ABNetSettings
    Model: ClassVar[type] = ABNetForTranslation

    def size(self, model: PreTrainedModel) -> str:
        return f"{model.config.num_hidden_layers}+{model.config.num_hidden_layers} layers"
