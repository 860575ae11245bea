"""A private folder for each execution of a job, which never outlives it.

A lock beside it is held for as long as the process lives, and names its process group and its worker; the folder itself
is made when a job first asks for it. The process removes both at its end; whatever could not (SIGKILL, a power cut)
leaves a lock that nobody holds, and ``sweep`` removes exactly those, with what is left of their process groups.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from knossos.jobs.removal import remove_tree

LOCK_SUFFIX = ".lock"
#: State of a worker that takes no job, since its disk is full: RQ's "suspended" is for `rq suspend`.
FULL = "full"

_log = logging.getLogger("knossos.jobs")


@dataclass(frozen=True)
class Left:
    """What an execution left behind whose process is gone."""

    #: What its folder was called (`name_of`).
    name: str
    #: Its worker is gone as well, so nobody says how it ended. Where both are not of this machine it does not show.
    orphaned: bool


def name_of(ticket: int | str, execution: str) -> str:
    """What the folder of an execution is called."""
    return f"{ticket}-{execution[:12]}"


class Workspace:
    """The folder of one execution."""

    def __init__(self, root: Path, ticket: int, execution: str) -> None:
        self.folder = root / name_of(ticket, execution)
        self._lock: int | None = None

    def hold(self) -> None:
        """Take the lock: from now on this execution is known to live, or to have died."""
        if self._lock is None:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder.with_name(self.folder.name + LOCK_SUFFIX))
            os.write(self._lock, f"{os.getpgrp()} {os.getppid()}".encode())

    def open(self) -> Path:
        """Make the folder. Calling it again answers the same folder."""
        self.hold()
        self.folder.mkdir(exist_ok=True)
        return self.folder

    def close(self) -> None:
        """Remove the folder with all it holds. Where that fails the job has ended all the same, and a sweep tries."""
        if self._lock is not None:
            remove_now(self.folder)
            os.close(self._lock)
            self._lock = None


def has_room(root: Path, needed: int) -> bool:
    """Whether the disk of the work folders has so many bytes free. One that cannot be asked is left to the tasks."""
    folder = next((one for one in (root, *root.parents) if one.exists()), root)
    try:
        return shutil.disk_usage(folder).free >= needed
    except OSError:
        return True


def sweep(root: Path) -> list[Left]:
    """Remove what belongs to executions whose process is gone, and answer what they were.

    What cannot be removed (another user's, say) is left for whoever can: it must not keep a worker from working.
    """
    removed = []
    for lock in sorted(root.glob("*" + LOCK_SUFFIX)):
        with contextlib.suppress(OSError):
            removed.append(_sweep(lock))
    return removed


def _sweep(lock: Path) -> Left:
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        group, _, worker = os.read(descriptor, 40).partition(b" ")
        if group.isdigit():
            _end_leftovers(int(group))
        folder = lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
        remove(folder)
        return Left(folder.name, orphaned=worker.isdigit() and not _lives(int(worker)))
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


def remove_now(folder: Path) -> None:
    """Remove a workspace as far as that goes; the log says what stays."""
    try:
        remove(folder)
    except OSError as error:
        _log.warning("the folder %s cannot be removed yet: %s", folder.name, error)


def remove(folder: Path) -> None:
    """Remove a workspace, and then its lock: what cannot be removed now is swept later.

    Raises:
        OSError: it cannot be removed.
    """
    if folder.is_dir() and not folder.is_symlink():
        remove_tree(folder)
    folder.with_name(folder.name + LOCK_SUFFIX).unlink(missing_ok=True)


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
