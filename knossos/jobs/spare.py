"""A spare horse: a copy of the worker that is made before there is a job for it.

A worker of a hundred megabytes takes some milliseconds to copy itself, and its copy takes as long again until it has
pages and connections of its own. So the next copy is made while the worker waits, and rehearses meanwhile.

What always holds: a spare runs one job or none, and none that was not given to it; it ends when its worker lets go of
it or dies, by whatever.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

#: Bytes of an assignment with its job at the most. A pipe takes as many, so that no worker waits for a horse.
MAX_BYTES = 48 * 1024
#: What ends an assignment; JSON in one line has none.
_END = b"\n"


@dataclass(frozen=True)
class Assignment:
    """What a horse is told of its job: its id, its queue, the execution, which began at that Unix time, the number of
    this attempt and of all, the id of the request that caused it ("" for none), and the job as Redis has it, each byte
    a character (none of it where that would be too long: then it is read again)."""

    job_id: str
    queue: str
    execution_id: str
    created_at: float
    attempt: int
    attempts: int
    request: str = ""
    stored: dict[str, str] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        return json.dumps(vars(self), ensure_ascii=False).encode() + _END

    @classmethod
    def from_bytes(cls, data: bytes) -> Assignment:
        return cls(**json.loads(data))


class Spare:
    """The worker's side of a spare."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe: int | None = pipe

    def give(self, assignment: Assignment) -> bool:
        """Have it run a job. False where it has died; it is buried then."""
        data = assignment.as_bytes()
        if len(data) > MAX_BYTES:
            data = dataclasses.replace(assignment, stored={}).as_bytes()
        if len(data) <= MAX_BYTES and self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, data)
                self._let_go()
                return True
        self.end()
        return False

    def end(self) -> None:
        """Have it end, and bury it."""
        self._let_go()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _let_go(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def make(
    begin: Callable[[], None], rehearsals: Iterable[Callable[[], None]], run: Callable[[Assignment], None]
) -> Spare:
    """Copy this process.

    Args:
        begin: what the copy does first of all.
        rehearsals: what it does as long as there is no job; they may fail.
        run: runs the job.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reading)
        return Spare(pid, writing)
    code = 1
    try:
        os.close(writing)
        os.setpgrp()
        begin()
        _rehearse(rehearsals, reading)
        data = _read(reading)
        os.close(reading)
        if data:  # else the worker has let go
            run(Assignment.from_bytes(data))
        code = 0
    finally:
        os._exit(code)


def _read(reading: int) -> bytes:
    """An assignment, whole; nothing where the other end was closed before that."""
    data = b""
    while not data.endswith(_END):
        piece = os.read(reading, MAX_BYTES)
        if not piece:
            return b""
        data += piece
    return data


def _rehearse(rehearsals: Iterable[Callable[[], None]], reading: int) -> None:
    for rehearse in rehearsals:
        if _has_come(reading):
            return
        with contextlib.suppress(Exception):  # a job will say what is wrong
            rehearse()


def _has_come(reading: int) -> bool:
    waiting = select.poll()
    waiting.register(reading, select.POLLIN)
    return bool(waiting.poll(0))
