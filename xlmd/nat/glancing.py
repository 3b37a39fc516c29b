"""Glancing: a model in training is shown more of the target the less of it that it gets right (Qian et al., 2021, §3).

A first pass, without gradients, predicts the target; a share of its errors' number is revealed at random positions; a
second pass, with the same dropout, learns the rest. What is predicted and revealed may be tokens or anything else.
"""

from contextlib import AbstractContextManager

import torch

from xlmd.tensors import rank_within_blocks


def glancing_ratio(progress: float, start: float, end: float) -> float:
    """The share of the errors' number that is revealed: from `start` to `end` as training progresses from 0 to 1."""
    return start + (end - start) * progress


def reveal(wrong: torch.Tensor, lengths: torch.Tensor, ratio: float, generator: torch.Generator) -> torch.Tensor:
    """What to reveal: ⌊ratio · errors⌋ random positions of each sentence, wrong or right, (B, J) bool.

    wrong: (B, J) bool, where the first pass is wrong, False at padding; lengths: (B,) int64. The draws are made on the
    CPU, so that every device reveals alike.
    """
    noise = torch.rand(wrong.shape, generator=generator).to(wrong.device, non_blocking=True)
    count = (wrong.sum(dim=1).double() * ratio).long()
    return rank_within_blocks(noise, lengths, wrong.shape[1]) < count.unsqueeze(1)


def same_dropout(device: torch.device) -> AbstractContextManager[None]:
    """A context after which torch's generators stand where they stood before: what follows draws the same dropout."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
