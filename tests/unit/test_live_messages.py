"""How events become messages and frames."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from knossos.jobs import Event
from knossos.live.messages import Encoded, Message, Style, Tale, frame, is_event_id, parse_entries, position


def log(number: int, line: int) -> Event:
    return Event(f"{number}-0", "log", {"level": "INFO", "text": f"line {line}", "line": line})


def texts(messages: list[Message]) -> list[Any]:
    return [message.arguments[0] for message in messages]


def decode(data: bytes) -> list[Any]:
    """Read frames as a client does."""
    messages = []
    while data:
        assert data[0] == 0x81
        size, start = data[1], 2
        if size == 126:
            (size,), start = struct.unpack("!H", data[2:4]), 4
        elif size == 127:
            (size,), start = struct.unpack("!Q", data[2:10]), 10
        messages.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    return messages


def test_a_gap_in_the_lines_is_told_with_the_id_of_the_event_before_it() -> None:
    messages = Tale().tell([log(1, 1), log(2, 2), log(9, 7), log(10, 8)])
    assert texts(messages) == [
        "INFO: line 1",
        "INFO: line 2",
        "WARNING: ... 4 lines were cut here: the log is too long ...",
        "INFO: line 7",
        "INFO: line 8",
    ]
    assert [message.id for message in messages] == ["1-0", "2-0", "2-0", "9-0", "10-0"]


def test_a_gap_of_one_line_is_one_line() -> None:
    assert "1 line was cut" in texts(Tale(line=4).tell([log(1, 6)]))[0]


def test_a_gap_is_not_claimed_where_it_is_not_known_what_the_client_has_seen() -> None:
    assert texts(Tale(line=None).tell([log(1, 7), log(2, 8)])) == ["INFO: line 7", "INFO: line 8"]


def test_a_gap_between_two_batches_is_told_too() -> None:
    tale = Tale()
    tale.tell([log(1, 1)])
    assert len(tale.tell([log(2, 3)])) == 2


def test_an_open_question_is_known_until_it_is_answered_or_the_job_moves_on() -> None:
    question = Event("1-0", "question", {"id": "q1", "kind": "captcha", "data": {"image": "http://image"}})
    for closing in (
        Event("2-0", "answered", {"id": "q1"}),
        Event("2-0", "state", {"state": "retrying", "attempt": 2, "text": "again"}),
        Event("2-0", "done", {"success": False, "state": "failed", "failure": None}),
    ):
        tale = Tale()
        assert texts(tale.tell([question])) == ["http://image"]
        assert tale.question == "q1"
        tale.tell([closing])
        assert tale.question is None


def test_events_that_nobody_knows_are_told_to_nobody() -> None:
    tale = Tale()
    assert tale.tell([Event("1-0", "brand_new", {}), Event("2-0", "question", {"id": "q", "kind": "other"})]) == []
    assert tale.last_id == "2-0"


def test_each_style_gets_its_own_messages_encoded_once() -> None:
    events = [
        Event("1-0", "state", {"state": "running", "attempt": 1, "text": "begins"}),
        Event("2-0", "files", {"files": []}),
        Event("3-0", "done", {"success": True, "state": "succeeded", "failure": None}),
    ]
    batch = Encoded(Tale().tell(events))
    assert decode(batch.for_style(Style.OLD)) == [["done", [True]]]
    assert decode(batch.for_style(Style.NEW)) == [
        ["state", [{"state": "running", "attempt": 1, "text": "begins"}], "1-0"],
        ["files", [[]], "2-0"],
        ["done", [True, {"state": "succeeded", "failure": None}], "3-0"],
    ]
    assert batch.for_style(Style.NEW) is batch.for_style(Style.NEW)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 0xFFFF, 0x10000, 200_000])
def test_a_frame_of_any_size_is_read_back(size: int) -> None:
    text = json.dumps("ä" * (size // 2))
    assert decode(frame(text) + frame(text)) == [json.loads(text)] * 2


def test_entries_that_are_no_events_are_left_out() -> None:
    entries: list[Any] = [
        ["1-0", ["type", "log", "data", '{"level": "INFO", "text": "x"}', "line", "3"]],
        ["2-0", None],
        ["3-0", ["type", "log"]],
        ["4-0", ["type", "log", "data", "{"]],
        ["5-0", ["data", "{}"]],
        ["6-0", ["type", "log", "data", "[]"]],
        ["7-0", ["type", "log", "data", "{}", "line", "x"]],
        ["8-0", ["odd"]],
    ]
    assert [(event.id, event.data) for event in parse_entries(entries)] == [
        ("1-0", {"level": "INFO", "text": "x", "line": 3})
    ]


def test_ids_are_ordered_as_numbers() -> None:
    assert position("9-5") < position("10-0") < position("10-2") < position("10-10")


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-1-1", "a-b", "1 -1", "٣-٣", "1-1\n", "1" * 20 + "-1"])
def test_what_is_no_event_id_is_known(text: str) -> None:
    assert not is_event_id(text)
    assert is_event_id("1700000000000-0")


def test_output_is_told_as_it_is_and_to_old_clients_as_lines_of_the_log() -> None:
    events = [
        Event("1-0", "output", {"stream": "stdout", "text": "a\n\x1b[1mb"}),
        Event("2-0", "output", {"stream": "stderr", "text": "c\n"}),
    ]
    batch = Encoded(Tale().tell(events))
    assert decode(batch.for_style(Style.NEW)) == [
        ["output", ["stdout", "a\n\x1b[1mb"], "1-0"],
        ["output", ["stderr", "c\n"], "2-0"],
    ]
    assert decode(batch.for_style(Style.OLD)) == [
        ["log_message", ["INFO: a\n\x1b[1mb"]],
        ["log_message", ["WARNING: c"]],
    ]
