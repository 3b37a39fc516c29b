"""Tokenised text on disk: subword ids in one flat array and where each sentence starts, both memory-mapped."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from xlmd.data.text import stream_lines
from xlmd.data.tokenizer import decode_ids, subword_encoder
from xlmd.errors import UserError
from xlmd.files import atomic_write
from xlmd.progress import progress

__all__ = ["EncodedText", "Sentences", "decode_ids", "encode", "encoded_paths", "encoded_writer"]

_CHUNK_LINES = 20_000
_CHUNK_SENTENCES = 1_000_000


def encode(text: str | Path, tokenizer_folder: str | Path, out_prefix: str | Path) -> int:
    """Tokenise a text file, one sentence a line, into `<out_prefix>.ids.npy` and `<out_prefix>.offsets.npy`.

    Ids are bare (no specials), int32, flat; offsets are int64, one more than sentences: sentence i is
    ids[offsets[i]:offsets[i + 1]]. An empty line is an empty sentence. Memory does not grow with the file. The
    offsets appear last, so they are there only if the ids are whole. Returns the number of sentences.
    Raises UserError on unreadable text or tokenizer, naming the file and line.
    """
    encoder = subword_encoder(tokenizer_folder)
    with encoded_writer(out_prefix) as writer:
        lines = progress(stream_lines(text), desc=f"encode {Path(text).name}", unit=" lines")
        for chunk in _chunks(iter(lines)):
            sentences = encoder(chunk)
            ids = np.fromiter(itertools.chain.from_iterable(sentences), np.int32)
            writer.add(ids, np.array([len(sentence) for sentence in sentences], np.int64))
    return writer.sentences


@contextmanager
def encoded_writer(prefix: str | Path) -> Iterator["EncodedWriter"]:
    """Write encoded text piece by piece; on any exception nothing stays, and what was there under `prefix` is gone."""
    ids_path, offsets_path = encoded_paths(prefix)
    offsets_path.unlink(missing_ok=True)
    with atomic_write(offsets_path, "wb") as offsets_file, atomic_write(ids_path, "wb") as ids_file:
        writer = EncodedWriter(ids_file, offsets_file)
        yield writer
        writer.finish()


class EncodedWriter:
    """What `encoded_writer` gives."""

    def __init__(self, ids_file: IO[bytes], offsets_file: IO[bytes]) -> None:
        self._ids, self._offsets = _GrowingArray(ids_file, np.int32), _GrowingArray(offsets_file, np.int64)
        self._offsets.append(np.zeros(1, np.int64))

    @property
    def sentences(self) -> int:
        return self._offsets.length - 1

    def add(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        """Append sentences: their subword ids, flat, and the length of each."""
        self._offsets.append(self._ids.length + np.cumsum(lengths))
        self._ids.append(ids)

    def finish(self) -> None:
        self._ids.finish()
        self._offsets.finish()


class Sentences(Protocol):
    """What batches are made of: an `EncodedText`, or several as one (`xlmd.data.stages.JoinedText`)."""

    @property
    def prefix(self) -> str | Path: ...
    @property
    def lengths(self) -> np.ndarray: ...
    def __len__(self) -> int: ...
    def padded(self, indices: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]: ...


class EncodedText:
    """The sentences that `encode` wrote under `prefix`, read from disk as they are asked for.

    Raises UserError if a file is missing or the two do not belong together.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        ids_path, offsets_path = encoded_paths(prefix)
        self.ids, self.offsets = _open(ids_path, np.int32), _open(offsets_path, np.int64)
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.ids):
            raise UserError(f"{offsets_path} does not fit {ids_path}: encode the text again")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """The bare subword ids of sentence `index`, (length,) int32."""
        if not 0 <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)} in {self.prefix}")
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def part(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Sentences `first` up to, without, `last`: their ids, flat, and where each starts and ends in them."""
        offsets = self.offsets[first : last + 1]
        return self.ids[offsets[0] : offsets[-1]], offsets - offsets[0]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Subwords of each sentence, (N,) int32."""
        return np.subtract(self.offsets[1:], self.offsets[:-1], dtype=np.int32, casting="unsafe")

    def adjacent_repeats(self) -> np.ndarray:
        """How many neighbours of each sentence are equal, (N,) int32: CTC needs a blank between them."""
        repeats = np.empty(len(self), np.int32)
        for first in range(0, len(self), _CHUNK_SENTENCES):
            bounds = np.asarray(self.offsets[first : first + _CHUNK_SENTENCES + 1])
            ids = self.ids[bounds[0] : bounds[-1]]
            starts, ends = bounds[:-1] - bounds[0], bounds[1:] - bounds[0]
            equal_before = np.concatenate(([0, 0], np.cumsum(ids[1:] == ids[:-1], dtype=np.int64)))
            # equal_before[k] counts the equal neighbours (j - 1, j) with j < k
            inside = np.minimum(starts + 1, ends)
            repeats[first : first + _CHUNK_SENTENCES] = equal_before[ends] - equal_before[inside]
        return repeats

    def padded(self, indices: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
        """Sentences `indices` (B,) as a right-padded (B, longest) int64 array, and their lengths (B,) int64."""
        starts = self.offsets[indices]
        lengths = self.offsets[np.asarray(indices) + 1] - starts
        used = np.arange(lengths.max(initial=0)) < lengths[:, None]
        sentences = np.full(used.shape, pad, np.int64)
        row_starts = np.cumsum(lengths) - lengths
        sentences[used] = self.ids[np.repeat(starts - row_starts, lengths) + np.arange(lengths.sum())]
        return sentences, lengths


class _GrowingArray:
    """A .npy file of one dimension whose length is known only when all has been written."""

    def __init__(self, handle: IO[bytes], dtype: type) -> None:
        self.handle, self.dtype, self.length = handle, np.dtype(dtype), 0
        self._write_header()

    def append(self, values: np.ndarray) -> None:
        self.handle.write(np.ascontiguousarray(values, self.dtype).tobytes())
        self.length += len(values)

    def finish(self) -> None:
        self.handle.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        # numpy pads its header so that the first dimension can grow in place
        fields = {"descr": self.dtype.newbyteorder("<").str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self.handle, fields)


def encoded_paths(prefix: str | Path) -> tuple[Path, Path]:
    """The two files of an encoded text: ids, offsets."""
    return Path(f"{prefix}.ids.npy"), Path(f"{prefix}.offsets.npy")


def _open(path: Path, dtype: type) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the encoded text {path}: {error}") from error
    if array.dtype != dtype or array.ndim != 1:
        raise UserError(f"{path} is not encoded text: expected one dimension of {np.dtype(dtype)}")
    return array.view(np.ndarray)  # indexing a memmap costs several times as much as its plain view


def _chunks(lines: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(itertools.islice(lines, _CHUNK_LINES)):
        yield chunk
