"""Vanilla-NAT as fairseq has it: one parallel pass, its length predicted by a softmax (fairseq's code).

The decoder reads `<mask>` at every position, or a copy of the source. It is not the model of Gu et al. (2018), which
copies the source by predicted fertilities and is `nat_fertility` here.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.nat.inputs import uniform_copy
from xlmd.nat.model import NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.rescoring import RescoredDecoding, RescoredSettings, RescoredSystem
from xlmd.nat.settings import NATSettings
from xlmd.options import option
from xlmd.tensors import inside, where_true


@dataclass
class VanillaNATSettings(NATSettings, RescoredSettings):
    """Architecture and objective; the defaults are those of fairseq's recipe for WMT'14."""

    system: ClassVar[str] = "nat"

    dropout: float = option(0.3, "dropout rate")
    activation: Literal["relu", "gelu", "swish"] = option("relu", "activation of the feed-forward layers")
    positions: Literal["sinusoidal", "learned"] = option("learned", "position embeddings of encoder and decoder")
    length: Literal["absolute", "offset"] = option("offset", "predict the target's length or its difference to I")
    inputs: Literal["mask", "copy"] = option("mask", "what the decoder reads: <mask> everywhere, or the source, evenly")


class VanillaNATForTranslation(NATForTranslation):
    """The model."""


class VanillaNAT(RescoredSystem):
    """One pass from nothing but the source and a length."""

    name: ClassVar[str] = "nat"
    printed: ClassVar[str] = "Vanilla-NAT (softmax length)"
    Settings: ClassVar[type] = VanillaNATSettings
    Decoding: ClassVar[type] = RescoredDecoding
    Model: ClassVar[type] = VanillaNATForTranslation
    settings: VanillaNATSettings

    def inputs(
        self, model: NATForTranslation, source: torch.Tensor, lengths: torch.Tensor, visible: torch.Tensor
    ) -> torch.Tensor:
        """What the decoder reads, (B, J, d).

        source: (B, I) int64 with specials; lengths: (B,) int64; visible: (B, J) bool, True within the target's length.
        """
        if self.settings.inputs == "copy":
            return uniform_copy(model.embed(source), lengths, visible.sum(dim=1), visible.shape[1])
        return model.embed(torch.full(visible.shape, self.tokenizer.mask_token_id, device=visible.device))

    def loss(
        self, model: VanillaNATForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The mean label-smoothed cross entropy of the tokens + `length_weight` times the mean of the lengths'.

        Figures: `nll`, the first mean without smoothing; `length_nll`, the second.
        """
        settings, target, lengths = self.settings, batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask, visible = inside(source_lengths, source.shape[1]), inside(lengths, target.shape[1])
        encoded = model.encode(source, source_mask)
        hidden = model.decode(self.inputs(model, source, source_lengths, visible), visible, encoded, source_mask)
        asked = where_true(visible)
        tokens, hidden = target.flatten()[asked], hidden.flatten(0, 1)[asked]
        words, nll = smoothed_cross_entropy(model.logits(hidden), tokens, settings.label_smoothing)
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        loss = words + settings.length_weight * length_nll
        return loss, {"nll": nll.detach(), "length_nll": length_nll.detach()}

    def decode(
        self, model: VanillaNATForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: RescoredDecoding
    ) -> list[list[int]]:
        """One pass for each length that is tried; see `RescoredSystem.best`."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        visible = beam.visible
        inputs = self.inputs(model, beam.repeat(source), beam.repeat(lengths), visible)
        hidden = model.decode(inputs, visible, beam.repeat(encoded), beam.repeat(source_mask))
        tokens, log_probability = model.most_probable(hidden, self.never_targets)
        return self.best(beam, tokens, log_probability.masked_fill(~visible, 0), source, lengths, decoding.rescore)
