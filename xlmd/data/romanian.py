"""Romanian's spellings: its letters with a comma below, which old encodings gave a cedilla, and those without marks.

WMT16's Romanian mixes the first two, and published systems differ in what they make of them: those of WMT16 unified the
letters and took the marks off Romanian sources, and scores into Romanian are given with marks and without.
"""

from typing import Literal, get_args

from xlmd.errors import UserError

Letters = Literal["comma", "without_diacritics", "unchanged"]

_COMMA = str.maketrans("ŞşŢţ", "ȘșȚț")
_PLAIN = str.maketrans("ȘșȚțĂăÂâÎî", "SsTtAaAaIi")


def with_commas(line: str) -> str:
    """Composed text (NFC) with s and t that bear a comma instead of a cedilla."""
    return line.translate(_COMMA)


def without_diacritics(line: str) -> str:
    """Composed text (NFC) with Romanian's letters bare: ă, â, î, ș, ț and their capitals."""
    return with_commas(line).translate(_PLAIN)


def respelt(line: str, language: str, letters: Letters) -> str:
    """Composed text (NFC) of a language; Romanian ("ro") with its letters as `letters` says, any other as it is.

    Raises UserError for other `letters` than there are.
    """
    if letters not in get_args(Letters):
        raise UserError(f"romanian: expected one of {', '.join(get_args(Letters))}, got {letters!r}")
    if language != "ro" or letters == "unchanged":
        return line
    return with_commas(line) if letters == "comma" else without_diacritics(line)
