"""GLAT: one parallel pass, learned by glancing at the target (Qian et al., 2021; its authors' code, FLC777/GLAT).

The decoder reads the source's word embeddings, spread over the target's positions by a learned attention, and the
position embeddings before every layer. In training, a first pass predicts the target; of each sentence, as many random
tokens as a share of its errors are then shown in the place of what was copied, and a second pass learns the others.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.nat.glancing import glancing_ratio, reveal, same_dropout
from xlmd.nat.inputs import AttentionCopy
from xlmd.nat.model import NATConfig, NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.rescoring import RescoredDecoding, RescoredSettings, RescoredSystem
from xlmd.nat.settings import NATSettings
from xlmd.options import option
from xlmd.tensors import inside, where_true


@dataclass
class GLATSettings(NATSettings, RescoredSettings):
    """Architecture and objective; the defaults are those of the authors' recipe for WMT'14."""

    system: ClassVar[str] = "glat"

    scale_embedding: bool = option(False, "multiply word embeddings by √d_model")
    positions: Literal["sinusoidal", "learned"] = option("learned", "position embeddings of encoder and decoder")
    length_weight: float = option(0.05, "weight of a sentence's length loss, times the share of tokens not shown", 0)
    glancing_start: float = option(0.5, "share of the errors' number that is shown at the start of training", 0)
    glancing_end: float = option(0.3, "share at its end; it changes linearly", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("glancing_start", "glancing_end"):
            if not getattr(self, name) < 1:
                raise UserError(f"{self.system}: {name} must be below 1: something must be left to learn")


class GLATForTranslation(NATForTranslation):
    """The model, whose decoder reads a copy of the source."""

    positions_in_every_layer = True

    def __init__(self, config: NATConfig) -> None:
        super().__init__(config)
        self.copy = AttentionCopy(config.d_model)
        self.post_init()

    def copied(
        self, source: torch.Tensor, lengths: torch.Tensor, target_lengths: torch.Tensor, width: int
    ) -> torch.Tensor:
        """What the decoder reads where no token is shown, (B, J, d).

        source: (B, I) int64 with specials; lengths, target_lengths: (B,) int64; width: J, the longest target.
        """
        source_positions = self.model.encoder.embed_positions(source.shape)
        return self.copy(self.embed(source), lengths, target_lengths, source_positions, self.positions(width))


class GLAT(RescoredSystem):
    """The glancing Transformer."""

    name: ClassVar[str] = "glat"
    printed: ClassVar[str] = "GLAT"
    Settings: ClassVar[type] = GLATSettings
    Decoding: ClassVar[type] = RescoredDecoding
    Model: ClassVar[type] = GLATForTranslation
    settings: GLATSettings

    def loss(
        self, model: GLATForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The mean label-smoothed cross entropy of the tokens not shown + a weighted mean of the lengths'.

        That weight is `length_weight` times the share of tokens not shown. Figures: `nll`, the first mean without
        smoothing; `length_nll`, the second mean; `accuracy`, the share of tokens that the first pass gets right;
        `shown`, the share that the second pass is shown.
        """
        settings, target, lengths = self.settings, batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask, visible = inside(source_lengths, source.shape[1]), inside(lengths, target.shape[1])
        encoded = model.encode(source, source_mask)
        copied = model.copied(source, source_lengths, lengths, target.shape[1])

        with torch.no_grad(), same_dropout(encoded.device):
            predicted, _ = model.most_probable(model.decode(copied, visible, encoded, source_mask))
        wrong = (predicted != target) & visible
        ratio = glancing_ratio(progress, settings.glancing_start, settings.glancing_end)
        shown = reveal(wrong, lengths, ratio, generator)

        inputs = torch.where(shown.unsqueeze(2), model.embed(target), copied)
        hidden = model.decode(inputs, visible, encoded, source_mask)
        left = visible & ~shown
        asked = where_true(left)
        tokens, hidden = target.flatten()[asked], hidden.flatten(0, 1)[asked]
        words, nll = smoothed_cross_entropy(model.logits(hidden), tokens, settings.label_smoothing)
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        count = visible.sum()
        loss = words + settings.length_weight * (left.sum() / count) * length_nll
        return loss, {
            "nll": nll.detach(),
            "length_nll": length_nll.detach(),
            "accuracy": 1 - (wrong.sum() / count).double(),
            "shown": shown.sum() / count,
        }

    def decode(
        self, model: GLATForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: RescoredDecoding
    ) -> list[list[int]]:
        """One pass for each length that is tried: the candidate with the highest mean log-probability wins.

        With `rescore` it is the teacher's log-probability, in one more pass.
        """
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        visible = beam.visible
        copied = model.copied(beam.repeat(source), beam.repeat(lengths), beam.lengths, visible.shape[1])
        hidden = model.decode(copied, visible, beam.repeat(encoded), beam.repeat(source_mask))
        tokens, log_probability = model.most_probable(hidden, self.never_targets)
        return self.best(beam, tokens, log_probability.masked_fill(~visible, 0), source, lengths, decoding.rescore)
