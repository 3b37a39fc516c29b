"""Gzip files as gunzip reads them: several members are one file, and padding after the last one is no part of it."""

import io
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
_PADDING = b"\0 \t\r\n"  # what tapes, and transfers as text, leave after a file


def open_gzip(handle: IO[bytes], mode: str = "rb") -> io.BufferedReader:
    """What a stream in gzip's format unpacks to, block by block; NULs, spaces and line ends after it are passed over.

    Raises, when it is read, EOFError where a member is cut off and zlib.error where one is damaged, or where anything
    else follows.
    """
    return io.BufferedReader(_Blocks(_unpacked(handle)), _BLOCK)


def _unpacked(handle: IO[bytes]) -> Iterator[bytes]:
    packed = handle.read(_BLOCK)
    while packed:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            if not packed:
                raise EOFError("it ends before its end-of-stream marker")
            yield member.decompress(packed, _BLOCK)
            packed = member.unused_data if member.eof else member.unconsumed_tail or handle.read(_BLOCK)
        packed = packed.lstrip(_PADDING)
        while not packed and (block := handle.read(_BLOCK)):
            packed = block.lstrip(_PADDING)


class _Blocks(io.RawIOBase):
    """A stream of the blocks that an iterator gives."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer)
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        data, self._rest = self._rest[: len(room)], self._rest[len(room) :]
        room[: len(data)] = data
        return len(data)
