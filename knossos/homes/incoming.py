"""What is on its way into a home, in a folder beside the homes that no script sees, on the same file system.

It has a name of its own there, with the most bytes that it may become: these count as used, so that two uploads at
once cannot both have the last free place. Who is at it holds a lock; what nobody holds any more is the rest of a server
that was killed, and goes with the next look.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from knossos.homes.errors import HomeFull
from knossos.homes.folders import FOLDER, hand_over
from knossos.homes.trees import remove_tree
from knossos.scripting.sandbox.usage import LEAST_BYTES, Disk

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Place:
    """Something on its way: its name in ``folder``, and its descriptor. A folder for a copy, else a file."""

    folder: int
    name: str
    descriptor: int


class Incoming:
    """The incoming folder of one home.

    Args:
        path: that folder's; ``home`` is the home's, whose use is counted.
    """

    def __init__(self, path: str, home: str, quota: int) -> None:
        self._path = path
        self._home = home
        self._quota = quota

    @property
    def quota(self) -> int:
        """Bytes that the home may hold."""
        return self._quota

    def used(self) -> int:
        """Bytes that the home uses, with what is on its way."""
        with self._locked() as folder:
            return self._used(folder)

    @contextlib.contextmanager
    def place(self, size: int, *, is_folder: bool = False) -> Iterator[Place]:
        """A place for so many bytes. What still has its name there at the end of the block is removed.

        Raises:
            HomeFull: the home may not hold so much more.
        """
        with self._locked() as folder:
            self.check(self._used(folder), size)
            name = f"{secrets.token_hex(8)}.{max(size, LEAST_BYTES)}"
            if is_folder:
                os.mkdir(name, 0o700, dir_fd=folder)
                descriptor = os.open(name, FOLDER, dir_fd=folder)
            else:
                descriptor = os.open(name, _NEW_FILE, 0o644, dir_fd=folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            mine = os.open(self._path, FOLDER)  # not the locked one's copy, which would hold its lock as well
        try:
            hand_over(descriptor)
            yield Place(mine, name, descriptor)
        finally:
            with contextlib.suppress(OSError):
                remove_tree(mine, name)
            os.close(descriptor)
            os.close(mine)

    def check(self, used: int, size: int) -> None:
        """Raise HomeFull where so much more does not fit."""
        if used + size > self._quota:
            raise HomeFull(
                f"The home may hold {self._quota} bytes, and {size} more do not fit: {used} are used.",
                quota=self._quota,
                used=used,
            )

    def _used(self, folder: int) -> int:
        disk = Disk(self._quota)
        disk.add_tree(self._home)
        return disk.bytes + sum(self._sizes(folder))

    def _sizes(self, folder: int) -> Iterator[int]:
        for name in os.listdir(folder):
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except OSError:
                continue  # it has arrived
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield int(name.partition(".")[2])
            else:
                with contextlib.suppress(OSError):
                    remove_tree(folder, name)
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The folder, for oneself."""
        os.makedirs(self._path, 0o700, exist_ok=True)
        folder = os.open(self._path, FOLDER)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)
