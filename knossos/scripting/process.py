"""Following a running sandbox to its end: what it writes, what it says, and whether it keeps within its limits.

Owns the loop and the decision when a run must end; the kernel's own limits are the sandbox's. What always holds: when
`follow` returns or raises, no process of the run lives.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from knossos.jobs import Signal
from knossos.scripting.channel import ChannelReader, Message
from knossos.scripting.output import Output
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.sandbox import ResolvedLimits

#: Seconds between two looks at the memory of a run, and whether somebody wants it ended; and at its disk, which takes
#: longer.
WATCH_PAUSE = 0.25
DISK_PAUSE = 1.0
#: Bytes that are read at a time.
PIECE_BYTES = 64 * 1024
#: Seconds for which output is still read after the run has ended: of a process that nothing could end.
DRAIN_SECONDS = 5.0
#: Lines of the channel that a run may write in a second on average, and in its first moment; more are dropped.
MESSAGES_PER_SECOND = 200
MESSAGES_AT_ONCE = 2_000


class Running(Protocol):
    """What this needs of a sandbox; `sandbox.Sandboxed` fits it."""

    stdout: int
    stderr: int
    channel: int

    @property
    def ended(self) -> int: ...
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def memory_bytes(self) -> int: ...
    def disk_bytes(self, most: int) -> int: ...


@dataclass(frozen=True)
class Ended:
    """How a run ended. ``forced`` says which limit ended it; None: it ended by itself. ``returncode`` as Popen's.

    ``unheard`` is how many messages of the channel were too many.
    """

    returncode: int
    forced: RunOutcome | None
    unheard: int = 0


class Follower:
    """Follows one run.

    ``heard`` is told each message of the channel, ``check`` raises where the run must end, ``signals`` says what
    somebody wants it to be sent. What it may write counts from ``disk_before`` on, and all is at most ``disk_most``.
    """

    def __init__(
        self,
        running: Running,
        limits: ResolvedLimits,
        output: Output,
        heard: Callable[[Message], None],
        check: Callable[[], None],
        disk_before: int = 0,
        disk_most: int | None = None,
        signals: Callable[[], Iterable[Signal]] = tuple,
    ) -> None:
        self._running = running
        self._limits = limits
        self._output = output
        self._heard = heard
        self._check = check
        self._most_disk = limits.disk_bytes + disk_before
        if disk_most is not None:
            self._most_disk = min(self._most_disk, disk_most)
        self._signals = signals
        self._reader = ChannelReader()
        self._selector = selectors.DefaultSelector()
        self._started = time.monotonic()
        self._messages_left = float(MESSAGES_AT_ONCE)
        self._unheard = 0
        self._forced: RunOutcome | None = None
        self._kill_at: float | None = None
        self._disk_at = self._started

    def follow(self) -> Ended:
        """Read until the run has ended, and see that it does."""
        try:
            for stream, descriptor in (
                (FileRole.STDOUT, self._running.stdout),
                (FileRole.STDERR, self._running.stderr),
                (None, self._running.channel),
            ):
                self._selector.register(descriptor, selectors.EVENT_READ, stream)
            self._selector.register(self._running.ended, selectors.EVENT_READ)
            returncode = self._until_ended()
            self._drain()
        finally:
            self._running.kill()
            self._selector.close()
        for message in (*self._reader.feed(self._output.covered(b"")), *self._reader.close()):
            self._hear(message)
        self._output.finish()
        return Ended(returncode, self._forced, self._unheard)

    def _until_ended(self) -> int:
        watch_at = self._started + WATCH_PAUSE
        while (returncode := self._running.poll()) is None:
            pause = max(0.0, watch_at - time.monotonic())
            left = self._output.seconds_left()
            self._read(pause if left is None else min(pause, left))
            if self._output.seconds_left() == 0.0:
                self._output.flush()
            if time.monotonic() >= watch_at:
                self._watch()
                watch_at = time.monotonic() + WATCH_PAUSE
        self._selector.unregister(self._running.ended)
        return returncode

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if key.fd == self._running.ended:
                continue
            with contextlib.suppress(BlockingIOError):
                data = os.read(key.fd, PIECE_BYTES)
                if not data:
                    self._selector.unregister(key.fd)
                elif key.data is None:
                    for message in self._reader.feed(self._output.covered(data)):
                        self._hear(message)
                else:
                    self._output.add(key.data, data)

    def _hear(self, message: Message) -> None:
        if self._messages_left >= 1:
            self._messages_left -= 1
            self._heard(message)
        else:
            self._unheard += 1

    def _watch(self) -> None:
        """Look whether the run keeps within its limits, also in the moment that it has to end by itself."""
        self._check()
        for which in self._signals():
            self._running.kill() if which is Signal.KILL else self._running.terminate()
        self._messages_left = min(MESSAGES_AT_ONCE, self._messages_left + MESSAGES_PER_SECOND * WATCH_PAUSE)
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._running.kill()
        elif self._running.memory_bytes() > self._limits.memory_bytes:
            self._force(RunOutcome.MEMORY, at_once=True)
        elif self._fills_its_disk(now):
            self._force(RunOutcome.DISK, at_once=True)
        elif self._forced is None and now - self._started > self._limits.timeout_seconds:
            self._force(RunOutcome.TIMEOUT)

    def _fills_its_disk(self, now: float) -> bool:
        if now < self._disk_at:
            return False
        fills = self._running.disk_bytes(self._most_disk) > self._most_disk
        self._disk_at = time.monotonic() + DISK_PAUSE
        return fills

    def _force(self, reason: RunOutcome, *, at_once: bool = False) -> None:
        self._forced = self._forced or reason
        if at_once:
            self._kill_at = time.monotonic()
            self._running.kill()
        else:
            self._kill_at = time.monotonic() + self._limits.kill_grace_seconds
            self._running.terminate()

    def _drain(self) -> None:
        """Read what the ended run has left in its pipes."""
        until = time.monotonic() + DRAIN_SECONDS
        while self._selector.get_map() and time.monotonic() < until:
            self._read(0.05)
            if self._output.seconds_left() == 0.0:
                self._output.flush()
