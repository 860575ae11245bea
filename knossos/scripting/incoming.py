"""Files that come with a call, between the connection and the storage: on disk, never in memory.

They lie beside the stored files, so that storing one needs no copy, under hidden names that no key has. What was not
taken when the call has been answered is gone; what a killed server left is swept with the storage's other unfinished
files (`knossos.publishing.housekeeping`).
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from knossos.settings import Settings
from knossos.storage import UNFINISHED_PREFIX, Storage


@dataclass
class IncomingFile:
    """A file as it arrives. ``name`` is the plain name that the script will see."""

    name: str
    path: Path
    _file: IO[bytes] = field(repr=False)
    size: int = 0

    def write(self, data: bytes, /) -> object:
        self.size += len(data)
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()


class IncomingFiles:
    """Use as a context manager; at its end all files are gone that were not put elsewhere."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._folder = (storage.folder or settings.data_path) / "incoming"
        self._files: list[IncomingFile] = []

    def add(self, name: str) -> IncomingFile:
        """A place for the bytes of one more file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        file = IncomingFile(name, path, os.fdopen(descriptor, "wb"))
        self._files.append(file)
        return file

    def complete(self) -> tuple[IncomingFile, ...]:
        """All files, written to their ends."""
        for file in self._files:
            file.close()
        return tuple(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()
            file.path.unlink(missing_ok=True)
