"""How long and how much one answer may take: held below HTTP, at the socket, so that nothing can drip past it.

Owns the counting of bytes and of the time spent waiting for them. Time during which this side does not read (a slow
disk, a long queue) never counts against the server. A server that stays silent, that sends its headers without end or
its body byte by byte is given up with `AnswerTooSlow` or `BrokenAnswer`; the caller's `check` is called about twice a
second while waiting, so a cancelled job does not sit in a read.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from knossos.outgoing.errors import AnswerTooSlow, BrokenAnswer
from knossos.outgoing.guard import without_password

#: Bytes that the status line and the headers of one answer may have.
MAX_HEAD_BYTES = 64 * 1024
#: Bytes a second that a body must reach on average over `patience_seconds` of waiting.
SLOWEST_BYTES_PER_SECOND = 500
#: Seconds between two calls of `check` while nothing arrives.
CHECK_SECONDS = 0.5


class Pace:
    """The limits of one answer, and how far it is.

    Args:
        url: named in errors.
        patience_seconds: the longest silence, the longest wait for all of the headers together, and the time over
            which the slowest speed is measured.
        check: called while waiting; what it raises ends the request.
    """

    def __init__(self, url: str, patience_seconds: float, check: Callable[[], None] | None = None) -> None:
        self._url = without_password(url)
        self._patience = patience_seconds
        self._check = check
        self._in_head = True
        self._waited = 0.0
        self._bytes = 0

    def head_is_complete(self) -> None:
        """The headers are in; from now on the limits of the body hold."""
        self._in_head = False
        self._waited = 0.0
        self._bytes = 0

    def wait(self, connection: socket.socket) -> None:
        """Return once `connection` has something to read."""
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        if poll.poll(0):
            return
        silent_since = now = time.monotonic()
        while True:
            patience = self._patience - (now - silent_since)
            if self._in_head:
                patience = min(patience, self._patience - self._waited)
            if patience <= 0:
                what = "did not answer" if self._in_head else "sent nothing"
                raise AnswerTooSlow(f"{self._url}: the server {what} for {self._patience:g} seconds", url=self._url)
            if self._check is not None:
                self._check()
            ready = poll.poll(min(CHECK_SECONDS, patience) * 1000 + 1)
            before, now = now, time.monotonic()
            self._waited += now - before
            if ready:
                return

    def received(self, count: int, seconds: float = 0.0) -> None:
        """Count bytes that arrived, and the seconds that their last part still took; hold both against the limits."""
        self._bytes += count
        self._waited += seconds
        if self._in_head:
            if self._bytes > MAX_HEAD_BYTES:
                raise BrokenAnswer(f"{self._url}: the headers of the answer have no end", url=self._url)
        elif self._waited >= self._patience:
            if count and self._bytes < SLOWEST_BYTES_PER_SECOND * self._waited:
                speed = self._bytes / self._waited
                raise AnswerTooSlow(f"{self._url}: the server sends only {speed:.0f} bytes a second", url=self._url)
            self._waited = 0.0
            self._bytes = 0


#: The pace of the request that this thread is making; `PacedSocket`s are told by `knossos.outgoing.connections`.
current_pace: ContextVar[Pace | None] = ContextVar("current_pace", default=None)


class PacedSocket(socket.socket):
    """A socket whose reads keep to a `Pace`."""

    pace: Pace | None = None

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        if self.pace is None:
            return super().recv_into(buffer, nbytes, flags)
        self.pace.wait(self)
        count = super().recv_into(buffer, nbytes, flags)
        self.pace.received(count)
        return count


class PacedTLSSocket(ssl.SSLSocket):
    """The same above TLS. What can be read may be half a record: waiting for the rest has the socket's time-out."""

    pace: Pace | None = None

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self.pace is None:
            return super().recv_into(buffer, nbytes, flags)
        if not self.pending():
            self.pace.wait(self)
        start = time.monotonic()
        count = super().recv_into(buffer, nbytes, flags)
        self.pace.received(count, time.monotonic() - start)
        return count
