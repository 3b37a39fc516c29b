"""Noisy parallel decoding: the autoregressive teacher chooses among a system's candidates (Gu et al., 2018, §4.2).

The teacher reads each candidate once, all of its tokens at a time; what it costs is part of the system's time.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch.nn import functional as F
from transformers import MarianMTModel

from xlmd.errors import UserError
from xlmd.nat.lengths import LengthBeam, LengthBeamDecoding
from xlmd.nat.settings import BidirectionalSettings
from xlmd.nat.system import NATSystem
from xlmd.options import option
from xlmd.systems.transformer import Transformer, TransformerSettings
from xlmd.tensors import attention_mask, inside, where_true
from xlmd.weights import load_pretrained

_ROWS = 4096  # tokens whose scores over the vocabulary are there at a time


@dataclass
class RescoredSettings(BidirectionalSettings):
    """Settings of a system whose candidates a teacher may choose among."""

    teacher: str | None = option(None, "transformers folder of a trained Transformer, for decoding with rescore")


@dataclass
class RescoredDecoding(LengthBeamDecoding):
    """Options of decoding that try several candidates, among which a teacher may choose."""

    rescore: bool = option(False, "the teacher chooses among the candidates, not the model's own log-probabilities")


class RescoredSystem(NATSystem):
    """A single-step system whose settings are `RescoredSettings` and whose options of decoding have `rescore`."""

    pretrained: ClassVar[dict[str, str]] = {"teacher": "teacher"}
    settings: RescoredSettings

    def iterations_label(self, decoding: Any) -> str:
        return "1"

    @cached_property
    def _teacher(self) -> MarianMTModel:
        if self.settings.teacher is None:
            raise UserError(f"{self.name}: rescore=True needs the setting teacher, the folder of a trained Transformer")
        return load_pretrained(MarianMTModel, self.settings.teacher).eval()

    def best(
        self,
        beam: LengthBeam,
        tokens: torch.Tensor,
        log_probability: torch.Tensor,
        source: torch.Tensor,
        lengths: torch.Tensor,
        rescore: bool,
    ) -> list[list[int]]:
        """The tokens of each sentence's best candidate: by its mean log-probability, the teacher's or the model's own.

        tokens: (B·k, J) int64; log_probability: (B·k, J) float32, 0 at padding. source, lengths: as for `decode`.
        """
        if not rescore:
            return beam.best(tokens, log_probability)
        transformer, teacher = Transformer(TransformerSettings(), self.tokenizer), self._teacher
        if teacher.device != source.device:  # to ask every weight takes a millisecond, for every sentence
            torch.nn.Module.to(teacher, source.device, non_blocking=True)
        bare, bare_lengths = beam.repeat(source[:, 1:]), beam.repeat(lengths) - 2
        scores = teacher_scores(transformer, teacher, bare, bare_lengths, tokens, beam.lengths)
        return beam.best(tokens, scores.unsqueeze(1), divisor=torch.ones_like(scores))


@torch.inference_mode()
def teacher_scores(
    transformer: Transformer,
    model: MarianMTModel,
    source: torch.Tensor,
    source_lengths: torch.Tensor,
    target: torch.Tensor,
    target_lengths: torch.Tensor,
) -> torch.Tensor:
    """A trained Transformer's mean log-probability per token of each target, `</s>` included, (B,) float32.

    source: (B, I) int64 and target: (B, J) int64, bare, with whatever beyond their lengths (B,) int64; what is longer
    than the Transformer's positions is cut.
    """
    longest = model.config.max_position_embeddings - 1
    source, source_lengths = transformer.with_specials(source[:, :longest], source_lengths.clamp(max=longest))
    target, target_lengths = transformer.with_specials(target[:, :longest], target_lengths.clamp(max=longest))
    seen = inside(source_lengths, source.shape[1])
    hidden = model.model(
        input_ids=source,
        attention_mask=attention_mask(seen, model.config._attn_implementation, model.dtype),
        decoder_input_ids=F.pad(target[:, :-1], (1, 0), value=transformer.tokenizer.pad_token_id),
        use_cache=False,
    ).last_hidden_state
    written = where_true(inside(target_lengths, target.shape[1]))
    tokens, states = target.flatten()[written], hidden.flatten(0, 1)[written]
    weight, bias = model.lm_head.weight, model.final_logits_bias[0]
    scores = [
        -F.cross_entropy(F.linear(rows, weight, bias).float(), wanted, reduction="none")
        for rows, wanted in zip(states.split(_ROWS), tokens.split(_ROWS), strict=True)
    ]
    log_probability = torch.zeros(target.shape, device=target.device).flatten().scatter(0, written, torch.cat(scores))
    return log_probability.view_as(target).sum(dim=1) / target_lengths
