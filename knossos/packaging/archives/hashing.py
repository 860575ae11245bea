"""Hashing the pieces of one stream: MD5, SHA-256 and CRC-32 of every file in it, with nothing on disk.

A cutter says where in the stream which file begins and ends; the stream is read into a ring of buffers that is used
again and again, so that memory stays the same whatever its length. What fits into one buffer is hashed on the spot;
for more, two threads hash (the functions release the interpreter's lock) while 7-Zip decodes into the next buffer.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple, Protocol

#: Bytes of one buffer, and buffers in the ring: what 7-Zip may be ahead of the hashing. A buffer is small enough to be
#: in a processor's own cache still when the second thread hashes it.
BUFFER_BYTES = 256 * 1024
RING_BUFFERS = 16
#: Where a cut of zeros, which are not in the stream, begins.
ZEROS = -1
_ZERO_BYTES = bytes(64 * 1024)


class Cut(NamedTuple):
    """A piece of the current file: ``buffer[start:end]``; with ``start`` ZEROS, ``end`` zeros."""

    start: int
    end: int
    #: The file ends here.
    last: bool


class Digest(NamedTuple):
    """Of one file, in lower-case hex."""

    md5: str
    sha256: str
    crc32: int


EMPTY = Digest(hashlib.md5(b"", usedforsecurity=False).hexdigest(), hashlib.sha256(b"").hexdigest(), 0)


class Cutter(Protocol):
    """Knows where the files are in a stream."""

    def cut(self, view: memoryview) -> list[Cut]:
        """The pieces in the next bytes of the stream. May raise, which ends the reading."""

    def end(self) -> list[Cut]:
        """Called once at the end of the stream: the pieces that end there. Raises where it ends too early."""


class _Md5:
    """Hashes pieces with MD5."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self._hash = hashlib.md5(usedforsecurity=False)

    def take(self, view: memoryview, cuts: list[Cut]) -> None:
        for start, end, last in cuts:
            if start == ZEROS:
                _zeros(self._hash.update, end)
            else:
                self._hash.update(view[start:end])
            if last:
                self.results.append(self._hash.hexdigest())
                self._hash = hashlib.md5(usedforsecurity=False)


class _Sha256AndCrc:
    """Hashes pieces with SHA-256 and CRC-32, which together cost about what MD5 does."""

    def __init__(self) -> None:
        self.results: list[tuple[str, int]] = []
        self._hash = hashlib.sha256()
        self._crc = 0

    def take(self, view: memoryview, cuts: list[Cut]) -> None:
        for start, end, last in cuts:
            if start == ZEROS:
                _zeros(self._update, end)
            else:
                self._update(view[start:end])
            if last:
                self.results.append((self._hash.hexdigest(), self._crc))
                self._hash, self._crc = hashlib.sha256(), 0

    def _update(self, piece: memoryview | bytes) -> None:
        self._hash.update(piece)
        self._crc = zlib.crc32(piece, self._crc)


def _zeros(update: Callable[[bytes], object], count: int) -> None:
    while count > 0:
        update(_ZERO_BYTES[:count])
        count -= len(_ZERO_BYTES)


class _Worker:
    """A thread that hashes one buffer after the other."""

    def __init__(self, hasher: _Md5 | _Sha256AndCrc) -> None:
        self.inbox: SimpleQueue[tuple[memoryview, list[Cut]] | None] = SimpleQueue()
        #: One item for each buffer that is done with: what went wrong, or None.
        self.done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._hasher = hasher
        self.thread = threading.Thread(target=self._work, name="hashing", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (job := self.inbox.get()) is not None:
            try:
                self._hasher.take(*job)
                self.done.put(None)
            except BaseException as error:
                self.done.put(error)


def hash_stream(
    readinto: Callable[[memoryview], int], cutter: Cutter, progress: Callable[[int], None] | None = None
) -> list[Digest]:
    """Read a stream to its end and hash the files in it, in their order.

    Args:
        readinto: puts the next bytes into a buffer and says how many; 0 at the end.
        progress: called with the number of bytes read so far, after each buffer.

    Raises:
        whatever ``readinto``, the cutter and ``progress`` raise. No thread outlives the call.
    """
    md5, sha256 = _Md5(), _Sha256AndCrc()
    buffers = [memoryview(bytearray(BUFFER_BYTES))]
    workers: list[_Worker] = []
    total = number = 0
    try:
        while True:
            if number == 1:
                workers = [_Worker(md5), _Worker(sha256)]
            if len(buffers) <= number < RING_BUFFERS:
                buffers.append(memoryview(bytearray(BUFFER_BYTES)))
            elif number >= RING_BUFFERS:
                _wait_for_one(workers)
            buffer = buffers[number % RING_BUFFERS]
            length = _fill(readinto, buffer)
            view = buffer[:length]
            cuts = cutter.cut(view) if length else []
            at_end = length < BUFFER_BYTES
            if at_end:
                cuts += cutter.end()
            if workers:
                for worker in workers:
                    worker.inbox.put((view, cuts))
            else:
                md5.take(view, cuts)
                sha256.take(view, cuts)
            number += 1
            total += length
            if progress is not None:
                progress(total)
            if at_end:
                break
        # The buffers of the last round are still in the workers' hands, and that of the first never was.
        for _ in range(min(number - 1, RING_BUFFERS - 1) if workers else 0):
            _wait_for_one(workers)
    finally:
        for worker in workers:
            worker.inbox.put(None)
        for worker in workers:
            worker.thread.join()
    return [Digest(one, two, crc) for one, (two, crc) in zip(md5.results, sha256.results, strict=True)]


def _fill(readinto: Callable[[memoryview], int], buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        count = readinto(buffer[filled:])
        if count == 0:
            break
        filled += count
    return filled


def _wait_for_one(workers: list[_Worker]) -> None:
    for worker in workers:
        error = worker.done.get()
        if error is not None:
            raise error
