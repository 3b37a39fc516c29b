"""Lines that are too long come apart where sentences end."""

import pytest

from xlmd.translate.sentences import pieces


def words(most):
    return lambda text: len(text.split()) <= most


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("one two three four", ["one two three four"]),
        ("One two. Three four! Five?", ["One two.", "Three four!", "Five?"]),
        ("one two three four five six", ["one two three", "four five six"]),
        ("One two. Three four five six seven.", ["One two.", "Three four five", "six seven."]),
    ],
)
def test_a_line_is_left_alone_or_split_at_sentences_or_halved(line, expected):
    assert pieces(line, words(4)) == expected


def test_sentences_without_spaces_and_words_without_end_come_apart_too():
    assert pieces("今日は晴れ。明日は雨。", lambda text: len(text) < 8) == ["今日は晴れ。", "明日は雨。"]
    parts = pieces("a" * 1000, lambda text: len(text) <= 30)
    assert "".join(parts) == "a" * 1000 and max(map(len, parts)) <= 30


def test_what_never_fits_ends_in_characters():
    assert pieces("abc d", lambda text: False) == ["a", "b", "c", "d"]
