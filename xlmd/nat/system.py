"""What non-autoregressive systems with an encoder and a decoder of their own have in common as systems."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xlmd.nat.model import NATForTranslation
from xlmd.nat.settings import BidirectionalSettings, load_matching
from xlmd.systems.base import System


class NATSystem(System):
    """A system whose model is a `NATForTranslation`, or a subclass of it named in `Model`."""

    Model: ClassVar[type[NATForTranslation]]
    settings: BidirectionalSettings

    def build(self) -> NATForTranslation:
        """A fresh model with random weights (float32)."""
        tokenizer = self.tokenizer
        assert self.Model.config_class is not None
        configuration = self.settings.configuration(tokenizer)
        return self.Model(self.Model.config_class(**configuration, mask_token_id=tokenizer.mask_token_id))

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
        return never_targets(self.tokenizer)


def never_targets(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that no training target holds, never predicted."""
    return [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id]


def merge_repeats(tokens: Iterable[int]) -> list[int]:
    """The tokens with one of each run of equal neighbours."""
    return [token for token, _ in groupby(tokens)]
