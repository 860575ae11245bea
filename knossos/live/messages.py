"""From the events of a job to the messages of a watcher, and to the bytes on the wire.

Owns the shape of each message in both styles; sends nothing and reads nothing. What always holds: a message
is encoded once for each style, however many watchers get it, and a jump in the numbers of the log's lines
is told as a line of its own.

The format is the one of the converter's WebSocket: ``[event, [argument, ...]]``. Newer clients say from which
event they want to go on and get the event's id as a third item.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from knossos.jobs.events import Event, parse_entry, read_event

#: The place before the first event of a job.
BEGINNING = "0-0"

#: What reading raises of an entry that is no event.
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)

_EVENT_ID = re.compile(r"\d{1,19}-\d{1,19}", re.ASCII)


class Style(StrEnum):
    """What a client understands."""

    #: ``[event, arguments]``; the events of the old server only.
    OLD = "old"
    #: ``[event, arguments, id]``; all events.
    NEW = "new"


BOTH = frozenset(Style)
NEW_ONLY = frozenset({Style.NEW})
OLD_ONLY = frozenset({Style.OLD})


def is_event_id(text: str) -> bool:
    """Say whether ``text`` has the form of an event's id, ``<milliseconds>-<number>``."""
    return _EVENT_ID.fullmatch(text) is not None


def position(event_id: str) -> tuple[int, int]:
    """Give what orders event ids."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number)


@dataclass(frozen=True, slots=True)
class Message:
    """One message to watchers of the given styles."""

    event: str
    arguments: list[Any]
    id: str
    styles: frozenset[Style] = BOTH


@dataclass(slots=True)
class Tale:
    """Turns events into messages in order, and remembers what the next one depends on.

    ``line`` is the number of the last log line that was told; None where that is not known, which is the
    case for a client that goes on after an event that has been removed since.
    """

    line: int | None = 0
    #: Id of the event that was told last.
    last_id: str = BEGINNING
    #: Id of the question that was asked last.
    question: str | None = None
    #: True once the last event of the job was told.
    ended: bool = False

    def tell(self, events: Iterable[Event]) -> list[Message]:
        """Return the messages for ``events``, which follow those told before."""
        messages: list[Message] = []
        for event in events:
            messages.extend(self._tell_one(event))
            self.last_id = event.id
        return messages

    def _tell_one(self, event: Event) -> list[Message]:
        data = event.data
        match event.type:
            case "log":
                return [*self._cut(data), Message("log_message", [_log_line(data)], event.id)]
            case "output":
                return _output(event)
            case "progress":
                return [Message("progress", [data.get("fraction", 0), data.get("text", "")], event.id)]
            case "files":
                return [Message("files", [data.get("files", [])], event.id, NEW_ONLY)]
            case "question":
                self.question = data.get("id")
                return self._question(event)
            case "state":
                return self._state(event)
            case "answered":
                self.question = None
                return [Message("answered", [], event.id, NEW_ONLY)]
            case "done":
                self.ended, self.question = True, None
                return _done(event)
        return []

    def _cut(self, data: dict[str, Any]) -> list[Message]:
        """Tell of lines that are missing before this one; the id is that of the event before the gap."""
        line, before = data.get("line"), self.line
        if not isinstance(line, int):
            return []
        self.line = line
        if before is None or line <= before + 1:
            return []
        missing = line - before - 1
        lines = "1 line was" if missing == 1 else f"{missing} lines were"
        return [Message("log_message", [f"WARNING: ... {lines} cut here: the log is too long ..."], self.last_id)]

    def _question(self, event: Event) -> list[Message]:
        details = event.data.get("data")
        image = details.get("image") if isinstance(details, dict) else None
        return [Message("captcha", [image], event.id)] if event.data.get("kind") == "captcha" else []

    def _state(self, event: Event) -> list[Message]:
        # A job that starts anew, or ends, asks its questions no more.
        self.question = None
        messages = [Message("state", [event.data], event.id, NEW_ONLY)]
        if event.data.get("state") == "retrying" and event.data.get("text"):
            messages.append(Message("log_message", [f"WARNING: {event.data['text']}"], event.id, OLD_ONLY))
        return messages


def _output(event: Event) -> list[Message]:
    """What a program wrote; clients of the old server know lines of the log only."""
    stream, text = str(event.data.get("stream", "")), str(event.data.get("text", ""))
    level = "WARNING" if stream == "stderr" else "INFO"
    return [
        Message("output", [stream, text], event.id, NEW_ONLY),
        Message("log_message", [f"{level}: {text.rstrip()}"], event.id, OLD_ONLY),
    ]


def _done(event: Event) -> list[Message]:
    success, failure = bool(event.data.get("success")), event.data.get("failure")
    messages = [
        Message("done", [success], event.id, OLD_ONLY),
        Message("done", [success, {"state": event.data.get("state"), "failure": failure}], event.id, NEW_ONLY),
    ]
    if isinstance(failure, dict):
        # Clients of the old server read why only from the log.
        messages.insert(0, Message("log_message", [f"ERROR: {failure.get('message', '')}"], event.id, OLD_ONLY))
    return messages


def _log_line(data: dict[str, Any]) -> str:
    return f"{str(data.get('level', 'info')).upper()}: {data.get('text', '')}"


@dataclass(slots=True)
class Encoded:
    """Messages that many watchers get, encoded when the first of a style asks for them."""

    messages: list[Message]
    _bytes: dict[Style, bytes] = field(default_factory=dict)

    def for_style(self, style: Style) -> bytes:
        """Return the frames of all messages, one after the other, ready for the socket."""
        known = self._bytes.get(style)
        if known is None:
            known = self._bytes[style] = b"".join(
                frame(encode(message, style)) for message in self.messages if style in message.styles
            )
        return known


#: Made once: ``json.dumps`` makes one for each call that wants anything of its own.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(message: Message, style: Style) -> str:
    """Return the JSON text of a message."""
    parts: list[Any] = [message.event, message.arguments]
    if style is Style.NEW:
        parts.append(message.id)
    return _ENCODER.encode(parts)


def frame(text: str) -> bytes:
    """Return the WebSocket frame (RFC 6455, section 5.2) of a whole text message from server to client.

    It is built here since one frame goes to many sockets: the frame of a server is not masked and, without
    compression, the same for all of them.
    """
    # A lone surrogate has no UTF-8; a browser would close the socket over it.
    payload = text.encode("utf-8", errors="replace")
    size = len(payload)
    if size < 126:
        header = struct.pack("!BB", 0x81, size)
    elif size <= 0xFFFF:
        header = struct.pack("!BBH", 0x81, 126, size)
    else:
        header = struct.pack("!BBQ", 0x81, 127, size)
    return header + payload


def parse_announced(text: str) -> tuple[str, Event] | None:
    """Read what follows the ticket in an announcement: the id of the entry before, and the event.

    None where there is no event in it.
    """
    parts = text.split(" ", 4)
    if len(parts) < 5 or not (is_event_id(parts[0]) and is_event_id(parts[1])):
        return None
    before, event_id, line, kind, data = parts
    try:
        event = read_event(event_id, kind, data, line or None)
    except UNREADABLE:
        return None
    return (before, event) if isinstance(event.data, dict) else None


def parse_entries(entries: Iterable[Any]) -> list[Event]:
    """Read the entries of an XRANGE or XREAD answer (RESP2: id and a flat list of fields).

    What is no event is left out: a foreign entry must not end the watching of a job.
    """
    events = []
    for entry_id, fields in entries:
        try:
            event = parse_entry(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
        except UNREADABLE:
            continue
        if isinstance(event.data, dict):
            events.append(event)
    return events
