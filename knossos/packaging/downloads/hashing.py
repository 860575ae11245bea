"""MD5 and SHA-256 of bytes as they arrive: at once for small files, in two threads beside the download for big ones.

What always holds: the pieces are hashed in the order they came, and at most `MAX_BLOCKS` blocks wait to be hashed, so
memory stays flat when the network is faster than MD5.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

#: Bytes up to which starting threads costs more than it saves.
INLINE_BYTES = 4 * 1024 * 1024
#: Bytes that are collected before they are handed to the threads.
BLOCK_BYTES = 512 * 1024
#: Blocks that may wait for each of the threads.
MAX_BLOCKS = 4


class FileHashes:
    """The hashes of one file. `close()` ends the threads; `restart()` begins a new file."""

    def __init__(self) -> None:
        self._threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._waiting: deque[Future[None]] = deque()
        self._start()

    def _start(self) -> None:
        self._hashes = (hashlib.md5(usedforsecurity=False), hashlib.sha256())
        self._bytes = 0
        self._block: list[bytes] = []
        self._block_bytes = 0

    def update(self, piece: bytes) -> None:
        """Add the next bytes."""
        self._bytes += len(piece)
        if self._bytes <= INLINE_BYTES:
            for one in self._hashes:
                one.update(piece)
            return
        self._block.append(piece)
        self._block_bytes += len(piece)
        if self._block_bytes >= BLOCK_BYTES:
            self._hand_over()

    def result(self) -> tuple[str, str]:
        """MD5 and SHA-256 of all bytes so far, in lower-case hex."""
        self._finish()
        return self._hashes[0].hexdigest(), self._hashes[1].hexdigest()

    def restart(self) -> None:
        """Forget all bytes."""
        self._finish()
        self._start()

    def close(self) -> None:
        """End the threads, if there are any."""
        if self._threads is not None:
            for thread in self._threads:
                thread.shutdown(cancel_futures=True)

    def _hand_over(self) -> None:
        if self._threads is None:
            self._threads = (ThreadPoolExecutor(1, "md5"), ThreadPoolExecutor(1, "sha256"))
        for thread, one in zip(self._threads, self._hashes, strict=True):
            self._waiting.append(thread.submit(_feed, one, self._block))
        self._block, self._block_bytes = [], 0
        while len(self._waiting) > 2 * MAX_BLOCKS:
            self._waiting.popleft().result()

    def _finish(self) -> None:
        if self._block:
            self._hand_over()
        while self._waiting:
            self._waiting.popleft().result()


def _feed(one: Any, block: list[bytes]) -> None:
    for piece in block:
        one.update(piece)
