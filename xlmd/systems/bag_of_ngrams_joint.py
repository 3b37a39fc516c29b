"""Bag-of-ngrams, joint: Vanilla-NAT that also learns to write the reference's n-grams, wherever they stand.

(Shao et al., 2020, "BoN-Joint"; its authors' code, ictnlp/BoN-NAT.) Beside the cross entropy the loss has the
difference between the bag of n-grams that the model expects to write and the reference's.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.nat.ngrams import ngram_difference
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.rescoring import RescoredDecoding
from xlmd.nat.system import merge_repeats
from xlmd.options import option
from xlmd.systems.nat import VanillaNAT, VanillaNATForTranslation, VanillaNATSettings
from xlmd.tensors import inside, where_true


@dataclass
class BagOfNgramsJointSettings(VanillaNATSettings):
    """Architecture and objective; the defaults are those of the authors' recipe for WMT'14."""

    system: ClassVar[str] = "bag_of_ngrams_joint"

    ffn: int = option(512, "inner width of the feed-forward layers", 1)
    dropout: float = option(0.1, "dropout rate")
    positions: Literal["sinusoidal", "learned"] = option("sinusoidal", "position embeddings of encoder and decoder")
    inputs: Literal["mask", "copy"] = option("copy", "what the decoder reads: <mask> everywhere, or the source, evenly")
    length_detached: bool = option(True, "the length loss does not train the encoder")
    label_smoothing: float = option(0.0, "probability that the training target spreads over all tokens")
    n: int = option(2, "tokens per n-gram", 1)
    cross_entropy_weight: float = option(0.1, "α, weight of the cross entropy; that of the bags is 1 − α", 0)
    early_weight: float = option(0.3, "α at the start of training", 0)
    early_until: float = option(0.12, "share of training at which the start ends", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cross_entropy_weight", "early_weight"):
            if not getattr(self, name) <= 1:
                raise UserError(f"{self.system}: {name} must be in [0, 1], not {getattr(self, name)}")

    def weight(self, progress: float) -> float:
        """α, when this share of training is done."""
        return self.early_weight if progress < self.early_until else self.cross_entropy_weight


@dataclass
class BagOfNgramsDecoding(RescoredDecoding):
    """Options of decoding in one pass."""

    merge_repeats: bool = option(True, "of equal neighbours in a translation one is left")


class BagOfNgramsJoint(VanillaNAT):
    """Vanilla-NAT, trained with cross entropy and bags of n-grams together."""

    name: ClassVar[str] = "bag_of_ngrams_joint"
    printed: ClassVar[str] = "Bag-of-ngrams, joint"
    Settings: ClassVar[type] = BagOfNgramsJointSettings
    Decoding: ClassVar[type] = BagOfNgramsDecoding
    settings: BagOfNgramsJointSettings

    def loss(
        self, model: VanillaNATForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """α · the tokens' mean cross entropy + (1 − α) · the bags' mean difference + the weighted mean of the lengths'.

        Figures: `nll`, the first mean without smoothing; `bag`, the second, of sentences; `length_nll`, the third.
        """
        settings, target, lengths = self.settings, batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask, visible = inside(source_lengths, source.shape[1]), inside(lengths, target.shape[1])
        encoded = model.encode(source, source_mask)
        hidden = model.decode(self.inputs(model, source, source_lengths, visible), visible, encoded, source_mask)
        asked = where_true(visible)
        logits = model.logits(hidden.flatten(0, 1)[asked])
        words, nll = smoothed_cross_entropy(logits, target.flatten()[asked], settings.label_smoothing)
        bag = ngram_difference(logits, asked, target, lengths, settings.n)
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        weight = settings.weight(progress)
        loss = weight * words + (1 - weight) * bag + settings.length_weight * length_nll
        return loss, {"nll": nll.detach(), "bag": bag.detach(), "length_nll": length_nll.detach()}

    def decode(
        self, model: VanillaNATForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: Any
    ) -> list[list[int]]:
        """As Vanilla-NAT, but for repeated tokens; `decoding` is a `BagOfNgramsDecoding`."""
        translations = super().decode(model, source, lengths, decoding)
        return [merge_repeats(row) for row in translations] if decoding.merge_repeats else translations
