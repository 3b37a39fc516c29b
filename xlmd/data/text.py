"""Reading text that may be larger than memory."""

import itertools
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from xlmd.errors import UserError

MAX_LINE_BYTES = 1_000_000


def composed(text: str) -> str:
    """Text in Unicode's normal form C, without U+FEFF, which programs put before text and leave in it, joining files,
    and with a space for U+0085, white space that sentencepiece alone takes for a letter.

    However a letter came, as one character or as a base with its marks, it is the same character from here on.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text.replace("\ufeff", "").replace("\x85", " "))


def stream_lines(path: str | Path) -> Iterator[str]:
    """The lines of a UTF-8 file one by one, `composed`, without their line ends (only "\\n" and "\\r\\n" end a line).

    Raises UserError naming the file, and the line of the first invalid UTF-8 byte or of more than MAX_LINE_BYTES.
    """
    try:
        with open(path, "rb") as handle:
            yield from lines_of(handle, str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def lines_of(handle: IO[bytes], name: str) -> Iterator[str]:
    """The same of an open binary stream, which messages call `name`."""
    number = 0
    while line := handle.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise UserError(f"{name}, line {number}: longer than {MAX_LINE_BYTES:,} bytes; is it text?")
        try:
            yield composed(line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UserError(f"{name}, line {number}: invalid UTF-8 at byte {error.start}") from error


def read_lines(path: str | Path) -> list[str]:
    """All of them, of a file that fits into memory."""
    return list(stream_lines(path))


def parallel_lines(first: str | Path, second: str | Path) -> Iterator[tuple[str, str]]:
    """Line by line what two files of parallel text hold.

    Raises UserError as `stream_lines`, and at the end of the shorter file, naming both files and their line counts.
    """
    streams = stream_lines(first), stream_lines(second)
    for number, lines in enumerate(itertools.zip_longest(*streams)):
        if None in lines:
            counts = [
                number + (line is not None) + sum(1 for _ in stream)
                for line, stream in zip(lines, streams, strict=True)
            ]
            raise UserError(
                f"{first} has {counts[0]} lines but {second} has {counts[1]}: parallel text needs one for each line"
            )
        yield lines
