"""Pre-training of the embedded scale's own masked language model, a small stand-in for XLM-R.

The objective is XLM's: monolingual masked language modelling and translation language modelling (a pair of sentences
side by side). The second is a departure from XLM-R, which had two terabytes of text; see docs/embedded-scale.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.data.encoded import EncodedText, encoded_paths
from xlmd.data.masked_lm import MaskedLanguageModelStream
from xlmd.data.tokenizer import load_tokenizer
from xlmd.errors import UserError
from xlmd.options import check, option
from xlmd.tensors import attention_mask, where_true
from xlmd.train.recipe import train_task
from xlmd.train.settings import TrainerSettings

_VALIDATION_BATCHES = 8


@dataclass
class MaskedLMSettings:
    """The shape of the model and of its objective."""

    layers: int = option(12, "number of layers", 1)
    d_model: int = option(768, "width", 1)
    ffn: int = option(3072, "width of the feed-forward sublayer", 1)
    heads: int = option(12, "attention heads", 1)
    dropout: float = option(0.1, "dropout rate, attention included", 0)
    max_positions: int = option(512, "longest sequence", 4)
    initializer_range: float = option(0.02, "standard deviation of the initial weights", 0)
    masked: float = option(0.15, "share of tokens to predict")
    mask_share: float = option(0.8, "share of these that become <mask>", 0)
    random_share: float = option(0.1, "share of these that become a random piece; the rest stay as they are", 0)
    translation_fraction: float = option(0.7, "share of batches that hold translation pairs", 0)
    held_out: int = option(500, "lines kept for validation", 1)

    def __post_init__(self) -> None:
        check(self)
        if self.d_model % self.heads:
            raise UserError(f"d_model {self.d_model} must be a multiple of heads {self.heads}")
        if not 0 < self.masked <= 1:
            raise UserError(f"masked = {self.masked}: must be above 0, and at most 1")


def masked_lm_loss(
    model: XLMRobertaForMaskedLM, batch: Any, progress: float, generator: torch.Generator | None
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Eq. 1: cross entropy at the masked positions, whose logits alone are computed."""
    mask = attention_mask(batch["attention_mask"], model.config._attn_implementation, model.dtype)
    hidden = model.roberta(
        batch["input_ids"], attention_mask=mask, position_ids=batch["position_ids"]
    ).last_hidden_state
    asked = where_true(batch["labels"] >= 0)
    logits = model.lm_head(hidden.flatten(0, 1)[asked])  # (masked, V)
    labels = batch["labels"].flatten()[asked]
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return torch.nn.functional.cross_entropy(logits.float(), labels), {"accuracy": accuracy}


def pretrain(
    settings: MaskedLMSettings, trainer: TrainerSettings, *, tokenizer: str, texts: dict[str, str], out: str, code: str
) -> None:
    """Pre-train a masked language model and write its run folder: model/, curves.csv, run.json.

    texts: {language: encoded text without suffix}, line-parallel in all languages. code: version of the code; a
    checkpoint of another one is not continued. Raises UserError on settings or files that do not fit.
    """
    train_task(_Pretraining(settings, trainer, tokenizer, texts), trainer, Path(out), code)


class _Pretraining:
    """A masked language model and its texts, of which the first lines are held out, as a `Task`."""

    best_by = "dev_accuracy"
    description = "masked language model"
    loss = staticmethod(masked_lm_loss)

    def __init__(
        self, settings: MaskedLMSettings, trainer: TrainerSettings, tokenizer: str, texts: dict[str, str]
    ) -> None:
        self.settings, self.trainer = settings, trainer
        self.tokenizer = load_tokenizer(tokenizer)
        self.texts = {language: EncodedText(prefix) for language, prefix in texts.items()}
        counts = {language: len(text) for language, text in self.texts.items()}
        if len(set(counts.values())) != 1:
            raise UserError(f"the pre-training texts are not line-parallel: {counts}")
        self.lines = next(iter(counts.values()))
        if self.lines <= settings.held_out:
            raise UserError(
                f"{self.lines} lines of pre-training text are too few to keep {settings.held_out} for validation"
            )
        self.recorded: Mapping[str, Any] = {"settings": asdict(settings), "tokenizer": tokenizer}
        self.inputs: list[str | Path] = [
            *(path for prefix in texts.values() for path in encoded_paths(prefix)),
            *([tokenizer] if Path(tokenizer).is_dir() else []),
        ]

    def build(self) -> XLMRobertaForMaskedLM:
        settings, tokenizer = self.settings, self.tokenizer
        return XLMRobertaForMaskedLM(
            XLMRobertaConfig(
                vocab_size=len(tokenizer),
                hidden_size=settings.d_model,
                num_hidden_layers=settings.layers,
                num_attention_heads=settings.heads,
                intermediate_size=settings.ffn,
                hidden_dropout_prob=settings.dropout,
                attention_probs_dropout_prob=settings.dropout,
                max_position_embeddings=settings.max_positions + tokenizer.pad_token_id + 1,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                initializer_range=settings.initializer_range,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )

    def stream(self, rank: int) -> MaskedLanguageModelStream:
        return self._batches(
            self.settings.held_out,
            self.lines,
            curriculum=self.trainer.curriculum,
            processes=self.trainer.processes,
            rank=rank,
        )

    def _batches(self, first: int, last: int, **options: Any) -> MaskedLanguageModelStream:
        """Batches of lines first..last−1."""
        settings = self.settings
        return MaskedLanguageModelStream(
            self.texts,
            self.tokenizer,
            max_tokens=self.trainer.max_tokens,
            seed=self.trainer.seed,
            masked=settings.masked,
            mask_share=settings.mask_share,
            random_share=settings.random_share,
            max_positions=settings.max_positions,
            translation_fraction=settings.translation_fraction,
            lines=(first, last),
            **options,
        )

    @torch.no_grad()
    def validate(self, model: XLMRobertaForMaskedLM) -> dict[str, float]:
        """Mean loss and accuracy of a few batches, always the same, of held-out lines."""
        batches = iter(self._batches(0, self.settings.held_out))
        results = [masked_lm_loss(model, next(batches).to(model.device), 0.0, None) for _ in range(_VALIDATION_BATCHES)]
        return {
            "dev_loss": sum(float(loss) for loss, _ in results) / len(results),
            "dev_accuracy": sum(float(figures["accuracy"]) for _, figures in results) / len(results),
        }

    def facts(self, model: XLMRobertaForMaskedLM, stream: MaskedLanguageModelStream) -> dict[str, Any]:
        return {}
