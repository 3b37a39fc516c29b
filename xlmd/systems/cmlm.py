"""CMLM: the conditional masked language model of the tables, decoded by mask-predict (Ghazvininejad et al., 2019).

The source is read as `<s> x </s>`, where `<s>` is the paper's LENGTH token; the target is bare, for its length says
where it ends.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.nat.lengths import LengthBeamDecoding
from xlmd.nat.mask_predict import mask_predict, uniform_mask
from xlmd.nat.model import NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.settings import NATSettings
from xlmd.nat.system import NATSystem
from xlmd.options import option
from xlmd.tensors import inside, where_true


@dataclass
class CMLMSettings(NATSettings):
    """Architecture and objective; the defaults are those of the CMLM paper (§4.1), Transformer-base's size."""

    system: ClassVar[str] = "cmlm"

    dropout: float = option(0.3, "dropout rate")
    scale_embedding: bool = option(False, "multiply word embeddings by √d_model")
    length_pooling: Literal["first", "mean"] = option("first", "predict it from the state at <s> or the mean of all")
    length_weight: float = option(1.0, "weight of a sentence's length loss beside the loss of a masked token", 0)


@dataclass
class CMLMDecoding(LengthBeamDecoding):
    """Options of mask-predict (§3.2 and §3.3 of the CMLM paper)."""

    length_beam: int = option(5, "how many target lengths are tried; 1 is the most probable one", 1)
    iterations: int = option(10, "T, the number of iterations", 1)


class CMLMForTranslation(NATForTranslation):
    """The model, whose decoder reads tokens and `<mask>`s."""


class CMLM(NATSystem):
    """The conditional masked language model."""

    name: ClassVar[str] = "cmlm"
    printed: ClassVar[str] = "CMLM"
    Settings: ClassVar[type] = CMLMSettings
    Decoding: ClassVar[type] = CMLMDecoding
    Model: ClassVar[type] = CMLMForTranslation
    settings: CMLMSettings

    def validation_decoding(self) -> CMLMDecoding:
        """Four iterations on the most probable length: a fraction of the time."""
        return CMLMDecoding(iterations=4, length_beam=1)

    def iterations_label(self, decoding: CMLMDecoding) -> str:
        return str(decoding.iterations)

    def loss(
        self, model: CMLMForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(Σ label-smoothed cross entropy of the masked tokens + Σ that of the lengths) / number of masked tokens.

        The first sum is over the batch's masked tokens, the second, times `length_weight`, over its sentences; lengths
        are not smoothed. Figures: `nll`, the mean over masked tokens without smoothing; `length_nll`, the mean over
        sentences.
        """
        lengths = batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask = inside(source_lengths, source.shape[1])
        masked = uniform_mask(lengths, generator, batch.target.shape[1])  # (B, J)
        shown = batch.target.masked_fill(masked, self.tokenizer.mask_token_id)
        encoded = model.encode(source, source_mask)
        hidden = model.decode(model.embed(shown), inside(lengths, shown.shape[1]), encoded, source_mask)
        length_logits = model.length_head(encoded, source_mask)
        asked = where_true(masked)  # (N,): no logits for what is shown
        tokens, hidden = batch.target.flatten()[asked], hidden.flatten(0, 1)[asked]

        words, nll = smoothed_cross_entropy(model.logits(hidden), tokens, self.settings.label_smoothing)
        length_nll = model.length_head.loss(length_logits, lengths, batch.source_lengths)
        loss = words + self.settings.length_weight * length_nll * len(lengths) / len(tokens)
        return loss, {"nll": nll.detach(), "length_nll": length_nll.detach()}

    def decode(
        self, model: CMLMForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: CMLMDecoding
    ) -> list[list[int]]:
        """Mask-predict with a length beam: the candidate with the highest mean log-probability wins."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        tokens, log_probability = mask_predict(
            model, encoded, source_mask, beam, iterations=decoding.iterations, forbidden=self.never_targets
        )
        return beam.best(tokens, log_probability)
