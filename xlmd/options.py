"""Settings as dataclasses whose fields are at once documentation, command-line flags and records of a run.

A value is text on a command line and in the name of a run or decoding: `parse` is the one place that reads such text.
"""

import argparse
import math
import types
from dataclasses import MISSING, Field, field, fields
from functools import partial
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from xlmd.errors import UserError

_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


class _Help(str):
    """A help text that carries its setting's smallest value; argparse, which is given the text, need not know."""

    minimum: float | None = None


def option(default: Any, text: str, minimum: float | None = None) -> Any:
    """A dataclass field with its default, the help text of its command-line flag and its smallest value."""
    described = _Help(text)
    described.minimum = minimum
    return field(default=default, metadata={"help": described})


def required(text: str) -> Any:
    """A dataclass field whose flag must be given."""
    return field(metadata={"help": text})


def minimum_of(item: Field) -> float | None:
    """The smallest value that a field made by `option` may have, or None."""
    return getattr(item.metadata.get("help"), "minimum", None)


def parse(name: str, text: str, hint: Any) -> Any:
    """The value of an option from its text, by the option's type.

    hint: bool, int, float, str, a Literal of texts, or one of these or None ("none" in text). Raises UserError naming
    the option and what may stand there.
    """
    if _is_optional(hint) and text.lower() == "none":
        return None
    hint = _bare(hint)
    if hint is bool and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if hint is str or (get_origin(hint) is Literal and text in get_args(hint)):
        return text
    if hint in (int, float):
        try:
            if math.isfinite(value := hint(text)):
                return value
        except ValueError:
            pass
    raise UserError(f"{name} = {text!r}: expected {_expected(hint)}")


def parse_options(settings: type, texts: dict[str, str], owner: str) -> dict[str, Any]:
    """Options of a settings dataclass from their texts. owner: whose options they are, in messages.

    Raises UserError naming an option that the dataclass does not have, or a value that does not fit.
    """
    hints = get_type_hints(settings)
    known = {item.name: hints[item.name] for item in fields(settings)}
    for name in texts:
        if name not in known:
            raise UserError(f"{owner} has no option {name!r}; it has: {', '.join(known)}")
    return {name: parse(name, text, known[name]) for name, text in texts.items()}


def add_flags(parser: argparse.ArgumentParser, settings: type) -> None:
    """A flag for each field of a settings dataclass: --max_tokens, or --max-tokens, with a value that `parse` reads.

    A bool alone means true; a list takes several texts.
    """
    hints = get_type_hints(settings)
    for item in fields(settings):
        hint = hints[item.name]
        keywords: dict[str, Any] = {"dest": item.name, "metavar": _choices(hint) or item.name.upper()}
        keywords["help"] = str(item.metadata.get("help", "")).replace("%", "%%")
        keywords |= {"required": True} if item.default is MISSING else {"default": item.default}
        keywords |= {"nargs": "+"} if hint == list[str] else {"type": partial(parse, item.name, hint=hint)}
        if hint is bool:
            keywords |= {"nargs": "?", "const": True}
        parser.add_argument(*dict.fromkeys([f"--{item.name}", f"--{item.name.replace('_', '-')}"]), **keywords)


def from_arguments(args: argparse.Namespace, settings: type) -> Any:
    """An instance of a settings dataclass from what `add_flags` had parsed."""
    return settings(**{item.name: getattr(args, item.name) for item in fields(settings)})


def check(settings: Any) -> None:
    """Raise UserError naming the first setting below its minimum or outside its choices."""
    hints = get_type_hints(type(settings))
    for item in fields(settings):
        value, least, hint = getattr(settings, item.name), minimum_of(item), _bare(hints[item.name])
        if value is None:
            continue
        if least is not None and value < least:
            raise UserError(f"{item.name} = {value}: must be at least {least}")
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise UserError(f"{item.name} = {value!r}: expected {_expected(hint)}")


def from_mapping(settings: type, values: dict[str, Any]) -> Any:
    """An instance of a settings dataclass from a mapping.

    Raises UserError naming a key that it does not have, or one that it needs.
    """
    known = {item.name: item for item in fields(settings)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(f"unknown setting {unknown[0]!r}; {settings.__name__} has: {', '.join(sorted(known))}")
    needed = [name for name, item in known.items() if item.default is MISSING and item.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise UserError(f"setting {missing[0]!r} of {settings.__name__} is missing")
    return settings(**values)


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) in (types.UnionType, Union) and type(None) in get_args(hint)


def _bare(hint: Any) -> Any:
    """A type without its "or None"."""
    if not _is_optional(hint):
        return hint
    (kind,) = (part for part in get_args(hint) if part is not type(None))
    return kind


def _choices(hint: Any) -> str:
    """The texts that a flag takes, where they are few, as "{a,b}"."""
    choices = ("true", "false") if hint is bool else get_args(hint) if get_origin(hint) is Literal else ()
    return f"{{{','.join(choices)}}}" if choices else ""


def _expected(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    return {bool: "true or false", int: "a whole number", float: "a number"}[hint]
