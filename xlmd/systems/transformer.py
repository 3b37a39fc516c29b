"""Transformer: the autoregressive baseline of the tables and the teacher of distillation (Vaswani et al., 2017).

Transformer-base's shape at any size, as transformers' MarianMTModel: post-norm, sinusoidal positions, one embedding
shared by source, target and output. The source is read as `x </s>`; the decoder starts from `<pad>` and ends in `</s>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch.nn import functional as F
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, MarianConfig, MarianMTModel

from xlmd.data.batching import ParallelBatch
from xlmd.nat.settings import EncoderDecoderSettings, load_matching
from xlmd.options import check, option
from xlmd.systems.base import System
from xlmd.tensors import attention_mask, inside, where_true

if TYPE_CHECKING:
    from transformers._typing import GenerativePreTrainedModel

# Finite, so that averaged checkpoints stay finite too; far enough that the softmax of such a token is exactly zero.
_NEVER = -1e4


@dataclass
class TransformerSettings(EncoderDecoderSettings):
    """Architecture and objective; the defaults are Transformer-base's (paper, §3.1)."""

    system: ClassVar[str] = "transformer"


@dataclass
class TransformerDecoding:
    """Beam search. The score of a hypothesis is its log-probability divided by length ** length_penalty, as fairseq.

    A translation has at most max_length_ratio * source length + max_length_extra subwords (and the positions left).
    """

    beam: int = option(5, "beam size; 1 is greedy search", 1)
    length_penalty: float = option(0.6, "exponent of the length that divides a hypothesis's log-probability")
    max_length_ratio: float = option(2.0, "most subwords of a translation per subword of the source", 0)
    max_length_extra: int = option(10, "most subwords of a translation beyond that", 1)

    def __post_init__(self) -> None:
        check(self)

    def length_limit(self, source_length: int, max_positions: int) -> int:
        """The most subwords, without `</s>`, that a translation may have.

        Rounded up to a multiple of 16: engines that know one limit a call can group sentences by it, and a
        sentence's translation then does not depend on the others in its batch.
        """
        limit = int(self.max_length_ratio * source_length) + self.max_length_extra
        return min(-(-limit // 16) * 16, max_positions - 1)


class Transformer(System[MarianMTModel]):
    """The autoregressive Transformer."""

    name: ClassVar[str] = "transformer"
    printed: ClassVar[str] = "Transformer"
    Settings: ClassVar[type] = TransformerSettings
    Decoding: ClassVar[type] = TransformerDecoding
    settings: TransformerSettings

    def build(self) -> MarianMTModel:
        """A fresh MarianMTModel with random weights (float32)."""
        model = MarianMTModel(self._config())
        model.generation_config = self._generation(TransformerDecoding(beam=1))
        # No target ever holds these: outside the softmax they take no probability and get no gradient. So the pad
        # row, zero from the start, stays zero (from where CTranslate2 starts decoding), and translations are bare.
        model.final_logits_bias[0, self._never_targets()] = _NEVER
        return model

    def load(self, folder: str | Path) -> MarianMTModel:
        """A trained model from a transformers folder.

        Raises UserError naming the first setting (or the vocabulary) in which the folder's model differs.
        """
        expected = self.settings.shape(len(self.tokenizer))
        return load_matching(MarianMTModel, folder, expected, "Transformer (marian)")

    def size(self, model: MarianMTModel) -> str:
        return self.settings.layers

    def validation_decoding(self) -> TransformerDecoding:
        """Greedy search: it ranks checkpoints as beam search does, at a fraction of the time."""
        return TransformerDecoding(beam=1)

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """Leaves out the pairs that, with the end token, have more subwords than the model has positions."""
        return {
            "source too long": source_lengths >= self.settings.max_positions,
            "target too long": target_lengths >= self.settings.max_positions,
        }

    def loss(
        self, model: MarianMTModel, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Label-smoothed cross entropy, the mean over the batch's target tokens, `</s>` included.

        The smoothing spreads over all tokens that can be targets. Figures: `nll`, the same mean without smoothing.
        """
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)  # (B, I+1)
        target, target_mask = _append(batch.target, batch.target_lengths, end, pad)  # (B, J+1)
        start = F.pad(target[:, :-1], (1, 0), value=pad)
        seen = inside(source_lengths, source.shape[1])
        # Targets are padded on the right, where the causal mask already hides them: no mask of their own.
        hidden = model.model(
            input_ids=source,
            attention_mask=attention_mask(seen, model.config._attn_implementation, model.dtype),
            decoder_input_ids=start,
            use_cache=False,
        ).last_hidden_state
        asked = where_true(target_mask)
        hidden, target = hidden.flatten(0, 1)[asked], target.flatten()[asked]  # (N, d), (N,): no logits for padding

        weight, bias = model.lm_head.weight, model.final_logits_bias[0]
        nll = F.cross_entropy(F.linear(hidden, weight, bias).float(), target)
        loss = nll
        if self.settings.label_smoothing:
            # Logits are linear in the embeddings, so the mean logit needs no table: it is that of the mean embedding.
            # Summing all rows and taking the excluded ones off again leaves their gradient at exactly zero.
            never = torch.tensor(self._never_targets()).to(weight.device, non_blocking=True)
            mean = (weight.sum(0) - weight[never].sum(0)) / (len(weight) - len(never))
            loss = nll + self.settings.label_smoothing * (hidden * (F.embedding(target, weight) - mean)).sum(1).mean()
        return loss, {"nll": nll.detach()}

    def iterations_label(self, decoding: TransformerDecoding) -> str:
        return "N"

    def longest_source(self, model: MarianMTModel) -> int:
        return model.config.max_position_embeddings - 1

    def with_specials(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`x </s>` of every sentence: (B, longest + 1), and its lengths (B,)."""
        ids, _ = _append(source, lengths, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        return ids, lengths + 1

    def decode(
        self, model: MarianMTModel, source: torch.Tensor, lengths: torch.Tensor, decoding: TransformerDecoding
    ) -> list[list[int]]:
        """Beam search of transformers with a key-value cache; greedy search where the beam is 1."""
        positions, end = model.config.max_position_embeddings, self.tokenizer.eos_token_id
        limits = [decoding.length_limit(length - 1, positions) for length in lengths.tolist()]
        generated = cast("GenerativePreTrainedModel", model).generate(
            source,
            attention_mask=inside(lengths, source.shape[1]).long(),
            generation_config=self._generation(decoding, max_new_tokens=min(max(limits) + 1, positions)),
            logits_processor=LogitsProcessorList([_LengthLimit(limits, decoding.beam, end, model.device)]),
        )
        assert isinstance(generated, torch.Tensor)
        return [_bare(row, end) for row in generated[:, 1:].tolist()]

    def _never_targets(self) -> list[int]:
        return [self.tokenizer.bos_token_id, self.tokenizer.pad_token_id, self.tokenizer.mask_token_id]

    def _config(self) -> MarianConfig:
        return MarianConfig(**self.settings.configuration(self.tokenizer), decoder_vocab_size=len(self.tokenizer))

    def _generation(self, decoding: TransformerDecoding, **options: int) -> GenerationConfig:
        beam = {"length_penalty": decoding.length_penalty, "early_stopping": True} if decoding.beam > 1 else {}
        return GenerationConfig(
            num_beams=decoding.beam,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            decoder_start_token_id=self.tokenizer.pad_token_id,
            **beam,
            **options,
        )


class _LengthLimit(LogitsProcessor):
    """At least one subword, and `</s>` once a sentence has reached its own limit."""

    def __init__(self, limits: Sequence[int], beam: int, end: int, device: torch.device) -> None:
        self.shortest = min(limits)
        self.limits = torch.tensor(limits, device=device).repeat_interleave(beam)  # (B * beam,)
        self.end = end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        length = input_ids.shape[1] - 1  # the start token is no subword
        if length == 0:
            scores[:, self.end] = -torch.inf
        elif length >= self.shortest:
            ended = torch.full_like(scores, -torch.inf)
            ended[:, self.end] = 0
            scores = torch.where((self.limits <= length)[:, None], ended, scores)
        return scores


def _append(ids: torch.Tensor, lengths: torch.Tensor, end: int, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded ids (B, L) with `end` after each sentence and then `pad`, (B, L+1), and what is not padding."""
    places, lengths = torch.arange(ids.shape[1] + 1, device=ids.device), lengths[:, None]
    ids = F.pad(ids, (0, 1)).masked_fill(places > lengths, pad).masked_fill(places == lengths, end)
    return ids, places <= lengths


def _bare(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
