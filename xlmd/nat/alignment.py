"""Word alignment: IBM model 2 with a prior along the diagonal, by variational EM (Dyer et al., 2013: fast_align).

Every target token comes from a source token of its pair, or from none. Its place is drawn near the diagonal, the token
itself from the source token's lexicon.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from xlmd.data.batching import ParallelText

_LINKS = 2_000_000  # pairs of a source and a target token that are in memory at a time


@dataclass
class WordAlignment:
    """The source token of every target token of some pairs, and how probable the targets are.

    sources: the place in its source sentence of each target token, flat, (ΣJ,) int64, in the order of the pairs;
    cross_entropy: −log p per target token, in nats, as of the last pass over the text.
    """

    sources: np.ndarray
    cross_entropy: float


@dataclass
class _Links:
    """Every target token of some pairs with no source token and then with each of its pair's.

    keys: (n,) int64, one for each combination of tokens; prior: (n,) float64; starts: (rows,) int64, where the links of
    each target token begin.
    """

    keys: np.ndarray
    prior: np.ndarray
    starts: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """The target token of each link, (n,) int64."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.keys)))


def word_alignment(
    pairs: ParallelText,
    vocabulary: int,
    *,
    iterations: int = 5,
    tension: float = 4.0,
    null: float = 0.08,
    concentration: float = 0.01,
) -> WordAlignment:
    """The most probable source token of every target token of the pairs that may be used, in their order.

    vocabulary: the number of tokens, of both languages together. iterations: of EM. tension: λ of the prior, which is
    proportional to exp(−λ·|i/I − j/J|); null: the prior probability of no source token; concentration: of the lexicon's
    Dirichlet prior. The alignment itself is among the source tokens alone, so that every target token has one.
    """
    keys = np.unique(np.concatenate([np.unique(links.keys) for links in _links(pairs, vocabulary, tension, null)]))
    firsts = np.flatnonzero(np.diff(keys // vocabulary, prepend=-1))  # where each source token's lexicon begins
    sizes = np.diff(firsts, append=len(keys))
    lexicon = np.ones(len(keys))
    for _ in range(iterations):
        counts = np.zeros(len(keys))
        for links in _links(pairs, vocabulary, tension, null):
            types = np.searchsorted(keys, links.keys)
            joint = links.prior * lexicon[types]
            posterior = joint / np.add.reduceat(joint, links.starts)[links.rows]
            counts += np.bincount(types, posterior, minlength=len(keys))
        totals = np.add.reduceat(counts, firsts) + concentration * sizes
        lexicon = np.exp(_digamma(counts + concentration) - np.repeat(_digamma(totals), sizes))

    sources, loss, tokens = [], 0.0, 0
    for links in _links(pairs, vocabulary, tension, null):
        joint = links.prior * lexicon[np.searchsorted(keys, links.keys)]
        loss -= float(np.log(np.add.reduceat(joint, links.starts)).sum())
        tokens += len(links.starts)
        joint[links.starts] = -1  # no source token
        best = np.maximum.reduceat(joint, links.starts)
        found = np.flatnonzero(joint == best[links.rows])
        first = found[np.flatnonzero(np.diff(links.rows[found], prepend=-1))]  # of equal ones
        sources.append(first - links.starts - 1)
    return WordAlignment(np.concatenate(sources), loss / tokens)


def fertility_counts(pairs: ParallelText, alignment: WordAlignment) -> np.ndarray:
    """How many target tokens each source token has, (ΣI,) int32, of all pairs; 0 in those that are not aligned."""
    lengths = pairs.source.lengths.astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    places = np.repeat(starts[pairs.keep], pairs.target.lengths[pairs.keep]) + alignment.sources
    return np.bincount(places, minlength=int(lengths.sum())).astype(np.int32)


def _links(pairs: ParallelText, vocabulary: int, tension: float, null: float) -> Iterator[_Links]:
    """The links of all pairs, some pairs at a time."""
    total = np.cumsum((pairs.source.lengths[pairs.keep] + 1).astype(np.int64) * pairs.target.lengths[pairs.keep])
    for part in np.split(pairs.keep, np.flatnonzero(np.diff(total // _LINKS)) + 1):
        source, source_lengths = pairs.source.padded(part, 0)
        target, target_lengths = pairs.target.padded(part, 0)
        pair = np.repeat(np.arange(len(part)), target_lengths)  # of each target token
        j = np.arange(len(pair)) - np.repeat(np.cumsum(target_lengths) - target_lengths, target_lengths)
        widths = source_lengths[pair] + 1
        starts = np.cumsum(widths) - widths
        row = np.repeat(np.arange(len(pair)), widths)
        i = np.arange(len(row)) - starts[row] - 1  # −1: no source token
        centre = ((j + 0.5) / target_lengths[pair])[row]
        prior = np.exp(-tension * np.abs((i + 0.5) / source_lengths[pair][row] - centre))
        prior[starts] = 0
        prior *= (1 - null) / np.add.reduceat(prior, starts)[row]
        prior[starts] = null
        words = np.where(i < 0, 0, source[pair[row], i] + 1)
        yield _Links(words * vocabulary + target[pair, j][row], prior, starts)


def _digamma(values: np.ndarray) -> np.ndarray:
    return torch.digamma(torch.from_numpy(values)).numpy()
