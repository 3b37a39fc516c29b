"""The bag of n-grams that a model expects to write, against the reference's (Shao et al., 2020, §3)."""

import torch
from torch.nn import functional as F


def ngram_difference(logits: torch.Tensor, target: torch.Tensor, visible: torch.Tensor, n: int) -> torch.Tensor:
    """Half the L1 distance of the two bags over the number of n-grams, the mean over sentences: a scalar in [0, 1].

    Positions are independent, so an n-gram g is expected Σ_t Π_k p_{t+k}(g_k) times. Both bags have J − n + 1 n-grams,
    so half of their distance is what the expected one lacks of the reference's. A sentence of fewer than n tokens counts
    as 0. logits: (N, V), those of all tokens, sentence by sentence; target: (B, J) int64; visible: (B, J) bool, False at
    padding.
    """
    sentence, column = visible.nonzero(as_tuple=True)
    log_probs = logits.float().log_softmax(dim=-1).gather(1, target[sentence])  # (N, J)
    probability = log_probs.new_zeros(*target.shape, target.shape[1])
    probability[sentence, column] = log_probs.exp()  # (B, t, j): the reference's j-th token at position t

    tokens, starts = F.pad(target, (0, n - 1)), (visible.sum(dim=1) - n + 1).clamp(min=0)
    begins = torch.arange(target.shape[1], device=target.device) < starts.unsqueeze(1)
    probability = F.pad(probability, (0, n - 1, 0, n - 1))
    longest = target.shape[1]
    expected = torch.ones_like(probability[:, :longest, :longest])
    equal = begins.unsqueeze(2) & begins.unsqueeze(1)
    for k in range(n):
        window = slice(k, k + longest)
        expected = expected * probability[:, window, window]
        equal = equal & (tokens[:, window, None] == tokens[:, None, window])
    expected = (expected * begins.unsqueeze(2)).sum(dim=1)
    count = equal.sum(dim=1).clamp(min=1)  # of the n-gram that begins at j, in the whole reference
    found = (torch.minimum(expected, count) / count * begins).sum(dim=1)  # each of equal ones has its part
    return ((starts - found) / starts.clamp(min=1)).mean()
