"""What is open to be read: a folder that is listed, a file. Both stay what they are, whatever gets their names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from knossos.homes.paths import shown
from knossos.setting_kinds import MIB


class EntryKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    #: A symbolic link, wherever it leads: links are not followed.
    LINK = "link"
    #: A pipe, a socket: it can be moved and removed.
    OTHER = "other"


@dataclass(frozen=True)
class Entry:
    """Something in a folder. ``modified`` is Unix time in seconds; ``size`` in bytes, None for a folder."""

    name: str
    modified: float
    size: int | None
    kind: EntryKind
    #: The name as it is, for `os` and in paths (`paths.py`); another one than ``name`` only where it is no UTF-8.
    own_name: str


class OpenedFolder:
    """A folder that is listed. Whoever has it closes it."""

    def __init__(self, descriptor: int) -> None:
        #: Of the folder; it is this one's to close.
        self.descriptor = descriptor

    def entries(self) -> Iterator[Entry]:
        """All that is in it, by name. What vanishes meanwhile is passed over; a name that is no text is shown so."""
        for name in sorted(os.listdir(self.descriptor)):
            try:
                about = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            kind = _kind(about.st_mode)
            size = None if kind is EntryKind.FOLDER else about.st_size
            yield Entry(shown(name), about.st_mtime, size, kind, name)

    def close(self) -> None:
        os.close(self.descriptor)


def _kind(mode: int) -> EntryKind:
    if stat.S_ISREG(mode):
        return EntryKind.FILE
    if stat.S_ISDIR(mode):
        return EntryKind.FOLDER
    return EntryKind.LINK if stat.S_ISLNK(mode) else EntryKind.OTHER


class OpenedFile:
    """A file that is read. Whoever has it closes it; it is this very file then, whatever has its name by now."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name
        about = os.fstat(descriptor)
        self.size = about.st_size
        self.modified = about.st_mtime
        #: Another one for other bytes, as far as times tell.
        self.etag = f"{about.st_ino:x}-{about.st_mtime_ns:x}-{about.st_size:x}"

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Bytes of it, in pieces; fewer where it has become shorter."""
        while length > 0 and (data := os.pread(self._descriptor, min(length, MIB), start)):
            start += len(data)
            length -= len(data)
            yield data

    def close(self) -> None:
        os.close(self._descriptor)
