"""Operations on padded batches that several models share."""

from collections.abc import Callable, Sequence

import torch

# Rows of the largest table of logits: of a vocabulary of 250,000, 4 GB.
_ROWS = 4096


def inside(lengths: torch.Tensor) -> torch.Tensor:
    """What is not padding: (B, longest) bool from lengths (B,) int64."""
    return torch.arange(int(lengths.max()), device=lengths.device) < lengths.unsqueeze(1)


def rank_within_blocks(priority: torch.Tensor, lengths: torch.Tensor, block: int) -> torch.Tensor:
    """Rank every position among those of its block, 0 = highest priority; ties go to the earlier position.

    priority: (B, T) float; lengths: (B,) int64: positions beyond a sentence's length rank behind all others.
    block: positions per block; the last one may be short. Returns (B, T) int64.
    """
    batch, longest = priority.shape
    padded = -longest % block
    beyond = torch.arange(longest, device=priority.device) >= lengths.unsqueeze(1)
    priority = priority.masked_fill(beyond, float("-inf"))
    priority = torch.nn.functional.pad(priority, (0, padded), value=float("-inf"))
    order = priority.view(batch, -1, block).argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(block, device=order.device).expand_as(order))
    return rank.view(batch, -1)[:, :longest]


def log_odds(logits: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, token: int) -> torch.Tensor:
    """log p(token) / (1 − p(token)) at every row of hidden (N, d), float64 (N,).

    logits: from (N, d) to (N, V).
    """
    odds = []
    for rows in hidden.split(_ROWS):
        table = logits(rows).float()
        own = table[:, token].clone()
        table[:, token] = float("-inf")
        odds.append(own - table.logsumexp(dim=-1))
    return torch.cat(odds).double()


def most_probable(
    logits: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, forbidden: Sequence[int] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """The most probable token of every position, int64, and its log-probability, float32, each (…), of hidden (…, d).

    logits: from (N, d) to (N, V). forbidden: token ids never predicted.
    """
    tokens, log_probability = [], []
    for rows in hidden.flatten(0, -2).split(_ROWS):
        table = logits(rows).float()
        if forbidden:
            table[:, list(forbidden)] = float("-inf")
        best, token = table.max(dim=-1)
        tokens.append(token)
        log_probability.append(best - table.logsumexp(dim=-1))
    return torch.cat(tokens).view(hidden.shape[:-1]), torch.cat(log_probability).view(hidden.shape[:-1])
