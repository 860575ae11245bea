"""What happens in a job, as it stands in the job's Redis stream and goes to its watchers.

An entry of the stream has the fields ``type`` and ``data`` (JSON), and ``line`` where it is a line of the log.
Types: ``state`` {state, attempt, text}; ``log`` {level, text, time, line}; ``output`` {stream, text}, what a program
that the job runs has written (``stream`` is stdout or stderr, ``text`` begins and ends anywhere); ``progress``
{fraction, text};
``files`` {files: [FileProgress]}; ``question`` {id, kind, data}; ``answered`` {id};
``done`` {success, state, failure}, which is always the last.

Whoever writes one announces it on the wake-up channel: ``<ticket> <before> <id> <line> <type> <data>``, in which
``before`` is the id of the entry that was the stream's last until then (``0-0`` where there was none) and ``line`` is
empty for what is no line of the log. A listener that has been told everything up to ``before`` needs no look into the
stream. For a long event, and where something else happened to the task, the announcement is the ticket alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class FilePhase(StrEnum):
    """What is being done with one file of a job."""

    #: Its turn has not come.
    WAITING = "waiting"
    #: It is on its way to us.
    DOWNLOADING = "downloading"
    #: It is being read and hashed.
    INSPECTING = "inspecting"
    #: All is done.
    DONE = "done"
    #: It could not be had or read.
    FAILED = "failed"


@dataclass(frozen=True)
class FileProgress:
    """How far a job is with one file. Sizes in bytes, speed in bytes per second, time left in seconds."""

    name: str
    phase: FilePhase
    done_bytes: int = 0
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, as watchers get it."""
        return asdict(self)


@dataclass(frozen=True)
class Event:
    """One thing that happened in a job. ``id`` is its place in the stream, by which a watcher resumes."""

    id: str
    type: str
    data: dict[str, Any]


def parse_entry(entry_id: bytes | str, fields: Mapping[Any, Any]) -> Event:
    """Make an Event of an entry as ``XRANGE`` gives it (bytes or text)."""
    text = {_text(name): _text(value) for name, value in fields.items()}
    return read_event(_text(entry_id), text["type"], text["data"], text.get("line"))


def read_event(event_id: str, kind: str, data: str, line: str | None) -> Event:
    """Make an Event of an entry's fields. ``line`` is None for what is no line of the log."""
    fields = json.loads(data)
    if line is not None:
        fields["line"] = int(line)
    return Event(event_id, kind, fields)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
