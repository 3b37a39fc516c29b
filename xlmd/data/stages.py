"""Training text that changes in the course of training: several texts as one, one stream of batches after another."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from xlmd.data.batching import BatchStream, ParallelBatch
from xlmd.data.encoded import EncodedText

_BETWEEN = np.array([-1], np.int32).tobytes()  # no subword's id


class JoinedText:
    """Several encoded texts, at least one, as one: their sentences are numbered through."""

    def __init__(self, texts: Sequence[EncodedText]) -> None:
        self._texts = texts
        self._starts = np.cumsum([0, *map(len, texts)])
        self.prefix = " + ".join(str(text.prefix) for text in texts)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Subwords of each sentence, (N,) int32."""
        return np.concatenate([text.lengths for text in self._texts])

    def padded(self, indices: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
        """See `EncodedText.padded`."""
        indices = np.asarray(indices)
        lengths = self.lengths[indices].astype(np.int64)
        sentences = np.full((len(indices), lengths.max(initial=0)), pad, np.int64)
        of_text = np.searchsorted(self._starts, indices, side="right") - 1
        for number, text in enumerate(self._texts):
            rows = np.flatnonzero(of_text == number)
            part, _ = text.padded(indices[rows] - self._starts[number], pad)
            sentences[rows, : part.shape[1]] = part
        return sentences, lengths


def first_of_equals(pairs: Sequence[tuple[EncodedText, EncodedText]]) -> np.ndarray:
    """Which pairs of parallel texts, numbered through, are the first of those equal to them, (N,) bool."""
    digests = np.fromiter(
        (_digest(source[row], target[row]) for source, target in pairs for row in range(len(source))), np.uint64
    )
    first = np.zeros(len(digests), dtype=bool)
    first[np.unique(digests, return_index=True)[1]] = True
    return first


def _digest(source: np.ndarray, target: np.ndarray) -> int:
    return int.from_bytes(blake2b(source.tobytes() + _BETWEEN + target.tobytes(), digest_size=8).digest(), "little")


class StagedStream:
    """Streams of batches, one after another: the k-th until the share ends[k] of training is done.

    source: the text that the present batch's numbers are of.
    """

    def __init__(self, streams: Sequence[BatchStream], ends: Sequence[float]) -> None:
        if len(streams) != len(ends) or list(ends) != sorted(ends) or ends[-1] != 1:
            raise ValueError(
                f"ends: expected {len(streams)} growing shares of training, the last of them 1, got {ends}"
            )
        self._streams, self._ends = streams, ends
        self._select(0)

    @property
    def left_out(self) -> list[int]:
        """How many pairs of each stage are longer than a batch."""
        return [stream.left_out for stream in self._streams]

    def __iter__(self) -> Iterator[ParallelBatch]:
        return self

    def __next__(self) -> ParallelBatch:
        return next(self._stream)

    def set_progress(self, fraction: float) -> None:
        """Say what fraction of training is done, in [0, 1): a new stage begins with an epoch of its own."""
        stage = sum(fraction >= end for end in self._ends)
        if stage != self._stage:
            self._select(stage)
            self._stream.restart(fraction)
        self._stream.set_progress(fraction)

    def state_dict(self) -> dict[str, Any]:
        """See `BatchStream.state_dict`."""
        return {"stage": self._stage} | self._stream.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `BatchStream.load_state_dict`."""
        self._select(state["stage"])
        self._stream.load_state_dict(state)

    def _select(self, stage: int) -> None:
        self._stage, self._stream = stage, self._streams[stage]
        self.source = self._stream.source
