"""Copying and removing folders with all they hold, however a script has made them: deep, shut, full of links.

Links are copied and removed as links. Neither goes by paths, so neither has a longest one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from knossos.homes.errors import BadPath, NoSuchPath
from knossos.homes.folders import FOLDER, hand_over, make_usable, open_any, open_folder
from knossos.homes.paths import MAX_PARTS
from knossos.scripting.sandbox.spawn import NOBODY
from knossos.scripting.sandbox.usage import LEAST_BYTES
from knossos.setting_kinds import MIB

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: str) -> None:
    """Remove a file, or a folder with all it holds. ``parent`` is a folder that no script sees.

    A folder in the folder is moved up beside it before it is looked into, so that no depth matters. What is gone
    already is no mistake: two may be at it.

    Raises:
        OSError
    """
    waiting = [name]
    while waiting:
        with contextlib.suppress(FileNotFoundError):
            waiting += _remove(parent, waiting.pop())


def _remove(parent: int, name: str) -> list[str]:
    """Remove a file, or a folder without its folders, which have other names beside it then."""
    if not _is_folder(parent, name):
        os.unlink(name, dir_fd=parent)
        return []
    make_usable(parent, name)
    moved = []
    folder = os.open(name, FOLDER, dir_fd=parent)
    try:
        # A script that still runs in there may go on making files: it is not waited for.
        for entry in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                if _is_folder(folder, entry):
                    make_usable(folder, entry)
                    new_name = f"{secrets.token_hex(8)}.0"
                    os.rename(entry, new_name, src_dir_fd=folder, dst_dir_fd=parent)
                    moved.append(new_name)
                else:
                    os.unlink(entry, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)
    return moved


def size_of(folder: int, name: str, depth: int = 0) -> int:
    """Bytes that a copy of a file, or of a folder with all it holds, takes at most.

    Raises:
        BadPath: it is too deep.
    """
    about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(about.st_mode):
        return max(about.st_size if stat.S_ISREG(about.st_mode) else 0, LEAST_BYTES)
    _check(depth)
    inner = open_folder(folder, name)
    try:
        total = LEAST_BYTES
        for entry in os.listdir(inner):
            with contextlib.suppress(FileNotFoundError, NoSuchPath):
                total += size_of(inner, entry, depth + 1)
        return total
    finally:
        os.close(inner)


def copy_tree(source: int, name: str, target: int, new_name: str, most: int, depth: int = 0) -> int:
    """Copy a file, or a folder with all it holds, into a folder; what is neither file, folder nor link is left out.

    Args:
        most: most bytes to copy: what is copied may grow meanwhile.

    Returns:
        How many of them are left.
    """
    about = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(about.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), new_name, dir_fd=target)
        _hand_over_link(target, new_name)
        return most - LEAST_BYTES
    if stat.S_ISDIR(about.st_mode):
        return _copy_folder(source, name, target, new_name, most - LEAST_BYTES, depth)
    if not stat.S_ISREG(about.st_mode):
        return most
    reading = open_any(source, name)
    try:
        writing = os.open(new_name, _NEW_FILE, stat.S_IMODE(about.st_mode) & 0o777 | 0o600, dir_fd=target)
        try:
            hand_over(writing)
            return most - max(LEAST_BYTES, copy_bytes(reading, writing, most))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_folder(source: int, name: str, target: int, new_name: str, most: int, depth: int) -> int:
    _check(depth)
    reading = open_folder(source, name)
    try:
        os.mkdir(new_name, 0o700, dir_fd=target)
        writing = os.open(new_name, FOLDER, dir_fd=target)
        try:
            hand_over(writing)
            for entry in os.listdir(reading):
                with contextlib.suppress(FileNotFoundError, NoSuchPath):
                    most = copy_tree(reading, entry, writing, entry, most, depth + 1)
            return most
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def copy_bytes(reading: int, writing: int, most: int) -> int:
    """Copy what a file holds, and answer how much that was. Raises BadPath where it is more than ``most``."""
    total = 0
    while data := os.read(reading, MIB):
        total += len(data)
        if total > most:
            raise BadPath("It grows while it is copied. Try again once no script writes to it.", errors=[])
        view = memoryview(data)
        while view:
            view = view[os.write(writing, view) :]
    return total


def _check(depth: int) -> None:
    if depth > MAX_PARTS:
        raise BadPath(f"Folders more than {MAX_PARTS} deep are not copied.", errors=[])


def _is_folder(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _hand_over_link(folder: int, name: str) -> None:
    if os.geteuid() == 0:
        os.chown(name, NOBODY, NOBODY, dir_fd=folder, follow_symlinks=False)
