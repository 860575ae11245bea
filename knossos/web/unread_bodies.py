"""Closing gracefully on a client that still sends: an early refusal must arrive.

Whoever refuses a request answers without reading its body. Were the connection closed with bytes in it that nobody
has read, the system would reset it, and the answer would be lost on its way: a browser would see a broken connection,
and nginx would make a 502 of it. So the answer is sent at once, and its end with it (half of the connection is closed,
where it is one of plain HTTP); and what still comes after it is read and dropped until the client closes, says nothing
more, or has sent more, or for longer, than is bearable. Only requests whose body was not read to its end are held up by
that, after their answer, and only until their client, which has all, closes. How much of the body uWSGI has read ahead
nobody can tell, so that also one that has come whole is waited for.

Owns nothing but that. It works where uWSGI is, which gives the connection; other servers have ways of their own.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from knossos.web import uwsgi_facts
from knossos.web.request_bodies import PIECE_BYTES, CountingBody
from knossos.web.uwsgi_facts import ConnectionOf

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Seconds that a client may go on sending, and for which it may say nothing.
MOST_SECONDS = 30.0
SILENT_SECONDS = 2.0
#: Bytes that are read and dropped at the most: who sends more than that is no browser that was refused by mistake.
MOST_BYTES = 512 * 1024 * 1024


class UnreadBodies:
    """WSGI middleware; ``connection_of`` is asked after each answer to a request whose body was not read."""

    def __init__(
        self,
        application: WSGIApplication,
        connection_of: ConnectionOf = uwsgi_facts.connection,
        talks_http: Callable[[], bool] = uwsgi_facts.talks_http,
    ) -> None:
        self._application = application
        self._connection_of = connection_of
        # Other protocols say the end of an answer after it.
        self._may_close_half = talks_http()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
        if not chunked and (not length.isascii() or not length.isdigit() or int(length) == 0):
            return self._application(environ, start_response)
        body = environ["wsgi.input"] = CountingBody(environ["wsgi.input"], self._connection_of)
        answer = self._application(environ, start_response)
        return _Answer(answer, lambda: self._after(body, None if chunked else int(length)))

    def _after(self, body: CountingBody, length: int | None) -> None:
        if length is not None and body.done >= length:
            return
        descriptor = self._connection_of()
        if descriptor is not None and descriptor >= 0:
            expected = MOST_BYTES if length is None else length - body.done
            linger(descriptor, expected, close_half=self._may_close_half)


class _Answer:
    """An answer that does something once it was sent."""

    def __init__(self, pieces: Iterable[bytes], after: Callable[[], None]) -> None:
        self._pieces = pieces
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        # uWSGI sends the headers with the first piece. Of an answer without any it would send them after all this.
        yield b""

    def close(self) -> None:
        close: Any = getattr(self._pieces, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._after()


def linger(descriptor: int, expected: int, *, close_half: bool = False) -> int:
    """Read and drop what comes until the other side is done; how many bytes that were.

    Args:
        descriptor: a connection; it stays open.
        expected: the most bytes that can still come.
        close_half: nothing more will be sent, and the other side is told so.
    """
    until = time.monotonic() + MOST_SECONDS
    dropped = 0
    # A descriptor of its own: closing this socket leaves the server's open.
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if close_half:
            with contextlib.suppress(OSError):  # it is gone
                connection.shutdown(socket.SHUT_WR)
        while dropped < min(expected, MOST_BYTES):
            left = min(SILENT_SECONDS, until - time.monotonic())
            try:
                if left <= 0 or not _readable(connection, left):
                    break
                data = connection.recv(PIECE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                break  # it is gone
            if not data:
                break
            dropped += len(data)
    return dropped


def _readable(connection: socket.socket, seconds: float) -> bool:
    # Not select.select: descriptors of a busy server may be higher than it can count.
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
