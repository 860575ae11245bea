"""A file on its way in: hashed and written in one go, and visible under its name only when it is complete.

The bytes go to a file without a name (``O_TMPFILE``) in the folder where it will stay, so a client that hangs
up, an error or even a killed server leaves nothing behind. Where the file system cannot do that, a hidden
file takes its place. The name is the SHA-256 of the bytes: the same bytes twice are stored once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType

from knossos.hashing_aside import HashingAside

#: Mode of a stored file: the web server that serves the mirror may run as another user.
_MODE = 0o644


class IncomingFile:
    """Use as a context manager; `write` the bytes, then `publish` to give the file its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.size = 0
        self._hash = HashingAside(hashlib.sha256())
        self._descriptor = -1
        self._hidden: Path | None = None

    def __enter__(self) -> IncomingFile:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._descriptor = os.open(self.folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _MODE)
        except OSError:
            # Not every file system has nameless files (NFS, some overlays); each has hidden ones.
            self._hidden = self.folder / f".incoming-{secrets.token_hex(8)}"
            self._descriptor = os.open(self._hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _MODE)
        return self

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def publish(self) -> str:
        """Give the file its name, which is returned: the SHA-256 of its bytes in hex."""
        digest = self._hash.result().hexdigest()
        os.fchmod(self._descriptor, _MODE)
        # A name must never stand for bytes that a power cut could still take away.
        os.fsync(self._descriptor)
        source = self._hidden or Path(f"/proc/self/fd/{self._descriptor}")
        with contextlib.suppress(FileExistsError):
            # Given a descriptor, Python calls linkat, and only that follows the link of /proc to the file.
            os.link(source, self.folder / digest, src_dir_fd=self._descriptor)
        return digest

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hash.close()
        os.close(self._descriptor)
        if self._hidden is not None:
            self._hidden.unlink(missing_ok=True)
