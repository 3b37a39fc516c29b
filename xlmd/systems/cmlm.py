"""CMLM: the conditional masked language model of the tables, decoded by mask-predict (Ghazvininejad et al., 2019).

The source is read as `<s> x </s>`, where `<s>` is the paper's LENGTH token; the target is bare, for its length says
where it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.nat.encoder_decoder import EncoderDecoderSettings, load_matching
from xlmd.nat.mask_predict import CMLMConfig, CMLMForTranslation, mask_predict, uniform_mask
from xlmd.options import check, option
from xlmd.systems.base import System, cut
from xlmd.tensors import inside


@dataclass
class CMLMSettings(EncoderDecoderSettings):
    """Architecture and objective; the defaults are those of the CMLM paper (§4.1), Transformer-base's size."""

    system: ClassVar[str] = "cmlm"

    dropout: float = option(0.3, "dropout rate")
    activation: Literal["relu", "gelu", "swish"] = option("gelu", "activation of the feed-forward layers")
    max_positions: int = option(512, "the longest sentence in subwords, on the source side <s> and </s> included", 3)
    length_weight: float = option(1.0, "weight of a sentence's length loss beside the loss of a masked token", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_std is not None and self.init_std <= 0:
            raise UserError(f"cmlm: init_std must be positive, not {self.init_std}")


@dataclass
class CMLMDecoding:
    """Options of mask-predict (§3.2 and §3.3 of the CMLM paper)."""

    iterations: int = option(10, "T, the number of iterations", 1)
    length_beam: int = option(5, "how many target lengths are tried; 1 is the most probable one", 1)

    def __post_init__(self) -> None:
        check(self)


class CMLM(System):
    """The conditional masked language model."""

    name: ClassVar[str] = "cmlm"
    Settings: ClassVar[type] = CMLMSettings
    Decoding: ClassVar[type] = CMLMDecoding
    settings: CMLMSettings

    def build(self) -> CMLMForTranslation:
        """A fresh model with random weights (float32)."""
        tokenizer = self.tokenizer
        config = CMLMConfig(**self.settings.configuration(tokenizer), mask_token_id=tokenizer.mask_token_id)
        return CMLMForTranslation(config)

    def load(self, folder: str | Path) -> CMLMForTranslation:
        """A trained model from a transformers folder.

        Raises UserError naming the first setting (or the vocabulary) in which the folder's model differs.
        """
        expected = self.settings.shape(len(self.tokenizer)) | {"scale_embedding": True}
        return load_matching(CMLMForTranslation, folder, expected, "CMLM")

    def validation_decoding(self) -> CMLMDecoding:
        """Four iterations on the most probable length: a fraction of the time."""
        return CMLMDecoding(iterations=4, length_beam=1)

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """Leaves out the pairs that have more subwords, on the source side with specials, than there are positions."""
        return {
            "source too long": source_lengths + 2 > self.settings.max_positions,
            "target too long": target_lengths > self.settings.max_positions,
        }

    def loss(
        self, model: CMLMForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """(Σ label-smoothed cross entropy of the masked tokens + Σ that of the lengths) / number of masked tokens.

        The first sum is over the batch's masked tokens, the second, times `length_weight`, over its sentences; lengths
        are not smoothed. Figures: `nll`, the mean over masked tokens without smoothing; `length_nll`, the mean over
        sentences.
        """
        lengths = batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        masked = uniform_mask(lengths, generator)  # (B, J)
        shown = batch.target.masked_fill(masked, self.tokenizer.mask_token_id)
        hidden, length_logits = model(source, inside(source_lengths), shown, inside(lengths))
        tokens = batch.target[masked]  # (N,): no logits for what is shown

        log_probs = model.logits(hidden[masked]).float().log_softmax(dim=-1)
        nll = F.nll_loss(log_probs, tokens)
        length_nll = F.cross_entropy(length_logits.float(), lengths - 1)
        smoothing = self.settings.label_smoothing
        words = (1 - smoothing) * nll - smoothing * log_probs.mean()
        loss = words + self.settings.length_weight * length_nll * len(lengths) / len(tokens)
        return loss, {"nll": nll.item(), "length_nll": length_nll.item()}

    def longest_source(self, model: CMLMForTranslation) -> int:
        return self.settings.max_positions - 2

    def translate(
        self, model: CMLMForTranslation, sources: Sequence[Sequence[int]], decoding: CMLMDecoding
    ) -> list[list[int]]:
        """Mask-predict with a length beam. A source longer than the positions is cut, with a warning."""
        if not sources:
            return []
        model.eval()
        rows = [torch.tensor(source, dtype=torch.long) for source in cut(sources, self.longest_source(model))]
        source, lengths = self.with_specials(
            pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
        )
        tokenizer = self.tokenizer
        targets, lengths = mask_predict(
            model,
            source.to(model.device),
            inside(lengths).to(model.device),
            iterations=decoding.iterations,
            length_beam=decoding.length_beam,
            # No training target holds them.
            forbidden=[
                tokenizer.bos_token_id,
                tokenizer.eos_token_id,
                tokenizer.pad_token_id,
                tokenizer.mask_token_id,
            ],
        )
        return [row[:length] for row, length in zip(targets.tolist(), lengths.tolist(), strict=True)]
