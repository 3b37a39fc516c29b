"""Operations on padded batches that several models share."""

import torch


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
