"""Lexicons: what each concept of the phrasebook is called in a language, in one or two registers."""

from pathlib import Path
from typing import Any

import yaml

from xlmd.data.text import composed
from xlmd.errors import UserError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The share of sentences in the second register. Were both as likely, a teacher's best translation would take either for
# no visible reason, and distillation would leave the student all of the ambiguity that it is there to remove.
SECOND_REGISTER = 0.3

Variant = dict[str, Any]  # a string; true and false only where the grammar knows the field as one of these
Lexicon = dict[str, dict[str, tuple[Variant, ...]]]


def load(path: Path, fields: dict[str, tuple[str, ...]]) -> Lexicon:
    """Read a lexicon: section -> concept -> its one or two register variants, each with the section's `fields` or more.

    A concept's value is one entry (both registers share it) or a list of two. An entry is a mapping of fields to
    strings, or true and false for fields that are not in `fields`; where a section has only one field, the bare string
    will do. Keys are strings as written ("2", not 2). Raises UserError naming file and line for anything else.
    """
    root = compose(path)
    sections = {}
    for name, key, node in mapping(path, root):
        if name not in fields:
            raise error(path, key, f"unknown section {name!r}; expected one of {', '.join(fields)}")
        sections[name] = {
            concept: _variants(path, concept, entry, fields[name]) for concept, _, entry in mapping(path, node)
        }
    for name in fields:
        if name not in sections:
            raise error(path, root, f"section {name!r} is missing")
    return sections


def compose(path: Path) -> yaml.Node:
    """The YAML nodes of a file, which know their lines. Raises UserError naming the file (and line)."""
    try:
        with open(path, encoding="utf-8") as handle:
            root = yaml.compose(composed(handle.read()), _LOADER)
    except OSError as cause:
        raise UserError(f"cannot read {path}: {cause.strerror or cause}") from cause
    except UnicodeDecodeError as cause:
        raise UserError(f"{path}: invalid UTF-8 at byte {cause.start}") from cause
    except yaml.MarkedYAMLError as cause:
        line = f", line {cause.problem_mark.line + 1}" if cause.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {cause.problem}") from cause
    except yaml.YAMLError as cause:
        raise UserError(f"{path}: not valid YAML: {cause}") from cause
    if root is None:
        raise UserError(f"{path}: the file is empty")
    return root


def mapping(path: Path, node: yaml.Node) -> list[tuple[str, yaml.Node, yaml.Node]]:
    """(key as written, key node, value node) of a mapping. Raises UserError if it is none or repeats a key."""
    if not isinstance(node, yaml.MappingNode):
        raise error(path, node, "expected a mapping (name: value)")
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise error(path, key, "a name must be a plain word")
        if key.value in seen:
            raise error(path, key, f"{key.value!r} stands here a second time")
        seen.add(key.value)
    return [(key.value, key, value) for key, value in node.value]


def error(path: Path, node: yaml.Node, message: str) -> UserError:
    return UserError(f"{path}, line {node.start_mark.line + 1}: {message}")


def _variants(path: Path, concept: str, node: yaml.Node, fields: tuple[str, ...]) -> tuple[Variant, ...]:
    entries = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if len(entries) not in (1, 2):
        raise error(path, node, f"{concept} has {len(entries)} variants; expected one or two (the registers)")
    return tuple(_variant(path, concept, entry, fields) for entry in entries)


def _variant(path: Path, concept: str, node: yaml.Node, fields: tuple[str, ...]) -> Variant:
    if isinstance(node, yaml.ScalarNode) and len(fields) == 1:
        return {fields[0]: _value(path, f"{concept}: {fields[0]}", node, required=True)}
    variant = {
        name: _value(path, f"{concept}: {name}", value, name in fields) for name, _, value in mapping(path, node)
    }
    for name in fields:
        if name not in variant:
            raise error(path, node, f"{concept} lacks the field {name!r}")
    return variant


def _value(path: Path, name: str, node: yaml.Node, required: bool) -> str | bool:
    kind = node.tag.rsplit(":", 1)[-1]
    if kind == "str":
        return node.value
    if kind == "bool" and not required:
        return node.value.lower() in ("true", "yes", "on")
    expected = "a string" if required else "a string, true or false"
    raise error(path, node, f"{name} must be {expected}, not {kind} (quotes make it a string)")


def check_complete(lexicon: Lexicon, concepts: dict[str, set[str]], path: Path) -> None:
    """Raise UserError, naming file, section and concept, unless every concept of every section has an entry."""
    for section, names in concepts.items():
        missing = sorted(names - lexicon[section].keys())
        if missing:
            raise UserError(f"{path}: section {section!r} has no entry for {', '.join(missing)}")
