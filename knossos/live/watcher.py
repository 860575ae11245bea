"""One client that watches a job: what it understands, where it is, and how much may wait for it.

Owns the bound on what is buffered for a client. Knows no Tornado: what it writes to is a ``Socket``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from knossos.live.messages import BEGINNING, BOTH, Encoded, Message, Style, encode, frame

log = logging.getLogger(__name__)

#: Bytes that may wait for one client before it is dropped.
MOST_PENDING_BYTES = 1024 * 1024
#: Seconds that a socket stays open after the job's end, so that the client is the one that closes it.
GRACE_SECONDS = 5.0

#: Close codes (RFC 6455 section 7.4, and IANA's registry for 1013).
CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_NOT_TEXT = 1003
CLOSE_BAD_DATA = 1007
CLOSE_CRASHED = 1011
CLOSE_TRY_AGAIN = 1013


class Socket(Protocol):
    """What a watcher needs of a connection."""

    def write_frames(self, data: bytes) -> asyncio.Future[None] | None:
        """Send bytes; the future is done when they have left. None: the connection is gone."""

    def close(self, code: int, reason: str) -> None:
        """Send what still waits, then close."""


class Watcher:
    """A client of one job. ``after`` is the id of the last event that it has seen."""

    __slots__ = ("_ending", "_pending", "_socket", "after", "closed", "style", "ticket")

    def __init__(self, socket: Socket, ticket: int, style: Style = Style.OLD, after: str = BEGINNING) -> None:
        self._socket = socket
        self._pending = 0
        self._ending: asyncio.TimerHandle | None = None
        self.ticket = ticket
        self.style = style
        self.after = after
        #: True once nothing more is sent.
        self.closed = False

    def send(self, messages: Encoded) -> Awaitable[None] | None:
        """Send messages. Whoever can wait (a replay) awaits the answer; the others are bounded by dropping."""
        data = messages.for_style(self.style)
        if self.closed or not data:
            return None
        sent = self._socket.write_frames(data)
        if sent is None:
            self.closed = True
        elif not sent.done():
            self._count(sent, len(data))
        return sent

    def tell(self, event: str, *arguments: object) -> None:
        """Send a message that is no event of the job; it does not move the place from where to go on."""
        message = Message(event, list(arguments), self.after, BOTH)
        if not self.closed and self._socket.write_frames(frame(encode(message, self.style))) is None:
            self.closed = True

    def _count(self, sent: asyncio.Future[None], size: int) -> None:
        self._pending += size
        sent.add_done_callback(lambda _: self._uncount(size))

    def _uncount(self, size: int) -> None:
        self._pending -= size

    @property
    def too_slow(self) -> bool:
        """True when more waits for this client than may."""
        return self._pending > MOST_PENDING_BYTES

    def close(self, code: int, reason: str) -> None:
        """Stop sending and close the connection."""
        if not self.closed:
            self.closed = True
            self._socket.close(code, reason)

    def close_soon(self) -> None:
        """The job has ended: let the client close, and do it for one that does not."""
        if self._ending is None and not self.closed:
            loop = asyncio.get_running_loop()
            self._ending = loop.call_later(GRACE_SECONDS, self.close, CLOSE_NORMAL, "the task has ended")

    def left(self) -> None:
        """The connection is gone."""
        self.closed = True
        if self._ending is not None:
            self._ending.cancel()
