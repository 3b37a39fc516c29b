"""The public CTC functions: batch first, targets padded, lengths as tensors.

Common arguments:
    hidden (B, T, d), weight (V, d), bias (V,): in place of a table of scores, those that a projection would make.
    targets (B, L) int64: labels; whatever stands beyond a target's length is ignored.
    input_lengths, target_lengths (B,) int64, or lists of integers.
    blank: the label of the blank; it may not stand in a target.
    observed (B, T) int64: positions forced beforehand, -1 where free. With constraint="token" the others name a token:
        only lattice states with that label survive there. With constraint="state" they name a lattice state 0..2L,
        where state 2k is the blank before label k and 2k + 1 is label k (0-based).
    score_observed: whether the emissions of forced positions count in the loss.
    validate: whether to read the values of lengths, labels and observations and raise ValueError for a bad one.
        By default on the CPU only. Unvalidated, a bad length or label gives that sentence a NaN and reads nothing
        outside the tensors; nothing waits for the device.

Wrong shapes, dtypes and devices always raise ValueError. The losses have one derivative, by reverse mode: a second one
and forward mode raise RuntimeError. float64 is computed in float64, everything else in float32.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from xlmd.ctc import derivatives, linear, operators
from xlmd.ctc.checks import (
    check_floats,
    check_labels_and_lengths,
    check_lengths,
    check_reduction,
    check_target,
    check_tensor,
    lengths_tensor,
    require,
)
from xlmd.ctc.linear import accumulation_dtype

Reduction = Literal["none", "sum", "mean"]
Constraint = Literal["token", "state"]
Lengths = Tensor | Sequence[int]


class BestPath(NamedTuple):
    """A best alignment: tokens (B, T) int64, lattice states (B, T) int64 (both -1 beyond a sentence's length), and
    the sum of scores along it (B,). An infeasible sentence has score -inf and -1 throughout."""

    tokens: Tensor
    states: Tensor
    score: Tensor


def _check_options(reduction: str, constraint: str) -> None:
    check_reduction(reduction)
    require(constraint in ("token", "state"), f"constraint must be token or state, got {constraint!r}")


def _lengths(inputs: Lengths, targets: Lengths, device: torch.device) -> tuple[Tensor, Tensor]:
    return lengths_tensor("input_lengths", inputs, device), lengths_tensor("target_lengths", targets, device)


def _reads_values(scores: Tensor, validate: bool | None) -> bool:
    return not scores.is_cuda if validate is None else validate


def _reduce(loss: Tensor, target_lengths: Tensor, reduction: str, zero_infinity: bool) -> Tensor:
    if zero_infinity:
        loss = torch.where(loss == float("inf"), 0.0, loss)
    if reduction == "mean":
        return (loss / target_lengths.clamp(min=1)).sum() / torch.sym_max(1, loss.shape[0])
    return loss.sum() if reduction == "sum" else loss


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    *,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
    observed: Tensor | None = None,
    constraint: Constraint = "token",
    score_observed: bool = True,
    validate: bool | None = None,
) -> Tensor:
    """Connectionist temporal classification: -log of the summed probability of all alignments (XLM-D section 2.1).

    log_probs (B, T, V). The gradient with respect to it is the true one, -gamma, so any differentiable table may be
    given, gathered columns included (torch's own `ctc_loss` assumes that a log-softmax over all its columns made them).
    reduction "mean" divides each loss by its target's length (at least 1) before averaging, as torch does. An
    infeasible sentence has loss inf, or 0 with zero_infinity, and gradient 0. The mean of an empty batch is 0.
    """
    check_floats("log_probs", log_probs, 3, "(B, T, V)")
    input_lengths, target_lengths = _lengths(input_lengths, target_lengths, log_probs.device)
    _check_options(reduction, constraint)
    batch, length, vocabulary = log_probs.shape
    check_target(targets, input_lengths, target_lengths, observed, batch, length, vocabulary, blank, log_probs.device)
    derivatives.refuse_forward_mode(log_probs)
    loss, _ = operators.ctc_loss(
        log_probs.to(accumulation_dtype(log_probs)),
        derivatives.anchor(log_probs),
        targets,
        input_lengths,
        target_lengths,
        observed,
        blank,
        constraint == "state",
        score_observed,
        torch.is_grad_enabled() and log_probs.requires_grad,
        _reads_values(log_probs, validate),
    )
    return _reduce(loss, target_lengths, reduction, zero_infinity)


def _with_tokens(states: Tensor, score: Tensor, targets: Tensor, blank: int) -> BestPath:
    if targets.shape[1] == 0:
        tokens = torch.full_like(states, blank)
    else:
        tokens = targets.gather(1, (states // 2).clamp(0, targets.shape[1] - 1))
        tokens = torch.where(states % 2 == 1, tokens, blank)
    return BestPath(tokens.masked_fill(states < 0, -1), states, score)


@torch.no_grad()
def ctc_best_path(
    scores: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    *,
    blank: int = 0,
    observed: Tensor | None = None,
    validate: bool | None = None,
) -> BestPath:
    """The best alignment of each target (Viterbi; Algorithm 1, line 6).

    scores (B, T, V) need not be normalised. Among equal paths, from the end: the last blank before the last label, then
    staying in a state before coming from s-1 before coming from s-2. A NaN or +inf within a sentence gives it score NaN
    and -1 throughout.
    """
    check_floats("scores", scores, 3, "(B, T, V)")
    input_lengths, target_lengths = _lengths(input_lengths, target_lengths, scores.device)
    batch, length, vocabulary = scores.shape
    check_target(targets, input_lengths, target_lengths, observed, batch, length, vocabulary, blank, scores.device)
    states, score = operators.ctc_best_states(
        scores.to(accumulation_dtype(scores)),
        targets,
        input_lengths,
        target_lengths,
        observed,
        blank,
        _reads_values(scores, validate),
    )
    return _with_tokens(states, score, targets, blank)


def _check_linear(hidden, weight, bias, targets, input_lengths, target_lengths, observed, blank) -> None:
    check_floats("weight", weight, 2, "(V, d)")
    require(
        weight.shape[1] == hidden.shape[2],
        f"weight must have shape (V, {hidden.shape[2]}) to fit hidden, got {tuple(weight.shape)}",
    )
    require(weight.device == hidden.device, f"weight is on {weight.device}, hidden on {hidden.device}")
    if bias is not None:
        check_floats("bias", bias, 1, "(V,)")
        require(bias.shape[0] == weight.shape[0], f"bias must have shape ({weight.shape[0]},), got {tuple(bias.shape)}")
        require(bias.device == hidden.device, f"bias is on {bias.device}, hidden on {hidden.device}")
    batch, length, _ = hidden.shape
    check_target(targets, input_lengths, target_lengths, observed, batch, length, weight.shape[0], blank, hidden.device)


def _cast_for_matmul(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """One dtype for both factors: autocast's where it is on (as for torch's `linear`), else the wider of the two."""
    device = hidden.device.type
    dtype = torch.promote_types(hidden.dtype, weight.dtype)
    if torch.is_autocast_enabled(device) and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
    hidden, weight = hidden.to(dtype), weight.to(dtype)
    return hidden, weight, None if bias is None else bias.to(accumulation_dtype(weight))


def linear_ctc_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    *,
    bias: Tensor | None = None,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
    observed: Tensor | None = None,
    constraint: Constraint = "token",
    score_observed: bool = True,
    chunk_rows: int | None = None,
    mode: Literal["rows", "vocab"] = "rows",
    validate: bool | None = None,
) -> Tensor:
    """`ctc_loss(log_softmax(hidden @ weight.T + bias), ...)` and its gradients without the B x T x V table.

    float16 and bfloat16 accumulate in float32. The result is float32 (or float64). mode="rows" works through chunks of
    whole sentences, at most chunk_rows rows each (one sentence at least), and computes the gradients on the way.
    mode="vocab" works through slices of the vocabulary as large as a chunk and projects once more in the backward pass:
    8 N V d operations for 6, but no (V, d) accumulator besides the gradient itself; reduction="none" always works so.
    Without chunk_rows up to 4096 rows, fewer where the vocabulary is large. What needs no gradient costs none.
    """
    check_floats("hidden", hidden, 3, "(B, T, d)")
    input_lengths, target_lengths = _lengths(input_lengths, target_lengths, hidden.device)
    _check_linear(hidden, weight, bias, targets, input_lengths, target_lengths, observed, blank)
    _check_options(reduction, constraint)
    require(mode in ("rows", "vocab"), f"mode must be rows or vocab, got {mode!r}")
    require(chunk_rows is None or chunk_rows >= 1, f"chunk_rows must be at least 1, got {chunk_rows}")
    derivatives.refuse_forward_mode(hidden, weight, bias)
    needed = [
        torch.is_grad_enabled() and tensor is not None and tensor.requires_grad for tensor in (hidden, weight, bias)
    ]
    validate = _reads_values(hidden, validate)
    hidden, weight, bias = _cast_for_matmul(hidden, weight, bias)
    lattice = (observed, blank, constraint == "state", score_observed)
    if mode == "vocab" or reduction == "none":
        loss, _, _ = linear.linear_ctc_by_vocabulary(
            hidden,
            weight,
            bias,
            targets,
            input_lengths,
            target_lengths,
            *lattice,
            chunk_rows or 0,
            any(needed),
            validate,
        )
        return _reduce(loss, target_lengths, reduction, zero_infinity)
    scale = torch.ones_like(target_lengths, dtype=accumulation_dtype(hidden))
    if reduction == "mean":
        scale = scale / target_lengths.clamp(min=1) / torch.sym_max(1, target_lengths.shape[0])
    return linear.linear_ctc_by_rows(
        hidden,
        weight,
        bias,
        derivatives.anchor(hidden, weight, bias),
        scale,
        targets,
        input_lengths,
        target_lengths,
        *lattice,
        zero_infinity,
        chunk_rows or 0,
        needed,
        validate,
    )[0]


@torch.no_grad()
def linear_ctc_best_path(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    *,
    bias: Tensor | None = None,
    blank: int = 0,
    observed: Tensor | None = None,
    validate: bool | None = None,
) -> BestPath:
    """`ctc_best_path(hidden @ weight.T + bias, ...)` from the L + 1 logits of a row that an alignment can pass through.

    No normaliser is needed: it is the same for every path. The score is thus a sum of logits.
    """
    check_floats("hidden", hidden, 3, "(B, T, d)")
    input_lengths, target_lengths = _lengths(input_lengths, target_lengths, hidden.device)
    _check_linear(hidden, weight, bias, targets, input_lengths, target_lengths, observed, blank)
    states, score = linear.linear_ctc_best_states(
        hidden,
        weight,
        bias,
        targets,
        input_lengths,
        target_lengths,
        observed,
        blank,
        _reads_values(hidden, validate),
    )
    return _with_tokens(states, score, targets, blank)


@torch.no_grad()
def ctc_feasible(targets: Tensor, input_lengths: Lengths, target_lengths: Lengths) -> Tensor:
    """(B,) bool: whether an alignment exists, that is input length >= target length + number of equal neighbours."""
    check_tensor("targets", targets)
    input_lengths, target_lengths = _lengths(input_lengths, target_lengths, targets.device)
    check_labels_and_lengths(targets, input_lengths, target_lengths, targets.shape[0], targets.device)
    if not targets.is_cuda:
        check_lengths("target_lengths", target_lengths, targets.shape[1])
        check_lengths("input_lengths", input_lengths, None)
    repeats = targets[:, 1:] == targets[:, :-1]
    counted = torch.arange(repeats.shape[1], device=targets.device) + 1 < target_lengths[:, None]
    return input_lengths >= target_lengths + (repeats & counted).sum(1)
