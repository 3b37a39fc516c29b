"""The output layer without its table: what decoding and calibration ask of softmax(h Wᵀ + b), a block at a time.

The logits of N positions over V tokens are made in blocks that stay in the processor's cache, and each is reduced
before the next one takes its place. So no memory of N times V is needed, and a large vocabulary takes little more time
than its matrix product. Products and sums are float32 whatever the dtype of the weights, float64 for those of float64.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 1024  # positions at a time
CELLS = {"cpu": 1 << 18, "cuda": 1 << 26}  # logits of a block: 1 MiB; on a GPU 256 MiB, so that launches are few
NARROWEST = 256  # columns of a block, for the matrix product's sake


class Best(NamedTuple):
    """Of every position: the most probable token int64, its logit, and the log-sum-exp of all logits, each (N,)."""

    token: Tensor
    logit: Tensor
    normaliser: Tensor


def most_probable(
    hidden: Tensor, weight: Tensor, bias: Tensor | None = None, forbidden: Sequence[int] = ()
) -> tuple[Tensor, Tensor]:
    """The most probable token of every position, int64, and its log-probability, each (…), of hidden (…, d).

    weight: (V, d); bias: (V,). forbidden: token ids never predicted, which the distribution leaves out. Ties go to the
    lowest id. A position with a NaN among its logits has the log-probability NaN, and its token means nothing.
    """
    if forbidden:
        bias = bias_without(weight, bias, forbidden)
    parts = [_best(rows, weight, bias) for rows in hidden.flatten(0, -2).split(ROWS)]
    token, logit, normaliser = (torch.cat(values).view(hidden.shape[:-1]) for values in zip(*parts, strict=True))
    return token, (logit - normaliser).to(logit.dtype)


def log_odds(hidden: Tensor, weight: Tensor, bias: Tensor | None, token: int) -> Tensor:
    """log p(token) / (1 − p(token)) at every row of hidden (N, d), float64 (N,). weight: (V, d); bias: (V,)."""
    others = bias_without(weight, bias, [token])
    odds = []
    for rows in hidden.split(ROWS):
        (_, own), *_ = _blocks(rows, weight[token : token + 1], None if bias is None else bias[token : token + 1])
        odds.append(own[:, 0].double() - _best(rows, weight, others).normaliser)
    return torch.cat(odds)


def bias_without(weight: Tensor, bias: Tensor | None, tokens: Sequence[int]) -> Tensor:
    """A bias (V,) that leaves some tokens of weight (V, d) no probability."""
    bias = weight.new_zeros(len(weight)) if bias is None else bias.clone()
    for token in tokens:  # not one indexing by a list, which would be copied to the device and waited for
        bias[token].fill_(float("-inf"))  # which a number assigned to a single place would be, too
    return bias


def _best(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Best:
    best = None
    for first, logits in _blocks(hidden, weight, bias):
        logit, column = logits.max(dim=1)
        shift = logit.masked_fill(logit == float("-inf"), 0.0)
        normaliser = logits.sub_(shift[:, None]).exp_().sum(dim=1).double().log_().add_(shift)
        if best is None:
            best = Best(column, logit, normaliser)
        else:
            best = Best(
                torch.where(logit > best.logit, column + first, best.token),
                torch.maximum(best.logit, logit),
                torch.logaddexp(best.normaliser, normaliser),
            )
    assert best is not None, "the vocabulary is empty"
    return best


def _blocks(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[int, Tensor]]:
    """The logits (N, width) of consecutive columns and the first one's number, of hidden (N, d)."""
    device = hidden.device.type
    width = max(NARROWEST, CELLS.get(device, CELLS["cuda"]) // max(1, len(hidden)))
    factors = torch.promote_types(hidden.dtype, weight.dtype)
    if torch.is_autocast_enabled(device) and factors != torch.float64:
        factors = torch.get_autocast_dtype(device)
    sums = torch.promote_types(factors, torch.float32)
    narrow = hidden.is_cuda and factors != sums  # the GPU multiplies half types with sums in float32
    hidden = hidden.to(factors) if narrow else hidden.to(factors).to(sums)
    with torch.autocast(device, enabled=False):
        for first, end in pairwise(_bounds(len(weight), width, 8 if narrow else 1)):
            part = weight[first:end].to(factors)
            shift = None if bias is None else bias[first:end].to(sums)
            if narrow:
                logits = torch.mm(hidden, part.t(), out_dtype=sums)
                yield first, logits if shift is None else logits.add_(shift)
            else:
                part = part.to(sums).t()
                yield first, hidden @ part if shift is None else torch.addmm(shift, hidden, part)


def _bounds(columns: int, width: int, multiple: int) -> list[int]:
    """Where blocks of columns begin, and end. What is no `multiple`, as fast products want it, comes last."""
    whole = columns // multiple * multiple
    bounds = [*range(0, whole, max(multiple, width // multiple * multiple)), whole, columns]
    return sorted(set(bounds))
