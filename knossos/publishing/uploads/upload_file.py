"""The file of one upload: its bytes, its locks, and whether it still has its name."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from knossos.publishing.uploads import locks
from knossos.storage import StorageUnavailable

#: Bytes that are read at a time: few enough to be still in the processor's cache when they are hashed.
PIECE_BYTES = 256 * 1024

_SYNC_FILE_RANGE_WRITE = 2

_log = logging.getLogger(__name__)


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux has it, Python does not; elsewhere finishing waits a little longer."""
    try:
        found: Any = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return cast(Callable[[int, int, int, int], int], found)


_sync_file_range = _find_sync_file_range()


class UploadFile:
    """Use as a context manager. The file is made where it is not there; its locks end with the block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, flags, 0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def lock(self, start: int, length: int, *, wait: bool = False) -> bool:
        return locks.lock(self._descriptor, start, length, wait=wait)

    def unlock(self, start: int, length: int) -> None:
        locks.unlock(self._descriptor, start, length)

    def has_its_name(self) -> bool:
        """Whether the path still leads to this very file. It does not once the upload was finished or given up."""
        mine = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)

    def is_stored(self) -> bool:
        """Whether it has its final name already, beside this one: then nobody may write to it."""
        return os.fstat(self._descriptor).st_nlink > 1

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def write(self, data: bytes, start: int) -> None:
        written = os.pwrite(self._descriptor, data, start)
        if written < len(data):  # a signal, or a disk that is nearly full
            self.write(data[written:], start + written)

    def begin_to_settle(self, start: int, length: int) -> None:
        """Have the system write a range to the disk from now on, and go on at once. It stays in the cache."""
        if _sync_file_range is not None:
            _sync_file_range(self._descriptor, start, length, _SYNC_FILE_RANGE_WRITE)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """The bytes of a range, in pieces; fewer where the file ends in it."""
        end = start + length
        while start < end and (piece := os.pread(self._descriptor, min(PIECE_BYTES, end - start), start)):
            yield piece
            start += len(piece)

    def holds(self, start: int, length: int, other: IO[bytes]) -> bool:
        """Whether a range has the same bytes as the other file, which is as long."""
        other.seek(0)
        received = 0
        for piece in self.read(start, length):
            if other.read(len(piece)) != piece:
                return False
            received += len(piece)
        return received == length


@contextmanager
def storage_errors() -> Iterator[None]:
    """What the system says of the folder, as an error that clients may see: try again later."""
    try:
        yield
    except OSError as error:
        _log.error("uploads: %s", error)
        raise StorageUnavailable("The upload could not be stored. Try again later.", needed="storage") from error
