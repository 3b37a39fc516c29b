"""Texts of options, as on a command line and in the names of runs and decodings."""

import argparse
from dataclasses import dataclass
from typing import Literal

import pytest

from xlmd.errors import UserError
from xlmd.options import add_flags, check, from_arguments, from_mapping, option, parse, parse_options

Colour = Literal["red", "green"]


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("False", bool, False), ("true", bool, True), ("0", bool, False), ("yes", bool, True),
        ("4", int, 4), ("-1", int, -1), ("4", float, 4.0), ("1e-3", float, 0.001),
        ("None", str, "None"), ("none", int | None, None), ("None", float | None, None), ("3", int | None, 3),
        ("green", Colour, "green"), ("None", Colour | None, None), ("red", Colour | None, "red"),
        ("False", bool | None, False),
    ],
)  # fmt: skip
def test_a_text_becomes_a_value_of_the_options_type(text, hint, value):
    parsed = parse("x", text, hint)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("maybe", bool, "true or false"), ("", bool, "true or false"), ("2", bool, "true or false"),
        ("4.0", int, "a whole number"), ("four", int | None, "a whole number"), ("none", int, "a whole number"),
        ("nan", float, "a number"), ("inf", float, "a number"), ("blue", Colour, "one of red, green"),
    ],
)  # fmt: skip
def test_a_text_of_another_kind_is_named_with_the_option_and_what_is_expected(text, hint, expected):
    with pytest.raises(UserError, match=f"^x = '{text}': expected {expected}$"):
        parse("x", text, hint)


@dataclass
class Paint:
    colour: Colour
    coats: int = option(2, "coats, 100% of them", 1)
    gloss: bool = option(True, "whether it shines")
    dry_hours: float | None = option(None, "hours to dry", 0)
    rooms: list[str] = option(None, "what is painted")


def flags(*argv):
    parser = argparse.ArgumentParser()
    add_flags(parser, Paint)
    return from_arguments(parser.parse_args(argv), Paint), parser.format_help()


def test_every_field_is_a_flag_in_either_spelling():
    given, text = flags(
        "--colour", "red", "--coats=3", "--gloss", "False", "--dry-hours", "1.5", "--rooms", "hall", "bath"
    )
    assert given == Paint("red", 3, False, 1.5, ["hall", "bath"])
    assert flags("--colour", "red", "--dry_hours=none", "--gloss")[0] == Paint("red")
    assert "100% of them" in text and "{red,green}" in text and "MISSING" not in text


def test_an_unknown_or_missing_option_is_named():
    with pytest.raises(UserError, match="paint has no option 'coat'; it has: colour, coats"):
        parse_options(Paint, {"coat": "1"}, "paint")
    with pytest.raises(UserError, match="'colour' of Paint is missing"):
        from_mapping(Paint, {"coats": 1})


def test_a_value_out_of_its_choices_is_named_even_where_none_is_one():
    @dataclass
    class Choice:
        colour: Colour | None = option(None, "a colour")

    check(Choice())
    with pytest.raises(UserError, match="colour = 'blue': expected one of red, green"):
        check(Choice("blue"))
