"""Pre-training of the embedded scale's own masked language model, a small stand-in for XLM-R.

The objective is XLM's: monolingual masked language modelling and translation language modelling (a pair of sentences
side by side). The second is a departure from XLM-R, which had two terabytes of text; see docs/embedded-scale.md.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.data.encoded import EncodedText, encoded_paths
from xlmd.data.masked_lm import MaskedLanguageModelStream
from xlmd.data.tokenizer import load_tokenizer
from xlmd.errors import UserError
from xlmd.options import option
from xlmd.record import finish, start_record
from xlmd.train.loop import TrainerSettings, fit, gpu_name, make_accelerator


@dataclass
class MaskedLMSettings:
    """The shape of the model and of its objective."""

    layers: int = option(12, "number of layers", 1)
    d_model: int = option(768, "width")
    ffn: int = option(3072, "width of the feed-forward sublayer")
    heads: int = option(12, "attention heads")
    dropout: float = option(0.1, "dropout rate, attention included")
    max_positions: int = option(512, "longest sequence")
    initializer_range: float = option(0.02, "standard deviation of the initial weights")
    masked: float = option(0.15, "share of tokens to predict")
    mask_share: float = option(0.8, "share of these that become <mask>")
    random_share: float = option(0.1, "share of these that become a random piece; the rest stay as they are")
    translation_fraction: float = option(0.7, "share of batches that hold translation pairs")
    held_out: int = option(500, "lines kept for validation", 1)


def masked_lm_loss(
    model: torch.nn.Module, batch: Any, progress: float, generator: torch.Generator
) -> tuple[torch.Tensor, dict[str, float]]:
    """Eq. 1: cross entropy at the masked positions, whose logits alone are computed."""
    hidden = model.roberta(
        batch["input_ids"], attention_mask=batch["attention_mask"], position_ids=batch["position_ids"]
    ).last_hidden_state
    masked = batch["labels"] >= 0
    logits = model.lm_head(hidden[masked])  # (masked, V)
    labels = batch["labels"][masked]
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return torch.nn.functional.cross_entropy(logits.float(), labels), {"accuracy": float(accuracy)}


def pretrain(
    settings: MaskedLMSettings, trainer: TrainerSettings, *, tokenizer: str, texts: dict[str, str], out: str, code: str
) -> None:
    """Pre-train a masked language model and write its run folder: model/, curves.csv, run.json.

    texts: {language: encoded text without suffix}, line-parallel in all languages. code: version of the code; a
    checkpoint of another one is not continued.
    """
    folder = Path(out)
    tok = load_tokenizer(tokenizer)
    encoded = {language: EncodedText(prefix) for language, prefix in texts.items()}
    counts = {language: len(text) for language, text in encoded.items()}
    if len(set(counts.values())) != 1:
        raise UserError(f"the pre-training texts are not line-parallel: {counts}")
    lines = next(iter(counts.values()))
    if lines <= settings.held_out:
        raise UserError(f"{lines} lines of pre-training text are too few to keep {settings.held_out} for validation")
    accelerator = make_accelerator(trainer)
    record = start_record(
        {"settings": asdict(settings), "trainer": asdict(trainer), "tokenizer": tokenizer},
        [
            *(path for prefix in texts.values() for path in encoded_paths(prefix)),
            *([tokenizer] if Path(tokenizer).is_dir() else []),
        ],
        seed=trainer.seed,
        threads=trainer.threads,
        gpu=gpu_name(accelerator),
    )
    model = XLMRobertaForMaskedLM(
        XLMRobertaConfig(
            vocab_size=len(tok),
            hidden_size=settings.d_model,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.ffn,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.dropout,
            max_position_embeddings=settings.max_positions + tok.pad_token_id + 1,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            initializer_range=settings.initializer_range,
            pad_token_id=tok.pad_token_id,
            bos_token_id=tok.bos_token_id,
            eos_token_id=tok.eos_token_id,
        )
    )

    def stream(first: int, last: int, **options: Any) -> MaskedLanguageModelStream:
        return MaskedLanguageModelStream(
            encoded,
            tok,
            max_tokens=trainer.max_tokens,
            seed=trainer.seed,
            masked=settings.masked,
            mask_share=settings.mask_share,
            random_share=settings.random_share,
            max_positions=settings.max_positions,
            translation_fraction=settings.translation_fraction,
            lines=(first, last),
            **options,
        )

    @torch.no_grad()
    def validate(model: torch.nn.Module) -> dict[str, float]:
        batches = iter(stream(0, settings.held_out))
        results = [masked_lm_loss(model, next(batches).to(accelerator.device), 0.0, None) for _ in range(8)]
        return {
            "dev_loss": sum(float(loss) for loss, _ in results) / len(results),
            "dev_accuracy": sum(figures["accuracy"] for _, figures in results) / len(results),
        }

    fit(
        model,
        masked_lm_loss,
        stream(
            settings.held_out,
            lines,
            curriculum=trainer.curriculum,
            processes=trainer.processes,
            rank=accelerator.process_index,
        ),
        trainer,
        folder,
        accelerator=accelerator,
        validate=validate,
        best_by="dev_accuracy",
        identity={"settings": asdict(settings), "inputs": record["inputs"], "code": code},
        description="masked language model",
        finish=lambda result: finish(record, folder / "run.json", result=result),
    )
