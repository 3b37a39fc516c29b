"""What non-autoregressive systems with an encoder and a decoder of their own have in common as systems."""

from pathlib import Path
from typing import ClassVar

import torch
from transformers import PreTrainedModel

from xlmd.nat.model import NATConfig, NATForTranslation
from xlmd.nat.settings import NATSettings, load_matching
from xlmd.systems.base import System


class NATSystem(System):
    """A system whose model is a `NATForTranslation`, or a subclass of it named in `Model`."""

    Model: ClassVar[type[NATForTranslation]]
    settings: NATSettings

    def build(self) -> NATForTranslation:
        """A fresh model with random weights (float32)."""
        tokenizer = self.tokenizer
        config = NATConfig(**self.settings.configuration(tokenizer), mask_token_id=tokenizer.mask_token_id)
        return self.Model(config)

    def load(self, folder: str | Path) -> NATForTranslation:
        """A trained model from a transformers folder.

        Raises UserError naming the first setting (or the vocabulary) in which the folder's model differs.
        """
        return load_matching(self.Model, folder, self.settings.shape(len(self.tokenizer)), self.printed)

    def size(self, model: PreTrainedModel) -> str:
        return self.settings.layers

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """Leaves out the pairs that have more subwords, on the source side with specials, than there are positions."""
        return {
            "source too long": source_lengths + 2 > self.settings.max_positions,
            "target too long": target_lengths > self.settings.max_positions,
        }

    def longest_source(self, model: PreTrainedModel) -> int:
        return self.settings.max_positions - 2

    @property
    def never_targets(self) -> list[int]:
        """The tokens that no training target holds, never predicted."""
        tokenizer = self.tokenizer
        return [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id]
