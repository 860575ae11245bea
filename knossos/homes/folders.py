"""From names to descriptors, one folder after the other, never through a link.

Each part is opened in the folder before it, which is open: whatever a script renames or links meanwhile, what is
reached lay in the home. What a script has made unreadable for itself is made readable: it is the home's owner's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from knossos.homes.errors import LeavesHome, NoSuchPath, NotAFile
from knossos.scripting.sandbox.spawn import NOBODY

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: A pipe is opened without waiting for who writes to it, to see that it is one.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

FOLDER_MODE, FILE_MODE = 0o700, 0o600


@contextlib.contextmanager
def opened(home: int, parts: Sequence[str]) -> Iterator[int]:
    """The folder at the end of these parts.

    Raises:
        NoSuchPath, LeavesHome
    """
    descriptor = os.dup(home)
    try:
        for part in parts:
            below = open_folder(descriptor, part)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def open_folder(parent: int, name: str) -> int:
    """A folder in a folder. Raises NoSuchPath, LeavesHome."""
    return _open(parent, name, FOLDER)


def open_any(parent: int, name: str) -> int:
    """A file or a folder in a folder, to read.

    Raises:
        NoSuchPath, LeavesHome, NotAFile
    """
    descriptor = _open(parent, name, _FILE)
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        os.close(descriptor)
        raise NotAFile("This is neither a file nor a folder.")
    return descriptor


def _open(parent: int, name: str, flags: int) -> int:
    try:
        try:
            return os.open(name, flags, dir_fd=parent)
        except PermissionError:
            make_usable(parent, name)
            return os.open(name, flags, dir_fd=parent)
    except OSError as error:
        raise _explain(parent, name, error) from error


def _explain(parent: int, name: str, error: OSError) -> Exception:
    if error.errno == errno.ELOOP or is_link(parent, name):
        return LeavesHome("This path leads through a symbolic link, and links are not followed.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NoSuchPath("There is nothing at this path.")
    if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
        return NotAFile("This is neither a file nor a folder.")
    return error


def look(parent: int, name: str) -> os.stat_result | None:
    """What is in a folder under that name, a link itself; None: nothing is."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_link(parent: int, name: str) -> bool:
    with contextlib.suppress(OSError):
        found = look(parent, name)
        return found is not None and stat.S_ISLNK(found.st_mode)
    return False


def make_usable(parent: int, name: str) -> None:
    """Let its owner read, and a folder's search and change, what a script has shut."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISLNK(mode):
            least = FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IMODE(mode) & 0o777 | least)
    finally:
        os.close(descriptor)


def hand_over(descriptor: int) -> None:
    """For root: what is open becomes that of the user whom scripts run as."""
    if os.geteuid() == 0:
        os.fchown(descriptor, NOBODY, NOBODY)
