"""The blank of CTC in a pre-trained model: how probable it is before training, and how often alignments use it.

The blank is a token that a masked language model is never asked to predict, so its output bias starts near the bottom
and the decorated model learns to fill its positions with repeats instead (docs/readings.md, row 35).
"""

from collections.abc import Sequence

import torch

from xlmd.method.model import XLMDForTranslation
from xlmd.output_layer import log_odds
from xlmd.tensors import inside

Sentences = tuple[torch.Tensor, torch.Tensor]


@torch.no_grad()
def blank_log_odds(model: XLMDForTranslation, batches: Sequence[Sentences]) -> torch.Tensor:
    """log p(blank) / (1 − p(blank)) at every position of the all-<mask> pass, without dropout: (N,) float64.

    batches: source (B, I) int64 with `<s> … </s>`, padded, and its lengths (B,) int64.
    """
    training = model.training
    model.eval()
    head, odds = model.lm_head.decoder, []
    for source, source_lengths in batches:
        hidden, lengths = model(source, source_lengths)
        odds.append(log_odds(hidden[inside(lengths)], head.weight, head.bias, model.config.blank_token_id))
    model.train(training)
    return torch.cat(odds)


def shift_to_mean(log_odds: torch.Tensor, probability: float) -> float:
    """The number that, added to all log-odds (N,) float64, makes `probability` the mean probability over them.

    The mean grows with the number, so that halving an interval finds it to the last digit. probability: in (0, 1).
    """
    low, high = -float(log_odds.max()) - 50.0, -float(log_odds.min()) + 50.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float((log_odds + middle).sigmoid().mean()) < probability else (low, middle)
    return (low + high) / 2


@torch.no_grad()
def set_blank_probability(
    model: XLMDForTranslation, batches: Sequence[Sentences], probability: float
) -> dict[str, float]:
    """Set the blank's existing output bias so that its mean probability over the all-<mask> pass is `probability`.

    batches: as for `blank_log_odds`. The other tokens keep their odds among each other. Returns the blank's mean
    probability and bias before and after.
    """
    odds = blank_log_odds(model, batches)
    bias, blank = model.lm_head.decoder.bias, model.config.blank_token_id
    before, shift = float(bias[blank]), shift_to_mean(odds, probability)
    bias[blank] += shift
    return {
        "probability_before": float(odds.sigmoid().mean()),
        "probability": float((odds + shift).sigmoid().mean()),
        "bias_before": before,
        "bias": float(bias[blank]),
    }


def alignment_shares(alignment: torch.Tensor, lengths: torch.Tensor, blank: int) -> dict[str, torch.Tensor]:
    """The shares of an alignment's positions that are blank, and that repeat their left neighbour's token.

    alignment: (B, T) int64; lengths: (B,) int64: positions beyond a sentence's length do not count. Returns scalars.
    """
    filled, blanks = inside(lengths, alignment.shape[1]), alignment == blank
    repeats = torch.zeros_like(filled)
    repeats[:, 1:] = (alignment[:, 1:] == alignment[:, :-1]) & ~blanks[:, 1:]
    total = filled.sum()
    return {"blank": (blanks & filled).sum() / total, "repeat": (repeats & filled).sum() / total}
