"""The word loss of systems whose model predicts each target token on its own."""

import torch
from torch.nn import functional as F


def smoothed_cross_entropy(
    logits: torch.Tensor, tokens: torch.Tensor, smoothing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean cross entropy with label smoothing and without, two scalars.

    logits: (N, V); tokens: (N,) int64, N at least 1. smoothing: the probability that spreads over all V tokens.
    """
    log_probs = logits.float().log_softmax(dim=-1)
    nll = F.nll_loss(log_probs, tokens)
    return (1 - smoothing) * nll - smoothing * log_probs.mean(), nll
