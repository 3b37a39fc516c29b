"""What the systems on an adapted masked language model (`xlmd.nat.adapters`) have in common as systems.

They are trained as CMLM is, with what is chosen corrupted as in pre-training and a span of the source too, and decoded
by mask-predict (Guo et al., 2020; the recipe is that of their code, lemmonation/abnet).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.data.tokenizer import FIRST_PIECE
from xlmd.errors import UserError
from xlmd.nat.adapters import AdaptedForTranslation, adapt, longest_sentence
from xlmd.nat.corruption import corrupted, random_span
from xlmd.nat.lengths import LengthBeamDecoding
from xlmd.nat.mask_predict import mask_predict, uniform_mask
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.settings import load_matching
from xlmd.nat.system import never_targets
from xlmd.options import check, option
from xlmd.systems.base import System
from xlmd.tensors import inside, where_true
from xlmd.weights import read_base


@dataclass
class AdaptedSettings:
    """Architecture and objective; the defaults are those of AB-Net's recipe for WMT'14."""

    mlm: str = option("xlm-roberta-base", "pre-trained masked language model: hub name or transformers folder")
    adapter: int = option(2048, "inner width of an adapter of the encoder", 1)
    ffn: int = option(2048, "inner width of a feed-forward layer of the decoder that is not pre-trained", 1)
    dropout: float | None = option(None, "dropout rate; the MLM's own if not given")
    label_smoothing: float = option(0.1, "probability that the training target spreads over all tokens")
    length_weight: float = option(1.0, "weight of a sentence's length loss beside the loss of a chosen token", 0)
    source_span: float = option(0.1, "share of the source that a corrupted span takes in training; 0: none", 0)

    def __post_init__(self) -> None:
        check(self)
        for name in ("dropout", "label_smoothing", "source_span"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise UserError(f"{name} must be in [0, 1), not {value}")

    def fields(self) -> dict[str, int]:
        """What of `AdaptedConfig` they choose."""
        return {"adapter": self.adapter, "ffn": self.ffn}


@dataclass
class AdaptedDecoding(LengthBeamDecoding):
    """Options of mask-predict; a candidate's score is its log-probability over ((5 + J) / 6) ** length_penalty."""

    length_beam: int = option(4, "how many target lengths are tried; 1 is the most probable one", 1)
    iterations: int = option(10, "T, the number of iterations", 1)
    length_penalty: float = option(1.1, "exponent of the length that divides a candidate's log-probability", 0)


class AdaptedSystem(System):
    """A system whose model is a subclass of `AdaptedForTranslation`, named in `Model`."""

    pretrained: ClassVar[dict[str, str]] = {"mlm": "mlm"}
    Decoding: ClassVar[type] = AdaptedDecoding
    Model: ClassVar[type[AdaptedForTranslation]]
    settings: AdaptedSettings

    def build(self) -> AdaptedForTranslation:
        """The masked language model with fresh adapters and a fresh decoder (float32)."""
        model = adapt(
            self.Model,
            self.settings.mlm,
            mask_token_id=self.tokenizer.mask_token_id,
            dropout=self.settings.dropout,
            **self.settings.fields(),
        )
        if model.config.vocab_size != len(self.tokenizer):
            raise UserError(
                f"{self.settings.mlm} has {model.config.vocab_size} word embeddings,"
                f" but the tokenizer {len(self.tokenizer)} tokens"
            )
        return model

    def load(self, folder: str | Path) -> AdaptedForTranslation:
        expected: dict[str, Any] = self.settings.fields() | {"vocab_size": len(self.tokenizer)}
        return load_matching(self.Model, folder, expected, self.printed)

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """Leaves out the pairs that have more subwords than the masked language model has positions."""
        longest = longest_sentence(read_base(self.settings.mlm))
        return {"source too long": source_lengths > longest, "target too long": target_lengths > longest}

    def longest_source(self, model: AdaptedForTranslation) -> int:
        return model.config.longest

    def validation_decoding(self) -> AdaptedDecoding:
        """Four iterations on the most probable length: a fraction of the time."""
        return AdaptedDecoding(iterations=4, length_beam=1)

    def iterations_label(self, decoding: AdaptedDecoding) -> str:
        return str(decoding.iterations)

    def loss(
        self, model: AdaptedForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(Σ label-smoothed cross entropy of the chosen tokens + Σ that of the lengths) / number of chosen tokens.

        Of each target k ~ U{1..J} random tokens are chosen and corrupted, of each source one span. The second sum,
        times `length_weight`, is over the batch's sentences, and not smoothed. Figures: `nll`, the mean over chosen
        tokens without smoothing; `length_nll`, the mean over sentences.
        """
        settings, lengths = self.settings, batch.target_lengths
        mask = self.tokenizer.mask_token_id
        pieces = range(FIRST_PIECE, mask)
        bare = batch.source
        if settings.source_span:
            span = random_span(batch.source_lengths, settings.source_span, generator, bare.shape[1])
            bare = corrupted(bare, span, generator, mask=mask, pieces=pieces)
        source, source_lengths = self.with_specials(bare, batch.source_lengths)
        chosen = uniform_mask(lengths, generator, batch.target.shape[1])
        shown = corrupted(batch.target, chosen, generator, mask=mask, pieces=pieces)

        source_mask = inside(source_lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        hidden = model.decode(model.embed(shown), inside(lengths, shown.shape[1]), encoded, source_mask)
        asked = where_true(chosen)
        tokens, hidden = batch.target.flatten()[asked], hidden.flatten(0, 1)[asked]
        words, nll = smoothed_cross_entropy(model.logits(hidden), tokens, settings.label_smoothing)
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        loss = words + settings.length_weight * length_nll * len(lengths) / len(tokens)
        return loss, {"nll": nll.detach(), "length_nll": length_nll.detach()}

    def decode(
        self, model: AdaptedForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: AdaptedDecoding
    ) -> list[list[int]]:
        """Mask-predict with a length beam."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        forbidden = never_targets(self.tokenizer)
        tokens, log_probability = mask_predict(
            model, encoded, source_mask, beam, iterations=decoding.iterations, forbidden=forbidden
        )
        return beam.best(tokens, log_probability, ((5 + beam.lengths) / 6) ** decoding.length_penalty)
