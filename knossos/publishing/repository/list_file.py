"""A JSON file that holds one list, with one entry on each line, changed at a cost that grows with the change.

Each line is a comma and an entry. A removed entry is overwritten with spaces, which JSON allows between entries, so
nothing of it stays; the comma of the first entry that is left is a space as well. What follows is in its place still.
A file that anybody may read is never changed: it is cloned, and the clone is. On file systems that share blocks between
files the clone costs nothing; on others the kernel copies, or an older file that nobody has any more is brought up
(`spares`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

HEAD = b'{"mods":[\n'
TAIL = b"]}\n"

#: Most bytes that the kernel is asked to copy at once, and that go through this process at once.
COPY_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 64 * 1024

#: What `copy_file_range` says where two file systems do not do it together.
_NO_RANGE_COPY = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class ListFile:
    """A list that is being written. Use as a context manager; it is whole JSON once `finish` was called.

    ``end`` is where the next line goes: the length of a finished file without its tail.
    """

    def __init__(self, path: Path, end: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.end = end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A list without entries."""
        path.write_bytes(HEAD)
        return cls(path, len(HEAD))

    @classmethod
    def clone(cls, source: Path, path: Path, end: int) -> Self:
        """A copy of a list that ends at ``end``."""
        return cls.of_parts(source, path, [(0, end)])

    @classmethod
    def of_parts(cls, source: Path, path: Path, parts: Iterable[tuple[int, int]]) -> Self:
        """A list of parts (offset, length) of another one. The first part holds its head."""
        with open(source, "rb", buffering=0) as old, open(path, "wb", buffering=0) as new:
            for offset, length in parts:
                _copy(old.fileno(), new.fileno(), offset, length)
            end = new.tell()
        return cls(path, end)

    @classmethod
    def of_spare(cls, source: Path, path: Path, stays: int, end: int) -> Self:
        """A copy of a list that ends at ``end``, in a file that has its first ``stays`` bytes already."""
        with open(source, "rb", buffering=0) as old, open(path, "r+b", buffering=0) as new:
            new.truncate(stays)
            new.seek(stays)
            _copy(old.fileno(), new.fileno(), stays, end - stays)
        return cls(path, end)

    def append(self, entry: bytes) -> tuple[int, int]:
        """Write an entry, and answer where its line is: offset and length."""
        line = b"," + entry + b"\n"
        self._write(line, self.end)
        place = (self.end, len(line))
        self.end += len(line)
        return place

    def blank(self, offset: int, length: int) -> None:
        """Overwrite a line with spaces; its end stays."""
        end = offset + length - 1
        while offset < end:
            piece = min(PIECE_BYTES, end - offset)
            self._write(b" " * piece, offset)
            offset += piece

    def finish(self, first: int | None) -> int:
        """Make it whole, and answer its length; ``first`` is the offset of the first entry that is left."""
        if first is not None:
            self._write(b" ", first)
        self._write(TAIL, self.end)
        length = self.end + len(TAIL)
        os.ftruncate(self._descriptor, length)
        return length

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            offset += written
            view = view[written:]


def joined(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbouring places (offset, length) as one, so that few copies move them."""
    start = length = -1
    for offset, size in places:
        if offset == start + length:
            length += size
            continue
        if start >= 0:
            yield start, length
        start, length = offset, size
    if start >= 0:
        yield start, length


def _copy(source: int, target: int, offset: int, length: int) -> None:
    """Copy a part to the end of what ``target`` has."""
    in_kernel = True
    while length:
        piece = min(length, COPY_BYTES if in_kernel else PIECE_BYTES)
        try:
            copied = (
                os.copy_file_range(source, target, piece, offset_src=offset)
                if in_kernel
                else os.write(target, os.pread(source, piece, offset))
            )
        except OSError as error:
            if not in_kernel or error.errno not in _NO_RANGE_COPY:
                raise
            in_kernel = False
            continue
        if not copied:
            raise EOFError("the list is shorter than it was")
        offset, length = offset + copied, length - copied
