"""What a run uses up that the kernel does not limit for us: memory of all its processes together, and disk.

Measured from outside, while the script does what it likes with its files and processes; so nothing here follows a
link, trusts a count, or takes longer the more of anything there is beyond the limit.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator

#: Bytes that each file, folder and link counts at least: one that is empty takes room as well.
LEAST_BYTES = 4096
#: How deep folders are counted; deeper ones count as if they broke the limit.
MAX_DEPTH = 100
_BLOCK = 512
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def processes(proc: int) -> list[str]:
    """The numbers of all processes in a /proc that is open as ``proc``, without its first, which is bubblewrap's."""
    try:
        # Opened anew: two who read one descriptor would share its position.
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return []
    try:
        return [name for name in os.listdir(descriptor) if name.isdigit() and name != "1"]
    except OSError:
        return []
    finally:
        os.close(descriptor)


def memory(proc: int, numbers: Iterable[str], exact_above: int, files: int) -> int:
    """Bytes of memory that processes hold: their own, shared, and swapped out.

    What two processes share is counted for both at first, which is quick; where that makes more than
    ``exact_above``, once.

    Args:
        proc: a /proc; ``numbers`` are the processes in it.
        files: bytes of files that they have in memory, such as those of ``shared_files``.
    """
    numbers = list(numbers)
    own, shared = _sums(proc, numbers, "status", (b"RssAnon:", b"VmSwap:"), b"RssShmem:")
    if own + shared + files <= exact_above:
        return own + shared + files
    own, shared = _sums(proc, numbers, "smaps_rollup", (b"Pss_Anon:", b"SwapPss:"), b"Pss_Shmem:")
    # A file that is mapped is in both.
    return own + max(shared, files)


def _sums(proc: int, numbers: Iterable[str], name: str, own: tuple[bytes, ...], shared: bytes) -> tuple[int, int]:
    mine = both = 0
    for number in numbers:
        for line in _read(proc, f"{number}/{name}").splitlines():
            if line.startswith(own):
                mine += int(line.split()[1]) * 1024
            elif line.startswith(shared):
                both += int(line.split()[1]) * 1024
    return mine, both


def shared_files(proc: int) -> int:
    """Bytes in the /dev/shm of the first process of a /proc."""
    try:
        folder = os.open("1/root/dev/shm", os.O_PATH | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return 0
    try:
        about = os.fstatvfs(folder)
        return (about.f_blocks - about.f_bfree) * about.f_frsize
    finally:
        os.close(folder)


def _read(proc: int, path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 65536)
    except OSError:  # it has ended
        return b""
    finally:
        os.close(descriptor)


class Disk:
    """Counts what is allocated on disk, each file once, up to a limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        self._seen: set[tuple[int, int]] = set()

    @property
    def full(self) -> bool:
        return self.bytes > self.most

    def add_tree(self, folder: str) -> None:
        """All that is in a folder."""
        with contextlib.suppress(OSError):
            try:
                descriptor = os.open(folder, _FOLDER)
            except PermissionError:
                # A script that stands in a folder below goes on writing there.
                _make_readable(None, folder)
                descriptor = os.open(folder, _FOLDER)
            self._walk(descriptor, 0)

    def add_open_files(self, proc: int, numbers: Iterable[str]) -> None:
        """Files that have no name any more and are still open in a process."""
        for number in numbers:
            for descriptor in _entries(proc, f"{number}/fd"):
                if self.full:
                    return
                with contextlib.suppress(OSError):
                    about = os.stat(f"{number}/fd/{descriptor}", dir_fd=proc)
                    if stat.S_ISREG(about.st_mode) and about.st_nlink == 0:
                        self._count(about)

    def _walk(self, folder: int, depth: int) -> None:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if self.full:
                        return
                    with contextlib.suppress(OSError):
                        about = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                        self._count(about)
                        if stat.S_ISDIR(about.st_mode):
                            self._enter(folder, entry.name, depth + 1)
        finally:
            os.close(folder)

    def _enter(self, parent: int, name: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.bytes = self.most + 1
            return
        try:
            folder = os.open(name, _FOLDER, dir_fd=parent)
        except PermissionError:
            # One can write where one may not list. It is a folder of ours: we may.
            _make_readable(parent, name)
            folder = os.open(name, _FOLDER, dir_fd=parent)
        self._walk(folder, depth)

    def _count(self, about: os.stat_result) -> None:
        key = (about.st_dev, about.st_ino)
        if about.st_nlink != 1:
            if key in self._seen:
                return
            self._seen.add(key)
        self.bytes += max(about.st_blocks * _BLOCK, LEAST_BYTES)


def _make_readable(parent: int | None, name: str) -> None:
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
    finally:
        os.close(descriptor)


def _entries(proc: int, path: str) -> Iterator[str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return
    try:
        yield from os.listdir(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
