"""The bag of n-grams that a model expects to write, against the reference's (Shao et al., 2020, §3)."""

import torch
from torch.nn import functional as F

from xlmd.tensors import inside


def ngram_difference(
    logits: torch.Tensor, asked: torch.Tensor, target: torch.Tensor, lengths: torch.Tensor, n: int
) -> torch.Tensor:
    """Half the L1 distance of the two bags over the number of n-grams, the mean over sentences: a scalar in [0, 1].

    Positions are independent, so an n-gram g is expected Σ_t Π_k p_{t+k}(g_k) times. Both bags have J − n + 1 n-grams,
    so half of their distance is what the expected one lacks of the reference's. A sentence of fewer than n tokens
    counts as 0. logits: (N, V), those of all tokens; asked: (N,) int64, where they are in `target` laid flat. target:
    (B, J) int64; lengths: (B,) int64.
    """
    width = target.shape[1]
    log_probs = logits.float().log_softmax(dim=-1).gather(1, target[asked // width])  # (N, J)
    probability = log_probs.new_zeros(target.numel(), width).index_copy(0, asked, log_probs.exp())
    probability = F.pad(probability.view(-1, width, width), (0, n - 1, 0, n - 1))  # at t, of the reference's j-th token
    tokens, starts = F.pad(target, (0, n - 1)), (lengths - n + 1).clamp(min=0)
    begins = inside(starts, width)
    expected = torch.ones_like(probability[:, :width, :width])
    equal = begins.unsqueeze(2) & begins.unsqueeze(1)
    for k in range(n):
        window = slice(k, k + width)
        expected = expected * probability[:, window, window]
        equal = equal & (tokens[:, window].unsqueeze(2) == tokens[:, window].unsqueeze(1))
    expected = (expected * begins.unsqueeze(2)).sum(dim=1)
    count = equal.sum(dim=1).clamp(min=1)  # of the n-gram that begins at j, in the whole reference
    found = (torch.minimum(expected, count) / count * begins).sum(dim=1)  # each of equal ones has its part
    return ((starts - found) / starts.clamp(min=1)).mean()
