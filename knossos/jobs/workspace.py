"""A private folder for each execution of a job, which never outlives it.

The folder is made when a job first asks for it, and a lock beside it is held for as long as the process lives. The
process removes it at its end; whatever could not (SIGKILL, a power cut) leaves a folder whose lock nobody holds, and
``sweep`` removes exactly those.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

LOCK_SUFFIX = ".lock"


class Workspace:
    """The folder of one execution, ``<root>/<ticket>-<execution>``."""

    def __init__(self, root: Path, ticket: int, execution: str) -> None:
        self.folder = root / f"{ticket}-{execution[:12]}"
        self._lock: int | None = None

    def open(self) -> Path:
        """Make the folder, and hold its lock. Calling it again answers the same folder."""
        if self._lock is None:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder.with_name(self.folder.name + LOCK_SUFFIX))
            self.folder.mkdir(exist_ok=True)
        return self.folder

    def close(self) -> None:
        """Remove the folder with all it holds."""
        if self._lock is not None:
            remove(self.folder)
            os.close(self._lock)
            self._lock = None


def sweep(root: Path) -> list[str]:
    """Remove the folders whose process is gone, and answer their names."""
    removed = []
    for lock in sorted(root.glob("*" + LOCK_SUFFIX)):
        folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            remove(folder)
            removed.append(folder.name)
        finally:
            os.close(descriptor)
    return removed


def remove(folder: Path) -> None:
    """Remove a workspace and its lock, also where its job made parts of it unreadable."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, onerror=_make_writable)
    folder.with_name(folder.name + LOCK_SUFFIX).unlink(missing_ok=True)


def _make_writable(function: object, path: str, _error: object) -> None:
    parent = os.path.dirname(path)
    os.chmod(parent, 0o700)
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
    else:
        os.chmod(path, 0o700)
        shutil.rmtree(path)


def _lock(path: Path) -> int:
    """Create and lock a file. A sweep may remove it between the two: then it is made again."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
