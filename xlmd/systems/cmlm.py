"""CMLM: the conditional masked language model of the tables, decoded by mask-predict (Ghazvininejad et al., 2019).

The source is read as `<s> x </s>`, where `<s>` is the paper's LENGTH token; the target is bare, for its length says
where it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors import SafetensorError
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.mask_predict import CMLMConfig, CMLMForTranslation, inside, mask_predict, uniform_mask
from xlmd.options import check, option
from xlmd.systems.base import System, cut


@dataclass
class CMLMSettings:
    """Architecture and objective; the defaults are those of the CMLM paper (§4.1), Transformer-base's size."""

    encoder_layers: int = option(6, "layers of the encoder", 1)
    decoder_layers: int = option(6, "layers of the decoder", 1)
    d_model: int = option(512, "width of the layers and of the embedding", 1)
    ffn: int = option(2048, "inner width of the feed-forward layers", 1)
    heads: int = option(8, "attention heads of a layer", 1)
    dropout: float = option(0.3, "dropout rate")
    attention_dropout: float = option(0.0, "dropout rate of the attention weights")
    activation: Literal["relu", "gelu", "swish"] = option("gelu", "activation of the feed-forward layers")
    init_std: float | None = option(None, "standard deviation of the initial weights; 0.5 / √d_model if not given")
    max_positions: int = option(512, "the longest sentence in subwords, on the source side <s> and </s> included", 3)
    label_smoothing: float = option(0.1, "probability that the training target spreads over all tokens")
    length_weight: float = option(1.0, "weight of a sentence's length loss beside the loss of a masked token", 0)

    def __post_init__(self) -> None:
        check(self)
        if self.d_model % self.heads or self.d_model % 2:
            raise UserError(f"cmlm: d_model {self.d_model} must be even and a multiple of heads {self.heads}")
        for name in ("dropout", "attention_dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"cmlm: {name} must be in [0, 1), not {getattr(self, name)}")
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
        return CMLMForTranslation(
            CMLMConfig(
                **self._shape(),
                dropout=self.settings.dropout,
                attention_dropout=self.settings.attention_dropout,
                # As the Transformer's: 0.02 at Transformer-base's width, more where the model is narrow.
                init_std=self.settings.init_std or 0.5 * self.settings.d_model**-0.5,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                mask_token_id=tokenizer.mask_token_id,
                decoder_start_token_id=tokenizer.pad_token_id,
                forced_eos_token_id=None,
            )
        )

    def load(self, folder: str | Path) -> CMLMForTranslation:
        """A trained model from a transformers folder.

        Raises UserError naming the first setting (or the vocabulary) in which the folder's model differs.
        """
        found = read_json(Path(folder) / "config.json")
        if found.get("model_type") != CMLMConfig.model_type:
            raise UserError(f"{folder} holds a {found.get('model_type')} model, not a CMLM")
        for key, expected in self._shape().items():
            if found.get(key) != expected:
                raise UserError(f"{folder}: the model has {key} {found.get(key)}, the settings ask for {expected}")
        try:
            model, report = CMLMForTranslation.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"cannot read the weights of {folder}: {error}") from error
        if report["missing_keys"]:
            raise UserError(f"{folder} does not hold a whole model; missing: {sorted(report['missing_keys'])[:5]}")
        return model

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
        source, source_mask = self._with_specials(batch.source, batch.source_lengths)
        masked = uniform_mask(lengths, generator)  # (B, J)
        shown = batch.target.masked_fill(masked, self.tokenizer.mask_token_id)
        hidden, length_logits = model(source, source_mask, shown, inside(lengths))
        tokens = batch.target[masked]  # (N,): no logits for what is shown

        log_probs = model.logits(hidden[masked]).float().log_softmax(dim=-1)
        nll = F.nll_loss(log_probs, tokens)
        length_nll = F.cross_entropy(length_logits.float(), lengths - 1)
        smoothing = self.settings.label_smoothing
        words = (1 - smoothing) * nll - smoothing * log_probs.mean()
        loss = words + self.settings.length_weight * length_nll * len(lengths) / len(tokens)
        return loss, {"nll": nll.item(), "length_nll": length_nll.item()}

    def translate(
        self, model: CMLMForTranslation, sources: Sequence[Sequence[int]], decoding: CMLMDecoding
    ) -> list[list[int]]:
        """Mask-predict with a length beam. A source longer than the positions is cut, with a warning."""
        if not sources:
            return []
        model.eval()
        rows = [torch.tensor(source, dtype=torch.long) for source in cut(sources, self.settings.max_positions - 2)]
        source, source_mask = self._with_specials(
            pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
        )
        tokenizer = self.tokenizer
        targets, lengths = mask_predict(
            model,
            source.to(model.device),
            source_mask.to(model.device),
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

    def _with_specials(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`<s> x </s>` of every sentence, (B, I + 2), and the mask of what is not padding.

        source: (B, I) bare and padded; lengths: (B,) without the padding.
        """
        tokenizer = self.tokenizer
        mask = inside(lengths + 2)
        ids = F.pad(source[:, : mask.shape[1] - 2], (1, 1)).masked_fill(~mask, tokenizer.pad_token_id)
        ids[:, 0] = tokenizer.bos_token_id
        return ids.scatter(1, lengths.unsqueeze(1) + 1, tokenizer.eos_token_id), mask

    def _shape(self) -> dict[str, Any]:
        """What of the configuration a model's weights and predictions depend on."""
        settings = self.settings
        return {
            "vocab_size": len(self.tokenizer),
            "encoder_layers": settings.encoder_layers,
            "decoder_layers": settings.decoder_layers,
            "d_model": settings.d_model,
            "encoder_ffn_dim": settings.ffn,
            "decoder_ffn_dim": settings.ffn,
            "encoder_attention_heads": settings.heads,
            "decoder_attention_heads": settings.heads,
            "activation_function": settings.activation,
            "max_position_embeddings": settings.max_positions,
            "scale_embedding": True,
        }
