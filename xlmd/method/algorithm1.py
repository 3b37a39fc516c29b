"""Algorithm 1 of the paper (§2.3): one update's loss, line by line."""

from typing import TypedDict, Unpack

import torch

from xlmd.ctc import linear_ctc_best_path, linear_ctc_loss
from xlmd.ctc.functional import Constraint, Reduction
from xlmd.method.decorator import upsampled_lengths
from xlmd.method.masking import block_mask
from xlmd.method.model import XLMDForTranslation


class Objective(TypedDict, total=False):
    """Options of `ctc_objective` that Algorithm 1 passes on."""

    constraint: Constraint
    score_observed: bool
    reduction: Reduction
    zero_infinity: bool


@torch.no_grad()
def best_alignment(
    model: XLMDForTranslation,
    source: torch.Tensor,
    source_lengths: torch.Tensor,
    target: torch.Tensor,
    target_lengths: torch.Tensor,
    *,
    dropout: bool = False,
) -> torch.Tensor:
    """Lines 4 and 6: a ← argmax over Γ(y) of P(a | x, a′), a′ all <mask>.

    source: (B, I), target: (B, J), lengths: (B,), all int64. dropout: leave dropout as in training. Returns (B, T)
    int64, −1 beyond a sentence's T. The V-wide projection is never formed: a path needs its target's labels alone.
    """
    training = model.training
    model.train(training and dropout)
    hidden, lengths = model(source, source_lengths)
    model.train(training)
    head = model.lm_head.decoder
    return linear_ctc_best_path(
        hidden, head.weight, target, lengths, target_lengths, bias=head.bias, blank=model.config.blank_token_id
    ).tokens


def masked_alignment(
    alignment: torch.Tensor,
    mask: torch.Tensor,
    *,
    mask_token: int,
    blank: int,
    embed_blank: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Line 8: ā ← mask(a), as the model's input and as the constraint of the loss.

    alignment: (B, T) int64, −1 as padding; mask: (B, T) bool, True = hidden. embed_blank: whether an observed blank is
    shown to the model as the blank or as <mask>. Returns input ids (B, T) and observed (B, T), −1 where free.
    """
    observed = alignment.masked_fill(mask, -1)
    shown = observed if embed_blank else observed.masked_fill(observed == blank, -1)
    return shown.masked_fill(shown < 0, mask_token), observed


def ctc_objective(
    model: XLMDForTranslation,
    source: torch.Tensor,
    source_lengths: torch.Tensor,
    target: torch.Tensor,
    target_lengths: torch.Tensor,
    *,
    alignment: torch.Tensor | None = None,
    observed: torch.Tensor | None = None,
    constraint: Constraint = "token",
    score_observed: bool = True,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> torch.Tensor:
    """Line 10: −log P(y | x, ā), the constrained CTC loss; without `observed` the plain one of Eq. 3.

    alignment: (B, T) input ids (None: all <mask>); observed: (B, T), −1 = free.
    """
    hidden, lengths = model(source, source_lengths, alignment)
    head = model.lm_head.decoder
    return linear_ctc_loss(
        hidden,
        head.weight,
        target,
        lengths,
        target_lengths,
        bias=head.bias,
        blank=model.config.blank_token_id,
        reduction=reduction,
        zero_infinity=zero_infinity,
        observed=observed,
        constraint=constraint,
        score_observed=score_observed,
    )


def algorithm1(
    model: XLMDForTranslation,
    source: torch.Tensor,
    source_lengths: torch.Tensor,
    target: torch.Tensor,
    target_lengths: torch.Tensor,
    *,
    block: int,
    generator: torch.Generator,
    count_per: str = "sentence",
    embed_blank: bool = True,
    alignment_dropout: bool = False,
    **objective: Unpack[Objective],
) -> tuple[torch.Tensor, torch.Tensor]:
    """One update of Algorithm 1: its loss, a scalar, and line 6's alignment a, (B, T) int64.

    objective: further options of `ctc_objective`.
    """
    config = model.config
    a = best_alignment(model, source, source_lengths, target, target_lengths, dropout=alignment_dropout)
    # Not the lengths of a: that of an infeasible pair is −1 throughout.
    lengths = upsampled_lengths(source_lengths, config.upsampling_ratio)
    mask = block_mask(lengths, block, generator, count_per, a.shape[1])
    shown, observed = masked_alignment(
        a, mask, mask_token=config.mask_token_id, blank=config.blank_token_id, embed_blank=embed_blank
    )
    loss = ctc_objective(
        model, source, source_lengths, target, target_lengths, alignment=shown, observed=observed, **objective
    )
    return loss, a
