"""Removing a folder with all that a job's programs have left in it, which may be made to be hard to remove.

Folders below each other by the ten thousand (no recursion here, no path longer than a name, two descriptors at a time),
folders that may not be listed or written to, links that lead out: a link is removed, never followed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS = 0o700


def remove_tree(folder: Path) -> None:
    """Remove a folder; nothing happens where there is none.

    No process may still change what is in it; where one does, this ends with an error rather than anywhere else.

    Raises:
        OSError: it cannot be removed: it is no folder, is another user's, or its disk says no.
    """
    try:
        current = _enter(None, os.fspath(folder))
    except FileNotFoundError:
        return
    #: On the way down: each folder's name in the one above, which that one is, and what is left to do there.
    way: list[tuple[str, tuple[int, int], list[str]]] = []
    try:
        left = _empty(current)
        while left or way:
            if left:
                name = left.pop()
                below = _enter(current, name)
                way.append((name, _identity(current), left))
                os.close(current)
                current = below
                left = _empty(current)
            else:
                name, identity, left = way.pop()
                above = os.open("..", _FOLDER, dir_fd=current)
                os.close(current)
                current = above
                if _identity(current) != identity:
                    raise OSError(f"{folder} changes while it is being removed")
                os.rmdir(name, dir_fd=current)
    finally:
        os.close(current)
    os.rmdir(folder)


def _empty(folder: int) -> list[str]:
    """Remove all that is no folder, and answer the names of the folders."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=folder)
    return folders


def _enter(parent: int | None, name: str) -> int:
    """Open a folder, and see that what is in it can be removed."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _open_up(parent, name)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    if os.fstat(descriptor).st_mode & _OURS != _OURS:
        with contextlib.suppress(PermissionError):  # another user's; root need not ask
            os.fchmod(descriptor, _OURS)
    return descriptor


def _open_up(parent: int | None, name: str) -> None:
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", _OURS)
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    about = os.fstat(descriptor)
    return about.st_dev, about.st_ino
