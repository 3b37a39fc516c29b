"""AB-Net-Enc: a masked language model, frozen, with adapters as the encoder; an ordinary decoder (Guo et al., 2020)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from transformers import PreTrainedModel

from xlmd.nat.adapted import AdaptedSettings, AdaptedSystem
from xlmd.nat.adapters import AdaptedConfig, AdaptedForTranslation
from xlmd.options import option


class ABNetEncForTranslation(AdaptedForTranslation):
    """The model, whose decoder's layers are its own, between the pre-trained embeddings and the pre-trained head."""

    def __init__(self, config: AdaptedConfig) -> None:
        super().__init__(config)
        self.decoder_layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                config.hidden_size,
                config.num_attention_heads,
                config.ffn,
                config.hidden_dropout_prob,
                "gelu",
                batch_first=True,
            )
            for _ in range(config.decoder_layers)
        )
        self.post_init()

    def decode(
        self, inputs: torch.Tensor, visible: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor:
        """See `AdaptedForTranslation`."""
        hidden = self.roberta.embeddings(inputs_embeds=inputs)
        for layer in self.decoder_layers:
            hidden = layer(hidden, encoded, tgt_key_padding_mask=~visible, memory_key_padding_mask=~source_mask)
        return hidden


@dataclass
class ABNetEncSettings(AdaptedSettings):
    """See `AdaptedSettings`."""

    decoder_layers: int = option(6, "layers of the decoder", 1)

    def fields(self) -> dict[str, int]:
        return super().fields() | {"decoder_layers": self.decoder_layers}


class ABNetEnc(AdaptedSystem):
    """The network with adapters on the source's side alone."""

    name: ClassVar[str] = "abnet_enc"
    printed: ClassVar[str] = "AB-Net-Enc"
    Settings: ClassVar[type] = ABNetEncSettings
    Model: ClassVar[type] = ABNetEncForTranslation

    def size(self, model: PreTrainedModel) -> str:
        return f"{model.config.num_hidden_layers}+{model.config.decoder_layers} layers"
