"""Batches of parallel sentences of similar length, endless, and resumable at exactly the batch where a run stopped."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from xlmd.data.encoded import EncodedText
from xlmd.errors import UserError

logger = logging.getLogger(__name__)

_BATCHES_IN_A_BUCKET = 100
_SMALLEST_POOL = 0.25


@dataclass
class ParallelBatch:
    """Sentence pairs as bare subword ids, without specials: each system adds those that it needs.

    source: (B, I) int64, right-padded; source_lengths: (B,) int64; target: (B, J) int64, right-padded;
    target_lengths: (B,) int64; indices: (B,) int64, the sentences' numbers in their file, from 0.
    """

    source: torch.Tensor
    source_lengths: torch.Tensor
    target: torch.Tensor
    target_lengths: torch.Tensor
    indices: torch.Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return type(self)(**{name: tensor.to(device, non_blocking=True) for name, tensor in vars(self).items()})


class ParallelText:
    """Two encoded texts whose sentences translate each other, and which of the pairs may be used.

    keep: the numbers of the pairs that may be used, (n,) int, or None for all. Raises UserError if the texts have
    unequal numbers of sentences.
    """

    def __init__(self, source: EncodedText, target: EncodedText, keep: np.ndarray | None = None) -> None:
        if len(source) != len(target):
            raise UserError(
                f"{source.prefix} has {len(source)} sentences but {target.prefix} has {len(target)}: "
                "parallel text needs one line for each line"
            )
        self.source, self.target = source, target
        self.keep = np.arange(len(source)) if keep is None else np.asarray(keep)
        if self.keep.ndim != 1 or not np.issubdtype(self.keep.dtype, np.integer):
            raise ValueError(f"keep: expected numbers of pairs, got {self.keep.dtype} of shape {self.keep.shape}")
        if len(self.keep) and not 0 <= self.keep.min() <= self.keep.max() < len(source):
            raise ValueError(f"keep: expected numbers of pairs below {len(source)}, got {self.keep.max()}")

    def __len__(self) -> int:
        """The number of pairs that may be used."""
        return len(self.keep)

    def collate(self, indices: np.ndarray | Sequence[int], pad: int) -> ParallelBatch:
        """The pairs `indices` (B,), numbers in the file, as one batch padded with `pad`."""
        indices = np.asarray(indices, np.int64)
        arrays = *self.source.padded(indices, pad), *self.target.padded(indices, pad), indices
        return ParallelBatch(*map(torch.from_numpy, arrays))


class LengthBatches:
    """An endless, resumable sequence of batches of sentence numbers of similar length.

    pool: called with the number of the epoch and the progress of training at its start, returns the sentences to go
    through, their numbers (n,) and their lengths (n,). Each epoch shuffles its pool, sorts within buckets of about a
    hundred batches, and shuffles each bucket's batches: similar lengths, yet never twice the same company. A batch's
    size, its count times its longest, is at most `max_tokens`; a pool must hold no longer sentence.
    """

    def __init__(self, pool: Callable[[int, float], tuple[np.ndarray, np.ndarray]], max_tokens: int, seed: int) -> None:
        self._pool, self._max_tokens, self._seed = pool, max_tokens, seed
        self.progress = 0.0
        self._start_epoch(0)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        while self._position == len(self._batches):
            if (self._bucket + 1) * self._bucket_size < len(self._order):
                self._start_bucket(self._bucket + 1)
            else:
                self._start_epoch(self._epoch + 1)
        self._position += 1
        return self._batches[self._position - 1]

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "epoch_progress": self._epoch_progress,
            "bucket": self._bucket,
            "position": self._position,
            "progress": self.progress,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.progress = state["epoch_progress"]
        self._start_epoch(state["epoch"])
        self._start_bucket(state["bucket"])
        self._position, self.progress = state["position"], state["progress"]

    def _start_epoch(self, epoch: int) -> None:
        self._epoch, self._epoch_progress = epoch, self.progress
        indices, lengths = self._pool(epoch, self.progress)
        shuffle = np.random.default_rng([self._seed, epoch]).permutation(len(indices))
        self._order, self._lengths = indices[shuffle], lengths[shuffle]
        self._bucket_size = max(1, int(_BATCHES_IN_A_BUCKET * self._max_tokens / max(1.0, lengths.mean())))
        self._start_bucket(0)

    def _start_bucket(self, bucket: int) -> None:
        self._bucket, self._position = bucket, 0
        inside = slice(bucket * self._bucket_size, (bucket + 1) * self._bucket_size)
        by_length = np.argsort(self._lengths[inside], kind="stable")
        batches = _cut(self._order[inside][by_length], self._lengths[inside][by_length], self._max_tokens)
        shuffle = np.random.default_rng([self._seed, self._epoch, bucket]).permutation(len(batches))
        self._batches = [batches[i] for i in shuffle]


class BatchStream:
    """Endless training batches of a parallel text; the whole order follows from the seed alone.

    max_tokens: the most that a batch measures, its count times its longest source or target, padding included. A
    pair longer than that is left out (`left_out` counts them). curriculum: the fraction of training over which the
    pool grows from the shortest 25% of the pairs to all, re-evaluated at the start of each epoch; 0 turns it off.
    processes, rank: every process reads the same sequence and takes each `processes`-th batch, so that one process
    that accumulates over so many batches sees the same. Raises UserError if no pair is left.
    """

    def __init__(
        self,
        parallel: ParallelText,
        max_tokens: int,
        pad: int,
        seed: int,
        curriculum: float = 0.0,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        if not 0 <= rank < processes:
            raise ValueError(f"rank: expected 0 to {processes - 1}, got {rank}")
        if not 0 <= curriculum <= 1:
            raise ValueError(f"curriculum: expected a fraction of training in [0, 1], got {curriculum}")
        self._parallel, self._pad, self._curriculum = parallel, pad, curriculum
        self.source = str(parallel.source.prefix)
        self._processes, self._rank = processes, rank
        lengths = np.maximum(parallel.source.lengths, parallel.target.lengths)[parallel.keep]
        fits = lengths <= max_tokens
        self.left_out = int(len(fits) - fits.sum())
        if self.left_out:
            logger.warning("%d pairs are longer than a batch of %d tokens: left out", self.left_out, max_tokens)
        self._indices, self._lengths = parallel.keep[fits], lengths[fits]
        if len(self._indices) == 0:
            raise UserError(
                f"no pair of {parallel.source.prefix} and {parallel.target.prefix} is left to train on "
                f"({len(parallel.source)} read, {len(parallel)} usable, {max_tokens} tokens a batch)"
            )
        self._batches = LengthBatches(self._pool, max_tokens, seed)

    def __iter__(self) -> Iterator[ParallelBatch]:
        return self

    def __next__(self) -> ParallelBatch:
        group = [next(self._batches) for _ in range(self._processes)]
        return self._parallel.collate(group[self._rank], self._pad)

    def set_progress(self, fraction: float) -> None:
        """Say what fraction of training is done, in [0, 1]; the curriculum heeds it when the next epoch starts."""
        self._batches.progress = float(fraction)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, in plain numbers; the same in every process."""
        return self._batches.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly after the batch at which `state_dict` was called, on the same text and settings."""
        self._batches.load_state_dict(state)

    def _pool(self, _epoch: int, progress: float) -> tuple[np.ndarray, np.ndarray]:
        return shortest_first(self._indices, self._lengths, progress, self._curriculum)


def shortest_first(
    indices: np.ndarray, lengths: np.ndarray, progress: float, curriculum: float
) -> tuple[np.ndarray, np.ndarray]:
    """The sentences that a curriculum admits: the shortest 25% at first, all once `progress` reaches `curriculum`.

    indices, lengths: (N,) int; progress, curriculum: fractions of training. Returns the admitted part of both.
    """
    if progress >= curriculum:
        return indices, lengths
    share = _SMALLEST_POOL + (1 - _SMALLEST_POOL) * progress / curriculum
    inside = lengths <= np.quantile(lengths, share)
    return indices[inside], lengths[inside]


def length_sorted_batches(lengths: np.ndarray | Sequence[int], max_tokens: int) -> list[np.ndarray]:
    """Cut sentences of `lengths` (N,) into batches for decoding, longest first; returns their numbers.

    A batch's count times its longest is at most `max_tokens`; a sentence longer than that stands alone, for in
    decoding none may be lost.
    """
    lengths = np.asarray(lengths, np.int64)
    longest_first = np.argsort(-lengths, kind="stable")
    return _cut(longest_first, lengths[longest_first], max_tokens)


def _cut(indices: np.ndarray, sorted_lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Cut sentences sorted by length, either way, into as few consecutive batches as fit."""
    starts: list[int] = []
    longest = 0
    for i, length in enumerate(np.maximum(sorted_lengths, 1).tolist()):
        longest = max(longest, length)
        if not starts or (i - starts[-1] + 1) * longest > max_tokens:
            starts.append(i)
            longest = length
    return np.split(indices, starts[1:]) if starts else []
