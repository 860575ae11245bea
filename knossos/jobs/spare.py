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
from dataclasses import dataclass
from typing import Self, TypeVar

#: Bytes of what a horse is told of its job at the most. A pipe takes as many, so that no worker waits for a horse.
MAX_BYTES = 48 * 1024


Job = TypeVar("Job")


@dataclass(frozen=True)
class Line:
    """What goes from a worker to its spare: JSON in a line."""

    def as_bytes(self) -> bytes:
        return json.dumps(vars(self), ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


@dataclass(frozen=True)
class Announcement(Line):
    """What a horse is told as soon as its worker has taken a job, which has not begun: its id, and the job as Redis has
    it, each byte a character (none of it where that would be too long: then it is read again)."""

    job_id: str
    stored: dict[str, str]


@dataclass(frozen=True)
class Assignment(Line):
    """What a horse is told when its job has begun: the execution, which began at that Unix time, the number of this
    attempt and of all, and the id of the request that caused it ("" for none)."""

    execution_id: str
    created_at: float
    attempt: int
    attempts: int
    request: str = ""


class Spare:
    """The worker's side of a spare."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe: int | None = pipe
        self._knows_a_job = False

    def announce(self, announcement: Announcement) -> None:
        """Let it take up a job while that is being begun. One that knows of another job already is ended."""
        if self._knows_a_job:
            self.end()
            return
        self._knows_a_job = True
        data = announcement.as_bytes()
        if len(data) > MAX_BYTES:
            data = dataclasses.replace(announcement, stored={}).as_bytes()
        self._write(data)

    def give(self, assignment: Assignment) -> bool:
        """Have it run the job that was announced. False where it has died; it is buried then."""
        if self._write(assignment.as_bytes()):
            self._let_go()
            return True
        self.end()
        return False

    def end(self) -> None:
        """Have it end, and bury it. May be called again."""
        if self._pipe is None:
            return
        self._let_go()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _write(self, data: bytes) -> bool:
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, data)
                return True
        return False

    def _let_go(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def make(
    begin: Callable[[], None],
    rehearsals: Iterable[Callable[[], None]],
    take_up: Callable[[Announcement], Job],
    run: Callable[[Job, Assignment], None],
) -> Spare:
    """Copy this process.

    Args:
        begin: what the copy does first of all.
        rehearsals: what it does as long as there is no job; they may fail.
        take_up: reads the job, which has not begun.
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
        with open(reading, "rb") as told:
            # What has no end of its line is nothing: the worker has let go.
            if (line := told.readline()).endswith(b"\n"):
                job = take_up(Announcement.from_bytes(line))
                if (line := told.readline()).endswith(b"\n"):
                    told.close()
                    run(job, Assignment.from_bytes(line))
        code = 0
    finally:
        os._exit(code)


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
