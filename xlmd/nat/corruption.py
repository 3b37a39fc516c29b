"""Corrupting text as in masked pre-training: what is chosen becomes `<mask>`, another token, or stays.

All draws are made on the CPU, so that every device corrupts alike.
"""

import torch

from xlmd.tensors import longest_of


def random_span(
    lengths: torch.Tensor, share: float, generator: torch.Generator, width: int | None = None
) -> torch.Tensor:
    """One span of neighbours per sentence, round(share · I) tokens and at least one: (B, I) bool, False at padding.

    It stands at the sentence's start with probability 0.2, at its end with 0.2, and anywhere else (Guo et al., 2020).
    lengths: (B,) int64, I of each sentence; an empty one has none. width: the longest.
    """
    draws = torch.rand(2, len(lengths), generator=generator, dtype=torch.float64)
    where, offset = draws.to(lengths.device, non_blocking=True)
    size = (lengths * share).round().long().clamp(min=1).minimum(lengths)
    last = lengths - size  # the last place where it can start
    start = (offset * (last + 1)).long().minimum(last)
    start = torch.where(where < 0.2, 0, torch.where(where < 0.4, last, start)).unsqueeze(1)
    places = torch.arange(longest_of(lengths, width), device=lengths.device)
    return (places >= start) & (places < start + size.unsqueeze(1))


def corrupted(
    tokens: torch.Tensor,
    chosen: torch.Tensor,
    generator: torch.Generator,
    *,
    mask: int,
    pieces: range,
    mask_share: float = 0.8,
    random_share: float = 0.1,
) -> torch.Tensor:
    """The tokens (B, L) int64, those `chosen` (B, L) bool each `mask`, a random one of `pieces`, or as it was.

    mask_share, random_share: the probabilities of the first two (Devlin et al., 2019).
    """
    fate = torch.rand(tokens.shape, generator=generator).to(tokens.device, non_blocking=True)
    drawn = torch.randint(pieces.start, pieces.stop, tokens.shape, generator=generator)
    drawn = drawn.to(tokens.device, non_blocking=True)
    replaced = torch.where(fate < mask_share + random_share, drawn, tokens).masked_fill(fate < mask_share, mask)
    return torch.where(chosen, replaced, tokens)
