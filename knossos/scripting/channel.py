"""What a running script tells the server, line by line, on the pipe whose number is in KNOSSOS_FD.

Owns the reading of that protocol (docs/scripts.md, "Talking to the page"): bytes go in as they arrive, typed messages
come out. Pure: no file, no clock. A script is a stranger, so nothing that it writes raises: what is not understood is a
`Malformed` that says what was expected, and memory is bounded by the longest line. What becomes of a message (who may
send mail, where a shared file lies) is decided elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: Longest line in bytes, without its end.
MAX_LINE_BYTES = 1024 * 1024
#: Most addresses of one mail, ``to`` and ``cc`` together.
MAX_RECIPIENTS = 100
#: Longest name of a file in bytes of UTF-8, as file systems have it.
MAX_NAME_BYTES = 255

_ADDRESS = re.compile(r'[^\s@,;:<>()\[\]\\"\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,255}')
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*/[A-Za-z0-9][A-Za-z0-9.+_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Level(StrEnum):
    """How much a line of the log matters."""

    #: A detail.
    DEBUG = "debug"
    #: What is being done.
    INFO = "info"
    #: What the user should look at.
    WARNING = "warning"
    #: What went wrong.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the script is, 0 to 1, and what it is at."""

    fraction: float
    text: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the job's log."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail. ``type`` is its media type."""

    name: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the script wants sent. Addresses and subject have no line breaks; whether it may is not said here."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    text: str
    html: str | None
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """The script has put a file of this name (no path, not hidden) into its SHARED_DIR."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is none of the above; ``reason`` says what was expected."""

    reason: str


Message = Progress | LogLine | Mail | Shared | Malformed


class ChannelReader:
    """Cuts what arrives into lines and reads them. Holds one unfinished line at the most."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._line = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages whose lines end in ``data``."""
        return list(self._messages(data))

    def close(self) -> list[Message]:
        """The script has closed the pipe: the last line counts without its end, too."""
        return self.feed(b"\n") if self._line and not self._skipping else []

    def _messages(self, data: bytes) -> Iterator[Message]:
        *ended, rest = data.split(b"\n")
        for piece in ended:
            yield from self._add(piece)
            if not self._skipping and (message := parse_line(bytes(self._line))) is not None:
                yield message
            self._line.clear()
            self._skipping = False
        yield from self._add(rest)

    def _add(self, piece: bytes) -> Iterator[Malformed]:
        if self._skipping:
            return
        if len(self._line) + len(piece) > self._max:
            self._line.clear()
            self._skipping = True
            yield Malformed(f"a line is longer than {self._max} bytes")
        else:
            self._line += piece


def parse_line(line: bytes) -> Message | None:
    """Read one line without its end. None for an empty one. Never raises."""
    text = line.decode("utf-8", "replace").strip()
    if not text:
        return None
    try:
        return _from_json(text) if text.startswith("{") else _from_words(text)
    except _NotUnderstood as error:
        return Malformed(str(error))


class _NotUnderstood(Exception):
    """The line breaks the protocol; the text says how."""


def _from_words(text: str) -> Message:
    word, _, rest = text.partition(" ")
    if word in list(Level):
        return LogLine(Level(word), rest.strip())
    if word == "progress":
        number, _, step = rest.strip().partition(" ")
        try:
            return Progress(_fraction(float(number)), step.strip())
        except ValueError as error:
            raise _NotUnderstood('expected "progress FRACTION TEXT" with a fraction from 0 to 1') from error
    raise _NotUnderstood("expected a JSON object, or progress, info, warning or error and a text")


def _from_json(text: str) -> Message:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _NotUnderstood("the line begins with { and is no JSON") from error
    kinds = [kind for kind in ("progress", "log", "mail", "shared") if kind in data]
    match kinds:
        case ["progress"]:
            return Progress(_fraction(data["progress"]), _text(data, "text", ""))
        case ["log"]:
            if data["log"] not in list(Level):
                raise _NotUnderstood("log: expected one of " + ", ".join(Level))
            return LogLine(Level(data["log"]), _text(data, "text"))
        case ["mail"]:
            return _mail(data["mail"])
        case ["shared"]:
            return Shared(_file_name(data, "shared"), _text(data, "title", ""))
    raise _NotUnderstood("expected exactly one of progress, log, mail and shared")


def _mail(data: Any) -> Mail:
    if not isinstance(data, dict):
        raise _NotUnderstood("mail: expected an object")
    to, cc = _addresses(data, "to"), _addresses(data, "cc")
    if not to or len(to) + len(cc) > MAX_RECIPIENTS:
        raise _NotUnderstood(f"mail: expected 1 to {MAX_RECIPIENTS} addresses")
    attachments = [] if data.get("attachments") is None else data["attachments"]
    if not isinstance(attachments, list):
        raise _NotUnderstood("attachments: expected a list")
    subject = _text(data, "subject", "")
    if _CONTROL.search(subject):
        raise _NotUnderstood("subject: expected one line")
    html = None if data.get("html") is None else _text(data, "html")
    return Mail(to, cc, subject, _text(data, "text", ""), html, tuple(map(_attachment, attachments)))


def _addresses(data: dict[str, Any], key: str) -> tuple[str, ...]:
    found = [] if data.get(key) is None else data[key]
    if not isinstance(found, list) or not all(isinstance(one, str) and _ADDRESS.fullmatch(one) for one in found):
        raise _NotUnderstood(f"{key}: expected a list of mail addresses")
    return tuple(map(_readable, found))


def _attachment(data: Any) -> Attachment:
    if not isinstance(data, dict):
        raise _NotUnderstood("attachments: expected objects with name, type and base64")
    kind = _text(data, "type", "application/octet-stream")
    if not _MEDIA_TYPE.fullmatch(kind):
        raise _NotUnderstood("attachments: type: expected a media type such as text/csv")
    try:
        content = base64.b64decode(_text(data, "base64"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _NotUnderstood("attachments: base64: expected Base64") from error
    return Attachment(_file_name(data, "name"), kind, content)


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise _NotUnderstood("progress: expected a number from 0 to 1")
    return float(min(1, max(0, value)))


def _file_name(data: dict[str, Any], key: str) -> str:
    name = _text(data, key)
    if not name or name.startswith(".") or "/" in name or "\\" in name or _CONTROL.search(name):
        raise _NotUnderstood(f"{key}: expected the name of a file, without a folder")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise _NotUnderstood(f"{key}: expected at most {MAX_NAME_BYTES} bytes")
    return name


def _text(data: dict[str, Any], key: str, default: str | None = None) -> str:
    value = data.get(key, default)
    if not isinstance(value, str):
        raise _NotUnderstood(f"{key}: expected a text")
    return _readable(value)


def _readable(text: str) -> str:
    """Without halves of surrogate pairs, which JSON may hold and no UTF-8 can."""
    return text.encode("utf-8", "replace").decode("utf-8")
