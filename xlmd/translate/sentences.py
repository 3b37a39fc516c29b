"""Lines that are too long for a model, in pieces that are not."""

import re
from collections.abc import Callable, Iterator

_SENTENCE_END = re.compile(r"(?<=[.!?…؟])\s+|(?<=[。！？])\s*")


def pieces(line: str, fits: Callable[[str], bool]) -> list[str]:
    """The line if it fits, else its sentences, and of one that does not fit its halves, until they do.

    Nothing but white space is lost. fits: whether a text is short enough; one of a single character is taken to be.
    """
    if fits(line):
        return [line]
    return [piece for sentence in _SENTENCE_END.split(line) if sentence for piece in _halved(sentence, fits)]


def _halved(text: str, fits: Callable[[str], bool]) -> Iterator[str]:
    if len(text) < 2 or fits(text):
        yield text
        return
    middle = len(text) // 2
    spaces = [space for space in (text.rfind(" ", 1, middle), text.find(" ", middle, -1)) if space > 0]
    cut = min(spaces, key=lambda space: abs(space - middle), default=middle)
    yield from _halved(text[:cut].rstrip(), fits)
    yield from _halved(text[cut:].lstrip(), fits)
