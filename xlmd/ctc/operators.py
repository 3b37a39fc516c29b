"""The plain recursions as torch operators (`xlmd::...`), registered with shapes and gradients, so that autograd,
`torch.compile` and `torch.library.opcheck` know them.
"""

import torch
from torch import Tensor

from xlmd.ctc import checks, derivatives, primitives


@torch.library.custom_op("xlmd::ctc_loss", mutates_args=())
def ctc_loss(
    log_probs: Tensor,
    anchor: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    blank: int,
    by_state: bool,
    score_observed: bool,
    with_gradient: bool,
    validate: bool,
) -> tuple[Tensor, Tensor]:
    """Loss (B,) and its gradient -gamma (B, T, V), or an empty tensor without a gradient.

    anchor: of log_probs, see `derivatives`. Where the loss is NaN, the second means nothing: the backward pass makes
    it NaN.
    """
    length, vocabulary = log_probs.shape[1:]
    targets, input_lengths, target_lengths, bad = checks.safe_target(
        targets, input_lengths, target_lengths, observed, length, vocabulary, blank, by_state, validate
    )
    loss, gradient = primitives.forward_backward(
        log_probs,
        None,
        targets,
        input_lengths,
        target_lengths,
        blank,
        observed,
        by_state,
        score_observed,
        with_gradient,
    )
    if bad is not None:
        loss = loss.masked_fill(bad, float("nan"))
    return loss, gradient


@ctc_loss.register_fake
def _(
    log_probs,
    anchor,
    targets,
    input_lengths,
    target_lengths,
    observed,
    blank,
    by_state,
    score_observed,
    with_gradient,
    validate,
):
    gradient = torch.empty_like(log_probs, memory_format=torch.contiguous_format)
    return log_probs.new_empty(log_probs.shape[0]), gradient if with_gradient else log_probs.new_empty(0)


def _save_gradient(ctx, inputs, output) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*output, inputs[1])


def _scale_gradient(ctx, grad_loss, _):
    if grad_loss is None:
        return (None,) * 11
    derivatives.refuse_forward_mode(grad_loss)
    loss, gradient, anchor = ctx.saved_tensors
    return scale_sentences(gradient, torch.where(loss.isnan(), float("nan"), grad_loss), anchor), *[None] * 10


ctc_loss.register_autograd(_scale_gradient, setup_context=_save_gradient)


@torch.library.custom_op("xlmd::scale_sentences", mutates_args=())
def scale_sentences(gradient: Tensor, scale: Tensor, anchor: Tensor) -> Tensor:
    """gradient (B, T, V) times scale (B,); an operator of its own so that a second derivative fails, not lies."""
    return gradient * scale[:, None, None]


@scale_sentences.register_fake
def _(gradient, scale, anchor):
    return torch.empty_like(gradient)


scale_sentences.register_autograd(derivatives.refuse_second, setup_context=derivatives.nothing_to_save)


@torch.library.custom_op("xlmd::ctc_best_states", mutates_args=())
def ctc_best_states(
    scores: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    observed: Tensor | None,
    blank: int,
    validate: bool,
) -> tuple[Tensor, Tensor]:
    """States (B, T) int64 of the best path and its score (B,): see `reference.best_path`."""
    length, vocabulary = scores.shape[1:]
    targets, input_lengths, target_lengths, bad = checks.safe_target(
        targets, input_lengths, target_lengths, observed, length, vocabulary, blank, False, validate
    )
    states, score = primitives.best_path(scores, targets, input_lengths, target_lengths, blank, observed)
    return checks.spoilt_path(states, score, bad)


@ctc_best_states.register_fake
def _(scores, targets, input_lengths, target_lengths, observed, blank, validate):
    return targets.new_empty(scores.shape[:2]), scores.new_empty(scores.shape[0])
