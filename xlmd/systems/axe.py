"""AXE: CMLM's model in a single pass, trained with aligned cross entropy (Ghazvininejad et al., 2020).

A prediction may be a blank, which is dropped, so the loss aligns tokens with predictions wherever they stand. `<s>`,
which no target holds, serves as the blank.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.nat.aligned_cross_entropy import aligned_cross_entropy
from xlmd.nat.lengths import LengthBeam, LengthBeamDecoding
from xlmd.nat.mask_predict import uniform_mask
from xlmd.nat.system import NATSystem
from xlmd.options import option
from xlmd.systems.cmlm import CMLMForTranslation, CMLMSettings
from xlmd.tensors import inside, where_true

_FACTORS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)  # of which `choose` takes the best, of equal ones the first


@dataclass
class AXESettings(CMLMSettings):
    """Architecture and objective; but for the loss the defaults are CMLM's."""

    system: ClassVar[str] = "axe"

    skipped_token: float = option(2.0, "δ: what skipping a target token costs, in terms of aligning it", 1)


@dataclass
class AXEDecoding(LengthBeamDecoding):
    """Options of decoding."""

    length_beam: int = option(5, "how many target lengths are tried; 1 is the most probable one", 1)
    length_factor: float = option(1.05, "predictions per predicted token: room for blanks", 1)


class AXE(NATSystem):
    """The conditional masked language model with aligned cross entropy."""

    name: ClassVar[str] = "axe"
    printed: ClassVar[str] = "AXE"
    Settings: ClassVar[type] = AXESettings
    Decoding: ClassVar[type] = AXEDecoding
    Model: ClassVar[type] = CMLMForTranslation
    settings: AXESettings

    @property
    def blank(self) -> int:
        return self.tokenizer.bos_token_id

    def iterations_label(self, decoding: AXEDecoding) -> str:
        return "1"

    def loss(
        self, model: CMLMForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(Σ aligned cross entropy of the masked tokens + Σ cross entropy of the lengths) / number of masked tokens.

        Tokens are masked as CMLM's are; those of a sentence are aligned with the predictions at its masks. The first
        sum is smoothed; the second, times `length_weight`, is over sentences, and is not. Figures: `nll`, the first sum
        without smoothing, per masked token; `length_nll`, the mean over sentences; `skipped`, the share of tokens that
        the alignments skip.
        """
        settings, target, lengths = self.settings, batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask = inside(source_lengths, source.shape[1])
        masked = uniform_mask(lengths, generator, target.shape[1])  # (B, J)
        shown = target.masked_fill(masked, self.tokenizer.mask_token_id)
        encoded = model.encode(source, source_mask)
        hidden = model.decode(model.embed(shown), inside(lengths, shown.shape[1]), encoded, source_mask)
        asked = where_true(masked)  # (N,)
        words, nll, skipped = aligned_cross_entropy(
            model.logits(hidden.flatten(0, 1)[asked]),
            asked,
            masked,
            target,
            blank=self.blank,
            skipped_token=settings.skipped_token,
            smoothing=settings.label_smoothing,
        )
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        loss = words + settings.length_weight * length_nll * len(lengths) / len(asked)
        return loss, {"nll": nll.detach(), "length_nll": length_nll.detach(), "skipped": skipped}

    def choose(self, model: CMLMForTranslation, bleu: Callable[[AXEDecoding], float]) -> dict[str, float]:
        """length_factor: the best of a few, as in the AXE paper."""
        return {"length_factor": max(_FACTORS, key=lambda factor: bleu(AXEDecoding(length_factor=factor)))}

    def decode(
        self, model: CMLMForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: AXEDecoding
    ) -> list[list[int]]:
        """One pass for each length that is tried; of the candidate with the highest mean log-probability, no blanks."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        predictions = (beam.lengths * decoding.length_factor).round().long().clamp(max=model.length_head.longest)
        beam = LengthBeam(predictions, beam.size)
        visible = beam.visible
        shown = torch.full(visible.shape, self.tokenizer.mask_token_id, device=source.device)
        hidden = model.decode(model.embed(shown), visible, beam.repeat(encoded), beam.repeat(source_mask))
        forbidden = [token for token in self.never_targets if token != self.blank]
        tokens, log_probability = model.most_probable(hidden, forbidden)
        best = beam.best(tokens, log_probability.masked_fill(~visible, 0))
        return [[token for token in row if token != self.blank] for row in best]
