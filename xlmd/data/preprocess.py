"""Cleaning, Moses normalisation and tokenisation of raw text, and the way back for scoring."""

import functools
import itertools
import re
import signal
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer

from xlmd.data.romanian import Letters, respelt, with_commas
from xlmd.data.text import composed, parallel_lines, stream_lines
from xlmd.errors import UserError
from xlmd.files import atomic_write, file_sha256, write_json
from xlmd.options import check, option
from xlmd.progress import progress

Tokenization = Literal["moses", "none"]
In = TypeVar("In")
Out = TypeVar("Out")

_CHUNK_LINES = 2_000
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)


@dataclass
class Cleaning:
    """Which training pairs are left out. Dev and test sets lose only pairs with an empty side."""

    max_length: int | None = option(None, "most Moses tokens a side", 1)
    max_ratio: float | None = option(None, "largest ratio of the two sides' Moses tokens", 1)
    held_out: Literal["pair", "side", "keep"] = option(
        "pair", "leave out a pair that stands in dev or test: as a pair, with either side, or not at all"
    )

    def __post_init__(self) -> None:
        check(self)


def preprocess_pair(
    source_raw: str | Path,
    target_raw: str | Path,
    source_language: str,
    target_language: str,
    out: str | Path,
    split: str,
    *,
    tokenize: Tokenization = "moses",
    romanian: Letters = "comma",
    cleaning: Cleaning | None = None,
    held_out: Sequence[tuple[str | Path, str | Path]] = (),
    processes: int = 1,
) -> dict:
    """Clean and tokenise two line-parallel raw files into the folder `out`.

    Writes `<split>.<language>` (tokenised), `<split>.raw.<language>` (the same lines, only composed, with white space
    made single spaces and Romanian as `romanian` says) and `<split>.json` (what was read, kept and dropped by reason;
    tokens and longest line of each side; the sha256 of each file), the last when the others are whole, and returns what
    the JSON holds. A pair with an empty or blank side is dropped; `cleaning` says what else, `held_out` names the raw
    dev and test files that it speaks of, each in the order of the languages; a pair that differs from theirs in its
    encoding alone is one of theirs. tokenize: "moses", or "none" for text that is tokenised already. A language that
    Moses has no rules for gets the English list of abbreviations. Raises UserError on unequal line counts or invalid
    UTF-8, naming file and line.
    """
    if source_language == target_language:
        raise UserError(f"a pair needs two languages, got {source_language!r} twice")
    _check(tokenize)
    cleaning = cleaning or Cleaning(held_out="pair" if held_out else "keep")
    languages = source_language, target_language
    names = [f"{split}.{language}" for language in languages] + [f"{split}.raw.{language}" for language in languages]
    counts: Counter[str] = Counter()
    dropped = Counter({"empty": 0})
    tokens, longest = [0, 0], [0, 0]
    report = Path(out) / f"{split}.json"
    report.unlink(missing_ok=True)
    clean = functools.partial(_clean_pair, languages=languages, tokenize=tokenize, romanian=romanian)
    reasons_to_drop = _Filter(cleaning, held_out)
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_write(Path(out) / name)) for name in names]
        pairs = progress(parallel_lines(source_raw, target_raw), desc=f"preprocess {report.stem}", unit=" pairs")
        for lines in _mapped(clean, pairs, processes, stack):
            counts["read"] += 1
            lengths = [line.count(" ") + 1 if line else 0 for line in lines[:2]]
            reason = reasons_to_drop(lines, lengths)
            if reason is not None:
                dropped[reason] += 1
                continue
            counts["kept"] += 1
            for side, length in enumerate(lengths):
                tokens[side] += length
                longest[side] = max(longest[side], length)
            for file, line in zip(files, lines, strict=True):
                file.write(line + "\n")
        if counts["kept"] == 0:
            raise UserError(f"{source_raw} and {target_raw}: no pair is left of {counts['read']} ({dict(dropped)})")
    summary = {
        "inputs": [str(source_raw), str(target_raw)],
        "languages": list(languages),
        "tokenize": tokenize,
        "romanian": romanian,
        "cleaning": asdict(cleaning),
        "read": counts["read"],
        "kept": counts["kept"],
        "dropped": dict(dropped),
        "tokens": tokens,
        "longest": longest,
        "sha256": {name: file_sha256(Path(out) / name) for name in names},
    }
    write_json(report, summary)
    return summary


class _Filter:
    """Why a pair is left out, if it is."""

    def __init__(self, cleaning: Cleaning, held_out: Sequence[tuple[str | Path, str | Path]]) -> None:
        self._cleaning = cleaning
        pairs = [pair for files in held_out for pair in parallel_lines(*files)] if cleaning.held_out != "keep" else []
        compared = [tuple(map(_compared, pair)) for pair in pairs]
        self._pairs = set(compared) if cleaning.held_out == "pair" else set()
        self._sides = (
            [set(side) for side in zip(*compared, strict=True)] if cleaning.held_out == "side" and compared else []
        )

    def __call__(self, lines: Sequence[str], lengths: Sequence[int]) -> str | None:
        """lines: both sides tokenised, then both raw; lengths: tokens of both sides."""
        most, ratio = self._cleaning.max_length, self._cleaning.max_ratio
        shortest, longest = sorted(lengths)
        if shortest == 0:
            return "empty"
        if most is not None and longest > most:
            return f"longer than {most} tokens"
        if ratio is not None and longest > ratio * shortest:
            return f"lengths differ by more than {ratio:g}"
        return "in dev or test" if self._is_held_out(lines[2:]) else None

    def _is_held_out(self, raw: Sequence[str]) -> bool:
        if not self._pairs and not self._sides:
            return False
        compared = tuple(map(_compared, raw))
        return compared in self._pairs or any(line in side for line, side in zip(compared, self._sides, strict=False))


def preprocess_monolingual(
    raw: str | Path,
    language: str,
    out: str | Path,
    *,
    tokenize: Tokenization = "moses",
    romanian: Letters = "comma",
    held_out: Sequence[str | Path] = (),
    processes: int = 1,
) -> None:
    """Tokenise one raw file into the file `out`, line by line: blank lines stay, so parallel texts stay parallel.

    held_out: raw dev and test files of the language; a line that stands in them, however encoded, becomes blank. Raises
    UserError on invalid UTF-8, naming file and line.
    """
    _check(tokenize)
    unseen = frozenset(_compared(line) for path in held_out for line in stream_lines(path))
    clean = functools.partial(_tokenized_unless, unseen, language=language, tokenize=tokenize, romanian=romanian)
    with ExitStack() as stack:
        handle = stack.enter_context(atomic_write(out))
        lines = progress(stream_lines(raw), desc=f"preprocess {Path(raw).name}", unit=" lines")
        for line in _mapped(clean, lines, processes, stack):
            handle.write(line + "\n")


def tokenize_lines(
    lines: Iterable[str], language: str, tokenize: Tokenization = "moses", romanian: Letters = "comma"
) -> list[str]:
    """Raw sentences as `preprocess_pair` would write them."""
    _check(tokenize)
    return [_tokenized(_cleaned(line, language, romanian), language, tokenize) for line in lines]


def detokenize(lines: Iterable[str], language: str, tokenize: Tokenization = "moses") -> list[str]:
    """Plain text from Moses-tokenised lines, for metrics that tokenise themselves; "none" leaves them as they are."""
    _check(tokenize)
    if tokenize == "none":
        return list(lines)
    moses = MosesDetokenizer(language)
    return [moses.detokenize(line.split(), unescape=False) for line in lines]


def _check(tokenize: str) -> None:
    if tokenize not in ("moses", "none"):
        raise UserError(f"tokenize: expected 'moses' or 'none', got {tokenize!r}")


@functools.cache
def _moses(language: str) -> tuple[MosesPunctNormalizer, MosesTokenizer]:
    return MosesPunctNormalizer(language), MosesTokenizer(language)


def _single_spaced(line: str) -> str:
    # some of the white space that Unicode knows ends a line for other programs, and NUL ends a string
    return " ".join(line.replace("\0", " ").split())


def _cleaned(line: str, language: str, romanian: Letters) -> str:
    return respelt(_single_spaced(composed(line)), language, romanian)


def _compared(line: str) -> str:
    """What two lines have in common that differ in encoding alone: XLM-R's tokenizer, which applies Unicode's normal
    form KC, cannot tell them apart, and a reader cannot see their difference."""
    return with_commas(_single_spaced(unicodedata.normalize("NFKC", _INVISIBLE.sub("", line))))


def _tokenized(line: str, language: str, tokenize: str) -> str:
    """A cleaned line."""
    if tokenize == "none":
        return line
    normalizer, tokenizer = _moses(language)
    return _single_spaced(tokenizer.tokenize(normalizer.normalize(line), escape=False, return_str=True))


def _tokenized_unless(unseen: frozenset[str], line: str, language: str, tokenize: str, romanian: Letters) -> str:
    if unseen and _compared(line) in unseen:
        return ""
    return _tokenized(_cleaned(line, language, romanian), language, tokenize)


def _clean_pair(pair: tuple[str, str], languages: tuple[str, str], tokenize: str, romanian: Letters) -> list[str]:
    """Both sides tokenised, then both raw."""
    raw = [_cleaned(line, language, romanian) for line, language in zip(pair, languages, strict=True)]
    return [_tokenized(line, language, tokenize) for line, language in zip(raw, languages, strict=True)] + raw


def _mapped(function: Callable[[In], Out], items: Iterable[In], processes: int, stack: ExitStack) -> Iterator[Out]:
    """`function` of each item, in order, in so many processes; their pool closes with `stack`.

    No more than a few chunks are under way, so that memory does not grow where the processes are faster than the
    reader. Raises UserError if a process dies, as for want of memory.
    """
    if processes <= 1:
        return map(function, items)
    # A handler of the caller's would have them outlive the pool's attempt to end them.
    pool = ProcessPoolExecutor(processes, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_DFL))
    stack.callback(pool.shutdown, cancel_futures=True)
    return _in_order(pool, functools.partial(_map_chunk, function), items, 4 * processes)


def _in_order(pool: ProcessPoolExecutor, work: Callable[[list], list], items: Iterable, window: int) -> Iterator:
    items = iter(items)
    waiting: deque[Future[list]] = deque()
    try:
        while True:
            while len(waiting) < window and (chunk := list(itertools.islice(items, _CHUNK_LINES))):
                waiting.append(pool.submit(work, chunk))
            if not waiting:
                return
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError("a process that tokenised was killed; was there memory enough?") from error


def _map_chunk(function: Callable[[In], Out], chunk: list[In]) -> list[Out]:
    return [function(item) for item in chunk]
