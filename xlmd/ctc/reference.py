"""CTC in plain torch: the oracle of the tests, the float64 path, and the fallback where no native code is built.

Written for clarity: vectorised over sentences and states, a Python loop over time, -inf inside. The lattice of a target
y_1..y_L is l' = (blank, y_1, blank, ..., y_L, blank), its states numbered s = 0..2L (Graves et al., 2006).
"""

import torch
from torch import Tensor

NEG_INF = float("-inf")


def lattice_labels(targets: Tensor, blank: int) -> Tensor:
    """The labels l' of the states: targets (B, L) -> (B, 2L+1)."""
    labels = targets.new_full((targets.shape[0], 2 * targets.shape[1] + 1), blank)
    labels[:, 1::2] = targets
    return labels


def _lattice(
    table: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int,
    observed: Tensor | None,
    by_state: bool,
    score_observed: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labels (B, S), emissions (B, T, S) with -inf wherever a state may not be, where skips from s-2 may land (B, S),
    and which targets hold the blank (B,).

    A +inf becomes NaN, as in the native library.
    """
    positions = torch.arange(table.shape[1], device=table.device)
    states = torch.arange(2 * targets.shape[1] + 1, device=table.device)
    inside = states <= 2 * target_lengths[:, None]
    labels = lattice_labels(targets, blank)
    broken = (inside & (labels == blank))[:, 1::2].any(1)
    labels = torch.where(inside, labels, blank)  # padding may hold anything
    emissions = table.gather(2, labels[:, None, :].expand(-1, table.shape[1], -1))
    if observed is not None:
        forced = ((observed >= 0) & (positions < input_lengths[:, None]))[:, :, None]
        here = states if by_state else labels[:, None, :]
        if not score_observed:
            emissions = emissions.masked_fill(forced, 0.0)
        emissions = emissions.masked_fill(forced & (here != observed[:, :, None]), NEG_INF)
    emissions = emissions.masked_fill(~inside[:, None, :], NEG_INF)
    emissions = emissions.masked_fill(emissions == float("inf"), float("nan"))
    skips = torch.zeros_like(inside)
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    return labels, emissions, skips, broken


def _shifted(values: Tensor, by: int) -> Tensor:
    """values (B, S) with state s reading s - by; what falls outside the lattice is -inf."""
    out = torch.full_like(values, NEG_INF)
    if abs(by) >= values.shape[1]:
        return out
    if by > 0:
        out[:, by:] = values[:, :-by]
    else:
        out[:, :by] = values[:, -by:]
    return out


def forward_backward(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int,
    observed: Tensor | None = None,
    by_state: bool = False,
    score_observed: bool = True,
    with_gradient: bool = True,
) -> tuple[Tensor, Tensor]:
    """The loss (B,), and its gradient with respect to log_probs (B, T, V), which is -gamma.

    log_probs (B, T, V) float32 or float64, any values (it need not be normalised). An infeasible sentence has loss inf
    and gradient 0; one with a NaN or +inf within its length, or the blank within its target, has NaN in both. Without a
    gradient the second is empty.
    """
    batch, length, _ = log_probs.shape
    labels, emissions, skips, broken = _lattice(
        log_probs, targets, input_lengths, target_lengths, blank, observed, by_state, score_observed
    )
    states = torch.arange(labels.shape[1], device=log_probs.device)
    inside = torch.arange(length, device=log_probs.device) < input_lengths[:, None]
    emissions = emissions.masked_fill(~inside[:, :, None], 0.0)
    first = torch.where(states <= 1, 0.0, NEG_INF).to(log_probs.dtype).expand_as(skips)
    end = 2 * target_lengths[:, None]
    last = torch.where((states == end) | (states == end - 1), 0.0, NEG_INF).to(log_probs.dtype)

    entering = []  # alpha before the emission, so that gamma needs no subtraction of infinities
    alpha = final = first
    for t in range(length):
        if t:
            skipped = _shifted(alpha, 2).masked_fill(~skips, NEG_INF)
            alpha = torch.stack([alpha, _shifted(alpha, 1), skipped]).logsumexp(0)
        entering.append(alpha)
        alpha = alpha + emissions[:, t]
        final = torch.where(inside[:, t, None], alpha, final)
    if length == 0:
        log_likelihood = torch.where(target_lengths == 0, 0.0, NEG_INF).to(log_probs.dtype)
        log_likelihood = log_likelihood.masked_fill(broken, float("nan"))
        return -log_likelihood, torch.zeros_like(log_probs) if with_gradient else log_probs.new_empty(0)
    log_likelihood = (final + last).logsumexp(1)
    log_likelihood = torch.where((input_lengths == 0) & (target_lengths == 0), 0.0, log_likelihood)
    log_likelihood = torch.where((input_lengths == 0) & (target_lengths > 0), NEG_INF, log_likelihood)
    log_likelihood = log_likelihood.masked_fill(broken, float("nan"))
    if not with_gradient:
        return -log_likelihood, log_probs.new_empty(0)

    gradient = torch.zeros_like(log_probs)
    landing = torch.zeros_like(skips)
    landing[:, :-2] = skips[:, 2:]
    leaving = beta = last
    for t in reversed(range(length)):
        if t + 1 < length:
            skipped = _shifted(beta, -2).masked_fill(~landing, NEG_INF)
            onward = torch.stack([beta, _shifted(beta, -1), skipped]).logsumexp(0)
            leaving = torch.where(inside[:, t + 1, None], onward, last)
        beta = leaving + emissions[:, t]
        gamma = (entering[t] + beta - log_likelihood[:, None]).exp()
        gamma = torch.where(log_likelihood[:, None] == NEG_INF, 0.0, gamma)
        gamma = gamma.masked_fill(~inside[:, t, None], 0.0)
        if observed is not None and not score_observed:
            gamma = gamma.masked_fill((observed[:, t, None] >= 0), 0.0)
        gradient[:, t].scatter_add_(1, labels, -gamma)
    spoilt = log_likelihood.isnan()[:, None] & inside
    return -log_likelihood, gradient.masked_fill(spoilt[:, :, None], float("nan"))


def best_path(
    scores: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int,
    observed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The states (B, T) int64 of the best path and its score (B,).

    Among equal scores: stay, then from s-1, then from s-2; at the end the last blank, then the last label. States are
    -1 beyond a sentence's length and throughout an infeasible one (score -inf) or one with a NaN or +inf within its
    length or the blank within its target (score NaN).
    """
    batch, length, _ = scores.shape
    _, emissions, skips, broken = _lattice(scores, targets, input_lengths, target_lengths, blank, observed, False, True)
    states = torch.arange(emissions.shape[2], device=scores.device)
    inside = torch.arange(length, device=scores.device) < input_lengths[:, None]
    alpha = torch.where(states <= 1, 0.0, NEG_INF).to(scores.dtype).expand_as(skips)
    origins, final = [], alpha
    for t in range(length):
        if t:
            moves = torch.stack([alpha, _shifted(alpha, 1), _shifted(alpha, 2).masked_fill(~skips, NEG_INF)])
            best, origin = moves[0], torch.zeros_like(states).expand_as(skips)
            for step in (1, 2):
                better = moves[step] > best
                best, origin = torch.where(better, moves[step], best), torch.where(better, step, origin)
            alpha = best
            origins.append(origin)
        alpha = alpha + emissions[:, t]
        final = torch.where(inside[:, t, None], alpha, final)

    end = 2 * target_lengths[:, None]
    last_blank, last_label = final.gather(1, end)[:, 0], final.gather(1, (end - 1).clamp(min=0))[:, 0]
    state = torch.where(last_label > last_blank, end[:, 0] - 1, end[:, 0])
    score = torch.maximum(last_label, last_blank)
    empty = input_lengths == 0
    score = torch.where(empty & (target_lengths == 0), 0.0, torch.where(empty, NEG_INF, score))
    used = emissions.masked_fill(~inside[:, :, None], 0.0)
    score = torch.where(used.isnan().flatten(1).any(1) | broken, float("nan"), score)
    path = torch.full((batch, length), -1, dtype=torch.int64, device=scores.device)
    for t in reversed(range(length)):
        path[:, t] = torch.where(inside[:, t], state, -1)
        if t:
            state = torch.where(inside[:, t], state - origins[t - 1].gather(1, state[:, None])[:, 0], state)
    return path.masked_fill(~(score > NEG_INF)[:, None], -1), score
