"""What a script tells the server, line by line: every message is read, and nothing that a script writes raises."""

from __future__ import annotations

import base64
import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from knossos.scripting.channel import (
    MAX_LINE_BYTES,
    Attachment,
    ChannelReader,
    Level,
    LogLine,
    Mail,
    Malformed,
    Message,
    Progress,
    Shared,
    parse_line,
)

MAIL: dict[str, Any] = {
    "to": ["ann@example.org"],
    "cc": ["bob@example.org"],
    "subject": "Your table",
    "text": "It is done.",
    "html": None,
    "attachments": [{"name": "t.csv", "type": "text/csv", "base64": "YSxi"}],
}


def read(value: Any) -> Message | None:
    return parse_line(json.dumps(value).encode())


def read_mail(**changes: Any) -> Message | None:
    return read({"mail": {**MAIL, **changes}})


def test_each_json_message_is_read() -> None:
    assert read({"progress": 0.3, "text": "step"}) == Progress(0.3, "step")
    assert read({"progress": 1}) == Progress(1.0, "")
    assert read({"log": "debug", "text": "a detail"}) == LogLine(Level.DEBUG, "a detail")
    assert read({"shared": "a b.png", "title": "A picture"}) == Shared("a b.png", "A picture")
    attachment = Attachment("t.csv", "text/csv", b"a,b")
    to, cc = ("ann@example.org",), ("bob@example.org",)
    assert read_mail() == Mail(to, cc, "Your table", "It is done.", None, (attachment,))
    assert read_mail(html="<p>", attachments=[], cc=[]) == Mail(to, (), "Your table", "It is done.", "<p>", ())


def test_each_plain_message_is_read() -> None:
    assert parse_line(b"progress 0.3 reading the table") == Progress(0.3, "reading the table")
    assert parse_line(b"progress 1") == Progress(1.0, "")
    assert parse_line("info größer\r".encode()) == LogLine(Level.INFO, "größer")
    assert parse_line(b"warning  look here ") == LogLine(Level.WARNING, "look here")
    assert parse_line(b"error") == LogLine(Level.ERROR, "")


def test_an_empty_line_says_nothing() -> None:
    assert parse_line(b"") is None
    assert parse_line(b" \r") is None


def test_a_fraction_beyond_its_bounds_is_brought_back() -> None:
    assert read({"progress": 10**400, "text": ""}) == Progress(1.0, "")
    assert read({"progress": -3}) == Progress(0.0, "")
    assert parse_line(b"progress inf") == Progress(1.0, "")


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"information is not a word of it",
        b"progress",
        b"progress half done",
        b"progress nan",
        b"{",
        b"{}",
        b'{"progress": true}',
        b'{"progress": "0.3"}',
        b'{"progress": NaN}',
        b'{"progress": 0.1, "log": "info", "text": ""}',
        b'{"log": "fatal", "text": ""}',
        b'{"log": ["info"], "text": ""}',
        b'{"log": "info"}',
        b'{"log": "info", "text": 3}',
        b'{"shared": "../../etc/passwd"}',
        b'{"shared": ".hidden"}',
        b'{"shared": ""}',
        b'{"shared": "a\\u0000b"}',
        b'{"shared": "a\\\\b"}',
        b'{"shared": "' + b"n" * 256 + b'"}',
        b'{"mail": []}',
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_message_is_malformed_and_says_what_was_expected(line: bytes) -> None:
    message = parse_line(line)
    assert isinstance(message, Malformed)
    assert message.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"to": []},
        {"to": "ann@example.org"},
        {"to": ["ann"]},
        {"to": ["ann@example.org\nBcc: eve@example.org"]},
        {"to": ["ann@example.org, eve@example.org"]},
        {"to": [None]},
        {"cc": ["a@example.org"] * 100},
        {"subject": "a\nBcc: eve@example.org"},
        {"text": 3},
        {"html": 3},
        {"attachments": {}},
        {"attachments": [3]},
        {"attachments": [{"name": "a/b", "base64": ""}]},
        {"attachments": [{"name": "a", "type": "text/csv\r\nX: y", "base64": ""}]},
        {"attachments": [{"name": "a", "base64": "?"}]},
        {"attachments": [{"name": "a", "base64": "ü"}]},
        {"attachments": [{"name": "a"}]},
    ],
)
def test_a_mail_that_breaks_the_rules_is_malformed(changes: dict[str, Any]) -> None:
    assert isinstance(read_mail(**changes), Malformed)


def test_half_of_a_surrogate_pair_does_not_come_through() -> None:
    message = parse_line(b'{"log": "info", "text": "a\\ud800b"}')
    assert message == LogLine(Level.INFO, "a?b")


def test_bytes_that_are_no_utf_8_are_shown_as_such() -> None:
    assert parse_line(b"info a\xffb") == LogLine(Level.INFO, "a\ufffdb")


def test_a_line_that_is_too_long_is_told_once_and_skipped_to_its_end() -> None:
    reader = ChannelReader(max_line_bytes=10)
    assert reader.feed(b"info 12345\ninfo 12") == [LogLine(Level.INFO, "12345")]
    assert reader.feed(b"3456") == [Malformed("a line is longer than 10 bytes")]
    assert reader.feed(b"x" * 100) == []
    assert reader.feed(b"y\ninfo z\n") == [LogLine(Level.INFO, "z")]


def test_a_last_line_without_its_end_counts() -> None:
    reader = ChannelReader()
    assert reader.feed(b"info a") == []
    assert reader.close() == [LogLine(Level.INFO, "a")]
    assert reader.close() == []
    skipping = ChannelReader(max_line_bytes=3)
    assert len(skipping.feed(b"info")) == 1
    assert skipping.close() == []


def test_the_longest_line_is_a_mebibyte() -> None:
    text = "x" * (MAX_LINE_BYTES - len("info "))
    assert ChannelReader().feed(f"info {text}\n".encode()) == [LogLine(Level.INFO, text)]
    assert isinstance(ChannelReader().feed(f"info {text}y\n".encode())[0], Malformed)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NEARLY = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("progress", "log", "shared", "title", "text"), _VALUES)
    | {"mail": st.fixed_dictionaries({}, optional=dict.fromkeys(MAIL, _VALUES)) | _VALUES},
).map(lambda value: json.dumps(value).encode())
_WORDS = st.builds(
    lambda word, rest: word + b" " + rest,
    st.sampled_from([b"progress", b"info", b"warning", b"error", b"debug"]),
    st.binary(max_size=30),
)
_LINES = st.binary(max_size=40) | _NEARLY | _WORDS


@settings(deadline=None)
@given(st.lists(_LINES, max_size=6), st.lists(st.integers(0, 300), max_size=8))
@example([b"{" * 5], [1])
def test_however_it_arrives_it_is_read_the_same_and_never_raises(lines: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(lines)
    whole, pieces = ChannelReader(), ChannelReader()
    expected = whole.feed(data) + whole.close()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    got: list[Message] = []
    for start, end in itertools.pairwise(edges):
        got += pieces.feed(data[start:end])
    assert got + pieces.close() == expected
    for message in got:
        assert not isinstance(message, Progress) or (0 <= message.fraction <= 1 and not math.isnan(message.fraction))


@settings(deadline=None)
@given(
    st.lists(st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.org", fullmatch=True), min_size=1, max_size=3),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=50),
)
def test_a_mail_comes_through_as_it_was_written(to: list[str], subject: str, text: str, content: bytes) -> None:
    attachment = {"name": "a.bin", "type": "application/x-a", "base64": base64.b64encode(content).decode()}
    expected = Attachment("a.bin", "application/x-a", content)
    message = read({"mail": {"to": to, "subject": subject, "text": text, "attachments": [attachment]}})
    assert message == Mail(tuple(to), (), subject, text, None, (expected,))
