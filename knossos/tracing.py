"""Which request, and which job, this code is at work for: ids that go through the logs of all processes.

A request to the HTTP or the WebSocket server has an id; the jobs that it submits keep it in their records, and the
process that runs a job works under it. So one word finds all lines that a request has caused, wherever they are.

What always holds: an id is at most 64 plain characters, so that it can stand in a log and in a header as it is.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from contextvars import ContextVar

#: What an id that comes from outside must look like to be taken.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

#: Of the request that this thread, or this task of an event loop, is at.
_request: ContextVar[str] = ContextVar("knossos_request", default="")
#: Of the one job that this process runs; all of its threads are at it. One field each: "request", "ticket".
_job: dict[str, str] = {}


def taken_or_made(given: str | None) -> str:
    """The id that somebody trustworthy gave, where it is one; else a new one."""
    return given if given and _PLAIN.fullmatch(given) else uuid.uuid4().hex


def request_id() -> str:
    """The id of the request that this code is at work for; "" where there is none."""
    return _request.get() or _job.get("request", "")


def ids() -> dict[str, str]:
    """What each line of the log says besides: ``request``, and in the process of a job its ``ticket``."""
    found = dict(_job)
    if own := _request.get():
        found["request"] = own
    return found


@contextlib.contextmanager
def at_request(number: str) -> Iterator[None]:
    """Work for a request until the block ends."""
    before = _request.set(number)
    try:
        yield
    finally:
        _request.reset(before)


def begin_request(number: str) -> None:
    """Work for a request from now on, in this thread or task, until `end_request`."""
    _request.set(number)


def end_request() -> None:
    """Work for no request any more."""
    _request.set("")


def at_job(ticket: int, request: str) -> None:
    """From now on this process works for a job, in all its threads."""
    _job.clear()
    _job["ticket"] = str(ticket)
    if request:
        _job["request"] = request


def at_no_job() -> None:
    """This process works for no job any more."""
    _job.clear()
