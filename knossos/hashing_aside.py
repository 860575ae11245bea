"""Hashing in a thread of its own, while whoever brings the bytes writes them and waits for more.

Both the hash functions and the system's calls let other threads run, so on two processors a file comes in as fast as
the slower of the two, not as both together. What fits into one piece is hashed on the spot.
"""

from __future__ import annotations

import threading
from queue import Queue
from typing import Generic, Protocol, TypeVar

#: Pieces that may wait for the thread: what a file that comes in takes of memory beside the piece at hand.
WAITING_PIECES = 2


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


H = TypeVar("H", bound=Hash)


class HashingAside(Generic[H]):
    """Updates a hash, in order. No thread is left after ``result`` or ``close``."""

    def __init__(self, running: H) -> None:
        self._hash = running
        self._first: bytes | None = None
        self._waiting: Queue[bytes | None] = Queue(WAITING_PIECES)
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def update(self, data: bytes) -> None:
        """Take the next bytes; waits where too many wait already."""
        if self._thread is not None:
            self._waiting.put(data)
        elif self._first is None:
            self._first = data
        else:
            self._thread = threading.Thread(target=self._work, name="hashing", daemon=True)
            self._thread.start()
            self._waiting.put(data)

    def result(self) -> H:
        """The hash of all bytes so far, when it is done. Nothing may come after it.

        Raises:
            whatever the hash has raised.
        """
        self.close()
        if self._error is not None:
            raise self._error
        return self._hash

    def close(self) -> None:
        """Hash what waits still. May be called again."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        elif self._first is not None:
            self._hash.update(self._first)
        self._first = None

    def _work(self) -> None:
        piece, self._first = self._first, None
        while piece is not None:
            if self._error is None:
                try:
                    self._hash.update(piece)
                except Exception as error:
                    self._error = error
            piece = self._waiting.get()
