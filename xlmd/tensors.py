"""The most probable tokens of many positions, without the table of positions times vocabulary."""

from collections.abc import Callable, Sequence

import torch

# Rows of the largest table of logits: of a vocabulary of 250,000, 4 GB.
_ROWS = 4096


def most_probable(
    logits: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, forbidden: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The most probable token of every position, int64, and its log-probability, float32, each (…), of hidden (…, d).

    logits: from (N, d) to (N, V). forbidden: token ids never predicted.
    """
    tokens, log_probability = [], []
    for rows in hidden.flatten(0, -2).split(_ROWS):
        table = logits(rows).float()
        table[:, list(forbidden)] = float("-inf")
        best, token = table.max(dim=-1)
        tokens.append(token)
        log_probability.append(best - table.logsumexp(dim=-1))
    return torch.cat(tokens).view(hidden.shape[:-1]), torch.cat(log_probability).view(hidden.shape[:-1])
