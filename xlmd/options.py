"""Settings as dataclasses whose fields are at once documentation, command-line flags and records of a run."""

from dataclasses import field, fields
from typing import Any

from xlmd.errors import UserError


def option(default: Any, text: str) -> Any:
    """A dataclass field with its default and the help text of its command-line flag."""
    return field(default=default, metadata={"help": text})


def from_mapping(settings: type, values: dict[str, Any]) -> Any:
    """An instance of a settings dataclass from a mapping. Raises UserError naming a key that it does not have."""
    known = {item.name for item in fields(settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"unknown setting {unknown[0]!r}; {settings.__name__} has: {', '.join(sorted(known))}")
    return settings(**values)
