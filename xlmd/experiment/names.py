"""The grammar of names: `direction/system-data-key=value-…` is a run, `key=value-key=value` a decoding of one.

A name says what the configuration does not, and wins where both speak. Whatever spells or reads a name does it here.
The patterns are regular expressions that capture nothing.
"""

import re
from typing import Any, NamedTuple

from xlmd.errors import UserError

Options = tuple[tuple[str, Any], ...]  # in the order of their name

# What a shell, a flag and Snakemake take for a folder's name where it is quoted: no hidden meaning of a leading - or ~,
# no braces, in which Snakemake has its wildcards, nothing invisible.
FOLDER_NAME = r"(?![-~\s]|\.{1,2}(?:/|\Z))[^/{}\x00-\x1f\x7f-\x9f]+(?<!\s)"
FOLDER_PATH = rf"(?:\.\./)*{FOLDER_NAME}(?:/{FOLDER_NAME})*"

DEV = "dev"  # the value of an option that stands for the one chosen on the dev set
DATA = ("original", "distilled")
OWN = "own"  # in a stage of training: the pairs that the run's name says
LANGUAGE = "[a-z]{2,3}"
DIRECTION = f"{LANGUAGE}-{LANGUAGE}"
_OPTION = "[A-Za-z_]+=[^-/]+"
OVERRIDES = f"(?:-{_OPTION})*"
DECODING = f"{_OPTION}(?:-{_OPTION})*"
_RUN = re.compile(f"({DIRECTION})/([^-/]+)-({'|'.join(DATA)})({OVERRIDES})")


class RunName(NamedTuple):
    """The parts of a run's name. overrides: the settings that it spells, as text."""

    direction: str
    system: str
    data: str
    overrides: dict[str, str]

    @property
    def name(self) -> str:
        """The name itself: its folder below runs/."""
        return run_name(self.direction, self.system, self.data, tuple(self.overrides.items()))


def join_options(options: Options) -> str:
    """Options as they stand in a name: "M=3-s=2.0"."""
    return "-".join(f"{key}={value}" for key, value in options)


def split_options(text: str) -> dict[str, str]:
    """The options in a part of a name: "M=3-s=2.0", or "-M=3-s=2.0", is {"M": "3", "s": "2.0"}."""
    return dict(part.split("=", 1) for part in text.split("-") if part)


def run_name(direction: str, system: str, data: str, settings: Options = ()) -> str:
    """ "en-de/xlmd-distilled-M=3-s=2.0"."""
    return f"{direction}/{'-'.join(filter(None, [system, data, join_options(settings)]))}"


def parse_run(name: str) -> RunName:
    """The inverse of `run_name`. Raises UserError if `name` is not a run's."""
    match = _RUN.fullmatch(name)
    if not match:
        raise UserError(f"{name!r} does not name a run: expected DIRECTION/SYSTEM-DATA-key=value, DATA in {DATA}")
    direction, system, data, overrides = match.groups()
    return RunName(direction, system, data, split_options(overrides))


def parse_decoding(name: str) -> dict[str, str]:
    """The options that a decoding's name spells: "iterations=4-strategy=static" is {"iterations": "4", …}.

    Raises UserError if `name` is not a decoding's.
    """
    if not re.fullmatch(DECODING, name):
        raise UserError(f"{name!r} does not name a decoding: expected key=value, joined by -, as iterations=4")
    return split_options(name)
