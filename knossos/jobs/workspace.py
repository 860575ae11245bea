"""A private folder for each execution of a job, which never outlives it.

A lock beside it is held for as long as the process lives, and names its process group; the folder itself is made when
a job first asks for it. The process removes both at its end; whatever could not (SIGKILL, a power cut) leaves a lock
that nobody holds, and ``sweep`` removes exactly those, with what is left of their process groups.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from pathlib import Path

LOCK_SUFFIX = ".lock"


class Workspace:
    """The folder of one execution, ``<root>/<ticket>-<execution>``."""

    def __init__(self, root: Path, ticket: int, execution: str) -> None:
        self.folder = root / f"{ticket}-{execution[:12]}"
        self._lock: int | None = None

    def hold(self) -> None:
        """Take the lock: from now on this execution is known to live, or to have died."""
        if self._lock is None:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder.with_name(self.folder.name + LOCK_SUFFIX))
            os.write(self._lock, str(os.getpgrp()).encode())

    def open(self) -> Path:
        """Make the folder. Calling it again answers the same folder."""
        self.hold()
        self.folder.mkdir(exist_ok=True)
        return self.folder

    def close(self) -> None:
        """Remove the folder with all it holds."""
        if self._lock is not None:
            remove(self.folder)
            os.close(self._lock)
            self._lock = None


def sweep(root: Path) -> list[str]:
    """Remove what belongs to executions whose process is gone, and answer the folders' names.

    What cannot be removed (another user's, say) is left for whoever can: it must not keep a worker from working.
    """
    removed = []
    for lock in sorted(root.glob("*" + LOCK_SUFFIX)):
        with contextlib.suppress(OSError):
            if _sweep(lock):
                removed.append(lock.name.removesuffix(LOCK_SUFFIX))
    return removed


def _sweep(lock: Path) -> bool:
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        group = os.read(descriptor, 20)
        if group.isdigit():
            _end_leftovers(int(group))
        remove(lock.with_name(lock.name.removesuffix(LOCK_SUFFIX)))
        return True
    finally:
        os.close(descriptor)


def _end_leftovers(group: int) -> None:
    """End a process group whose leader is gone. While it has members, the kernel gives its number to nobody else."""
    if group > 1 and group != os.getpgrp() and not _lives(group):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _lives(pid: int) -> bool:
    """Whether there is a process of that number that has not ended. One that only waits to be buried has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


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
