"""Text between tags: in IWSLT's training files lines among lines of tags, in test sets in SGML or XML segments."""

import re
from collections.abc import Iterator

from xlmd.errors import UserError

# Elements whose text tells of a talk and is none of it, and elements that hold others.
_DESCRIBING = "url|keywords|speaker|talkid|title|description|reviewer|translator|date|author|source"
_HOLDING = "xml|mteval|dataset|docset|srcset|refset|tstset|doc|transcript|head|body|p|hl|h1"
_END = r"(?=[\s/>]|$)"  # of the name of a tag
_INSIDE = rf"(?:(?!</?(?:seg|{_DESCRIBING}|{_HOLDING}){_END}).)*"
_LONGEST = 100  # lines of one element

_COMMENT = re.compile("<!--.*?-->")
_SEGMENT = re.compile(rf"<seg(?:\s[^>]*)?/>|<seg(?:\s[^>]*)?>({_INSIDE})</seg\s*>", re.IGNORECASE)
_TAG = re.compile(
    rf"<[?!][^>]*>|<({_DESCRIBING})(?:\s[^>]*)?>{_INSIDE}</\1\s*>|</?(?:{_HOLDING})(?:\s[^>]*)?/?>", re.IGNORECASE
)
_OPEN = re.compile(rf"<!--|<[?!][^>]*$|<(?:seg|{_DESCRIBING}){_END}|</?(?:{_HOLDING})(?:\s[^>]*)?$", re.IGNORECASE)
_ANY_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_OF_SEVERAL_TEXTS = re.compile(r"</?(?:src|ref|hyp)(?:\s[^>]*)?>", re.IGNORECASE)


def text_between_tags(lines: Iterator[str], name: str) -> Iterator[str]:
    """The segments of a test set, one a line with single spaces, or what is no line of tags in a training file.

    A segment may stand beside others, inside other elements, and on several lines. A line that only begins like a tag,
    as "<3", is text. name: of the file. Raises UserError naming the line of an element that is not closed, of text
    beside tags or outside of segments, and of a file that holds several texts.
    """
    has_segments: bool | None = None  # unknown as yet
    undecided: list[str] = []  # lines that are text only if it has none
    for number, line in _elements(lines, name):
        segments = [" ".join((match[1] or "").split()) for match in _SEGMENT.finditer(line)]
        rest = _TAG.sub("", _SEGMENT.sub("", line)).strip()
        place = f"{name}, line {number}"
        if rest == "" and not segments and line.strip():
            continue
        if _OF_SEVERAL_TEXTS.match(rest) and has_segments is not False:
            raise UserError(f"{place}: {rest[:60]} means that there are several texts in the file: take them apart")
        if has_segments is None and not segments and _ANY_TAG.sub("", rest) == "":
            undecided.append(line)
            continue
        if has_segments is None:
            has_segments = bool(segments)
            yield from [] if has_segments else undecided
        if has_segments and _ANY_TAG.sub("", rest).strip() or segments and not has_segments:
            raise UserError(f"{place}: text outside of the segments: {(rest or line).strip()[:60]}")
        if not has_segments and rest != line.strip():
            raise UserError(f"{place}: text beside a tag: {line.strip()[:60]}")
        yield from segments if has_segments else [line]
    yield from undecided if has_segments is None else []


def _elements(lines: Iterator[str], name: str) -> Iterator[tuple[int, str]]:
    """(number, line) without comments; those that an element or tag begins on and ends on are one."""
    first, held = 0, ""
    for number, line in enumerate(lines, 1):
        first, held = (first, f"{held} {line}") if held else (number, line)
        if "<" in held:
            held = _COMMENT.sub("", held)
            begun = _OPEN.search(closed := _TAG.sub("\0", _SEGMENT.sub("\0", held)))
            if begun and ("\0" in closed[begun.end() :] or number - first > _LONGEST):
                break
            if begun:
                continue
        yield first, held
        held = ""
    if held:
        raise UserError(f"{name}, line {first}: a tag is not closed: {held.strip()[:60]}")
