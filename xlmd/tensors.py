"""Operations on padded batches that several models share."""

import torch


def longest_of(lengths: torch.Tensor, width: int | None = None) -> int:
    """`width` where it is known; else the largest of lengths (B,) int64, for which a GPU is waited for."""
    return int(lengths.max()) if width is None else width


def inside(lengths: torch.Tensor, width: int | None = None) -> torch.Tensor:
    """What is not padding: (B, width) bool from lengths (B,) int64; see `longest_of`."""
    return torch.arange(longest_of(lengths, width), device=lengths.device) < lengths.unsqueeze(1)


def where_true(mask: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """Where a mask (…) is true, as numbers of the mask laid flat, (N,) int64.

    count: N where it is known; a GPU is waited for if it is not, once, where indexing by the mask would each time.
    """
    flat = mask.flatten()
    return (flat.nonzero() if count is None else torch.nonzero_static(flat, size=count)).squeeze(1)


def attention_mask(visible: torch.Tensor, implementation: str | None, dtype: torch.dtype) -> torch.Tensor | None:
    """The mask that transformers' attention takes, (B, 1, queries or 1, keys). None where all may be seen.

    visible: (B, keys) or (B, queries, keys) bool, True at what may be seen. implementation: the configuration's
    `_attn_implementation`; all but "sdpa" add the mask, in `dtype`. Without a mask attention is faster; but to find
    out whether there is need of one would mean to wait for a GPU, so there is always one there.
    """
    if not visible.is_cuda and bool(visible.all()):
        return None
    keys = visible[:, None] if visible.ndim == 3 else visible[:, None, None]
    if implementation == "sdpa":
        return keys
    return torch.zeros_like(keys, dtype=dtype).masked_fill(~keys, torch.finfo(dtype).min)


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
