"""Settings as dataclasses whose fields are at once documentation, command-line flags and records of a run."""

from dataclasses import Field, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from xlmd.errors import UserError


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


def check(settings: Any) -> None:
    """Raise UserError naming the first setting below its minimum or outside its choices."""
    hints = get_type_hints(type(settings))
    for item in fields(settings):
        value, least = getattr(settings, item.name), minimum_of(item)
        if least is not None and value is not None and value < least:
            raise UserError(f"{item.name} = {value}: must be at least {least}")
        if get_origin(hints[item.name]) is not None and value is not None:
            choices = [choice for choice in get_args(hints[item.name]) if isinstance(choice, str)]
            if choices and value not in choices:
                raise UserError(f"{item.name} = {value!r}: expected one of {', '.join(choices)}")


def from_mapping(settings: type, values: dict[str, Any]) -> Any:
    """An instance of a settings dataclass from a mapping. Raises UserError naming a key that it does not have."""
    known = {item.name for item in fields(settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"unknown setting {unknown[0]!r}; {settings.__name__} has: {', '.join(sorted(known))}")
    return settings(**values)
