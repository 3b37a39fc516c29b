"""Aligned cross entropy: the cheapest monotonic alignment of a target with as many predictions as there are.

(Ghazvininejad et al., 2020, "AXE", §3.) A prediction is aligned with a target token, or is skipped at the cost of being
a blank; a target token is aligned, or is skipped at δ times its cost at the last prediction that was dealt with.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from xlmd.tensors import inside


def aligned_cross_entropy(
    logits: torch.Tensor,
    asked: torch.Tensor,
    chosen: torch.Tensor,
    target: torch.Tensor,
    *,
    blank: int,
    skipped_token: float,
    smoothing: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss with label smoothing and without, per chosen token, and the share of tokens that are skipped: scalars.

    The chosen tokens of each sentence are aligned with the predictions at their places. logits: (N, V), those of the
    chosen places; asked: (N,) int64, where they are in `chosen` laid flat. chosen: (B, J) bool; target: (B, J) int64.
    blank: the token that stands for none; skipped_token: δ. smoothing: the probability that spreads over all V tokens,
    of whatever a prediction is asked to be, token or blank.
    """
    width, count = target.shape[1], chosen.sum(dim=1)
    sentence = asked // width
    place = sentence * width + (chosen.cumsum(dim=1) - 1).flatten()[asked]  # the k-th chosen one of its sentence: k

    def placed(values: torch.Tensor) -> torch.Tensor:
        rows = values.new_zeros(target.numel(), *values.shape[1:])
        return rows.index_copy(0, place, values).view(*target.shape, *values.shape[1:])

    tokens = placed(target.flatten()[asked])
    log_probs = logits.float().log_softmax(dim=-1)
    token_cost = placed(-log_probs.gather(1, tokens[sentence])).transpose(1, 2)
    blank_cost, any_cost = placed(-log_probs[:, blank]), placed(-log_probs.mean(dim=1))

    found = cheapest_alignment(token_cost, blank_cost, count, count, skipped_token)
    present = inside(count, width)
    weight = torch.where(found.aligned, 1.0, skipped_token) * present
    unused = present & ~found.used
    nll = (weight * token_cost.gather(2, found.position.unsqueeze(2)).squeeze(2) + unused * blank_cost).sum()
    spread = (weight * any_cost.gather(1, found.position) + unused * any_cost).sum()
    skipped = (present & ~found.aligned).sum()
    return ((1 - smoothing) * nll + smoothing * spread) / len(asked), nll / len(asked), skipped / len(asked)


@dataclass
class CheapestAlignment:
    """An alignment of I target tokens and J predictions per sentence.

    position: (B, I) int64, the prediction that each token is aligned with, or whose cost skipping it is a multiple of.
    aligned: (B, I) bool, False at what is skipped. used: (B, J) bool, predictions that a token is aligned with. What
    stands at padding is of no meaning in `position`, and False in the others.
    """

    position: torch.Tensor
    aligned: torch.Tensor
    used: torch.Tensor


@torch.no_grad()
def cheapest_alignment(
    token: torch.Tensor,
    blank: torch.Tensor,
    target_lengths: torch.Tensor,
    prediction_lengths: torch.Tensor,
    skipped_token: float,
) -> CheapestAlignment:
    """The alignment of the least cost, for a whole batch at once in one step per target token.

    token: (B, I, J) float, the cost of aligning token i with prediction j; blank: (B, J), that of skipping prediction
    j; both finite, at padding too. target_lengths, prediction_lengths: (B,) int64, the latter at least 1.
    skipped_token: δ.
    """
    batch, longest, predictions = token.shape
    # In a row cost[j] = min(entered[j], cost[j − 1] + blank[j]): a running minimum of what was entered, less the blanks
    blanks = F.pad(blank.cumsum(dim=1), (1, 0))
    cost, steps = blanks, []
    for i in range(longest):
        aligned = F.pad(cost[:, :-1] + token[:, i], (1, 0), value=float("inf"))
        skipped = cost + skipped_token * torch.cat([token[:, i, :1], token[:, i]], dim=1)
        best, entry = (torch.minimum(aligned, skipped) - blanks).cummin(dim=1)
        cost = best + blanks
        steps.append((entry, aligned <= skipped))

    here = prediction_lengths
    position = torch.zeros(batch, longest, dtype=torch.long, device=token.device)
    taken = torch.zeros(batch, longest, dtype=torch.bool, device=token.device)
    for i in reversed(range(longest)):
        entry, is_aligned = steps[i]
        there = i < target_lengths
        here = torch.where(there, entry.gather(1, here.unsqueeze(1)).squeeze(1), here)
        position[:, i] = (here - 1).clamp(min=0)
        taken[:, i] = there & is_aligned.gather(1, here.unsqueeze(1)).squeeze(1)
        here = here - taken[:, i].long()
    used = torch.zeros(batch, predictions + 1, dtype=torch.bool, device=token.device)  # one more, for what is skipped
    used.scatter_(1, position.masked_fill(~taken, predictions), True)
    return CheapestAlignment(position, taken, used[:, :-1])
