"""Progress bars that read well on a terminal, in a log, and when several jobs share one screen."""

import sys
from typing import Any

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15


class _Lines:
    """A stream on which every state of a bar becomes a line of its own."""

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(*args: Any, **options: Any) -> tqdm:
    """`tqdm`, on standard error: a live bar on a terminal, elsewhere a plain line every 15 seconds."""
    if sys.stderr.isatty():
        return tqdm(*args, mininterval=1, **options)
    return tqdm(*args, file=_Lines(), mininterval=_SECONDS_BETWEEN_LINES, maxinterval=_SECONDS_BETWEEN_LINES,
                ncols=100, ascii=True, **options)  # fmt: skip
