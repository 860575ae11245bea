"""Older files of a list, written to again once nobody has them: they hold all but what was appended since.

What always holds: a file is taken only where no one else can see it change. It has one name, which is known to this
program only (its names in the storage went when it was not a former one any more), and nobody has it open, which the
kernel says by granting a lease. What the kernel still sends of it (``sendfile`` goes on after the file was closed) lies
in pages of the cache. So no page of it is written to: the file is cut off where no page reaches across, which gives the
pages away as they are, and goes on in new ones.

A file system of which this is not certain (one that other machines use as well) is left alone, as are those that share
blocks between files: there a copy costs nothing. Only an NFS 3 server on this very machine reads files that it has not
open; so the local folder and an exported storage are not to share a file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

#: The local file systems that copy all bytes.
FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4"})

#: No page of the kernel's cache reaches across a multiple of this: the largest has 2048 small ones (MAX_XAS_ORDER).
CUT_BYTES = 2048 * os.sysconf("SC_PAGE_SIZE")


class Spare(BaseModel):
    """An older file of a list: its name, and how many bytes of it are the beginning of the present one."""

    model_config = ConfigDict(frozen=True)

    name: str
    end: int


def take(folder: Path, spares: Iterable[Spare], path: Path) -> int:
    """Give a spare, that nobody has, the name ``path``. It is ours now, and no spare any more.

    Returns:
        how many bytes of it may stay; 0 where there is no such spare.
    """
    for spare in spares:
        stays = spare.end // CUT_BYTES * CUT_BYTES
        with contextlib.suppress(OSError):
            descriptor = os.open(folder / spare.name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if stays and _is_nobodys(descriptor) and os.fstat(descriptor).st_size >= stays:
                    (folder / spare.name).rename(path)
                    return stays
            finally:
                os.close(descriptor)
    return 0


def worth_keeping(folder: Path, spares: Iterable[Spare], most: int) -> tuple[Spare, ...]:
    """Of the spares, newest first: those that have another name cost nothing; of all others one. None where they
    would be of no use."""
    kept: list[Spare] = []
    costly = 0
    if not _copies_bytes(folder):
        return ()
    for spare in spares:
        try:
            names = (folder / spare.name).stat().st_nlink
        except FileNotFoundError:
            continue
        costly += names == 1
        if len(kept) < most and spare.end >= CUT_BYTES and (names > 1 or costly == 1):
            kept.append(spare)
    return tuple(kept)


def _is_nobodys(descriptor: int) -> bool:
    """Whether an open file has but one name, and nobody else has it open."""
    # Whoever opens it meanwhile, by that name, makes the kernel tell us so: with a signal that does nothing.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:  # somebody has it open, or there are no leases here
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return os.fstat(descriptor).st_nlink == 1


def _copies_bytes(folder: Path) -> bool:
    """Whether a folder lies in a file system that we know."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            mount, _, system = line.partition(" - ")
            if mount.split(" ")[2] == number:
                return system.split(" ")[0] in FILE_SYSTEMS
    return False
