"""Segments and lines between tags: all of them come, or an error."""

import pytest

from xlmd.data.markup import text_between_tags
from xlmd.errors import UserError


def text(*lines):
    return list(text_between_tags(iter(lines), "file"))


HEAD = [
    '<?xml version="1.0"?>',
    "<!DOCTYPE srcset",
    'SYSTEM "x.dtd">',
    '<srcset setid="a" srclang="en">',
    "<doc docid='1'>",
]
TAIL = ["</doc>", "</srcset>"]


@pytest.mark.parametrize(
    ("lines", "segments"),
    [
        (['<seg id="1"> One </seg>'], ["One"]),
        (['<p><seg id="1">One</seg></p>'], ["One"]),
        (['<hl> <seg id="1">One</seg> </hl>'], ["One"]),
        (['<SEG ID="1">One</SEG>'], ["One"]),
        (["<seg>One</seg><seg>Two</seg>"], ["One", "Two"]),
        (["<p> <seg id='1'>One</seg> <seg id='2'>Two</seg> </p>", "", "<seg>Three</seg>"], ["One", "Two", "Three"]),
        (['<seg id="1">One', 'and one</seg>'], ["One and one"]),
        (['<seg id="1">One', 'and one</seg><seg id="2">Two</seg>'], ["One and one", "Two"]),
        (["<seg", 'id="1">', "One", "</seg>"], ["One"]),
        (['<seg id="1">a <b>bold</b> &lt; <3 </seg>'], ["a <b>bold</b> &lt; <3"]),
        (['<seg id="1"></seg>', '<seg id="2"/>', '<seg id="3" />', "<seg> One </seg >"], ["", "", "", "One"]),
        (["<!-- <seg>no</seg> --><seg>One</seg>", "<!--", "<seg>no</seg> -->"], ["One"]),
        (["<title>A talk", "in two lines</title>", "<seg>One</seg>"], ["One"]),
        (["<TEXT>", "<poster>", "<seg>One</seg>", "</poster>", "</TEXT>"], ["One"]),
    ],
)  # fmt: skip
def test_every_segment_of_a_test_set_is_read(lines, segments):
    assert text(*HEAD, *lines, *TAIL) == segments
    assert text(*HEAD, *lines, "", *lines, *TAIL) == 2 * segments


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["<seg>One", "<seg>Two</seg>"], "line 1: a tag is not closed: <seg>One"),
        (["<seg>One <seg>Two</seg>"], "line 1: a tag is not closed"),
        (["<seg>One</seg>", "<seg>Two", "</doc>"], "line 2: a tag is not closed: <seg>Two"),
        (["<seg>One</seg>", "Two"], "line 2: text outside of the segments: Two"),
        (["<seg>One</seg> Two"], "line 1: text outside of the segments: Two"),
        (["One", "<seg>Two</seg>"], "line 2: text outside of the segments"),
        (["<doc>", "<src lang='en'>", "<seg>One</seg>", "</src>"], "line 2: <src lang='en'> means .* several texts"),
        (["<title>A talk", "One", "<title>B</title>"], "line 1: a tag is not closed: <title>A talk"),
        (["<title>A talk", *["One"] * 1000], "line 1: a tag is not closed: <title>A talk"),
        (["<title>A talk</title> One"], "line 1: text beside a tag"),
    ],
)
def test_a_segment_that_cannot_be_told_is_an_error_with_its_line(lines, message):
    with pytest.raises(UserError, match=f"file, {message}"):
        text(*lines)


LINES = [
    " Hello < world ", "<3 you all", "<3", "< a", "", "<-- look", "<i>so</i> it is", "<Applause>", "a <b> c", "<",
    "x <y", "<page 3", "<segment>", "<http://a.b> is one",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_only_looks_like_a_tag_is_text(line):
    tags = [
        "<url>http://a</url>",
        "  <title>x <3</title> ",
        '<doc docid="1" genre="lectures">',
        "<reviewer></reviewer>",
    ]
    assert text(*tags, line, "One", line, "</doc>", *tags, line) == [line, "One", line, line]
    assert text(*tags, line) == [line]
