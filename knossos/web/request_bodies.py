"""The body of a request: counted as it is read, and brought to a file without a way through this process.

Under uWSGI the kernel moves the bytes from the connection to the file (``splice``): they are copied once, where reading
and writing copy them three times. What uWSGI has read ahead, as it looked for the end of the headers, is asked of
uWSGI first. Elsewhere, and where uWSGI keeps bodies itself, the body is read and written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
from collections.abc import Callable, Iterator
from typing import IO

from knossos.web import uwsgi_facts
from knossos.web.uwsgi_facts import Ahead, ConnectionOf

#: Bytes that are read at a time.
PIECE_BYTES = 256 * 1024
#: Bytes of the pipe between connection and file. The kernel may refuse that many: then it has fewer.
PIPE_BYTES = 1024 * 1024


class BodyBroke(Exception):
    """The client is gone, or says nothing for too long."""


class CountingBody:
    """The body of a request as the application reads it, and how much of it was read.

    What is put into ``before`` is called once, before anything of it is read.
    """

    def __init__(
        self,
        body: IO[bytes],
        connection_of: ConnectionOf = uwsgi_facts.connection,
        ahead_of: Callable[[], Ahead | None] = uwsgi_facts.ahead,
    ) -> None:
        self._body = body
        self._connection_of = connection_of
        self._ahead_of = ahead_of
        self.before: Callable[[], None] | None = None
        self.done = 0

    def read(self, *size: int) -> bytes:
        return self._count(self._begun().read(*size))

    def readline(self, *size: int) -> bytes:
        return self._count(self._begun().readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._count(line) for line in self._begun().readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def move(self, target: int, size: int) -> int:
        """Bring a body of which nothing was read, and whose length is ``size``, to where a file is open for writing.

        Returns:
            how many bytes that were; fewer than ``size`` where the client is gone.

        Raises:
            BodyBroke: it does not arrive any more.
            OSError: the file cannot be written.
        """
        connection, ahead = self._connection_of(), self._ahead_of()
        if connection is None or ahead is None:
            return self._copy(target, size)
        first = min(size, ahead.most_bytes)
        moved = self._copy(target, first)
        if moved < first:
            return moved
        for count in _spliced(connection, target, size - moved, ahead.silent_seconds):
            self.done += count
            moved += count
        return moved

    def _copy(self, target: int, size: int) -> int:
        left = size
        while left:
            with _breaks():
                data = self.read(min(left, PIECE_BYTES))
            if not data:
                break
            _write(target, data)
            left -= len(data)
        return size - left

    def _begun(self) -> IO[bytes]:
        before, self.before = self.before, None
        if before is not None:
            before()
        return self._body

    def _count(self, data: bytes) -> bytes:
        self.done += len(data)
        return data


def _spliced(connection: int, target: int, size: int, seconds: float) -> Iterator[int]:
    """Move so many bytes, and tell of each piece how large it is; ends early where the other side has."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    reading, writing = os.pipe()
    try:
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        while size:
            try:
                with _breaks():
                    count = os.splice(connection, writing, min(size, PIPE_BYTES), flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                if not poll.poll(seconds * 1000):
                    raise BodyBroke(f"nothing has come for {seconds:g} seconds") from None
                continue
            if not count:
                return
            _empty(reading, target, count)
            size -= count
            yield count
    finally:
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _breaks() -> Iterator[None]:
    """What goes wrong with the connection."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise BodyBroke(str(error)) from error


def _empty(pipe: int, target: int, count: int) -> None:
    """Bring what is in a pipe to a file."""
    while count:
        try:
            count -= os.splice(pipe, target, count, flags=os.SPLICE_F_MOVE)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that cannot do it
                raise
            data = os.read(pipe, count)
            _write(target, data)
            count -= len(data)


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
