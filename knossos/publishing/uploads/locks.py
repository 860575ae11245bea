"""Locks on ranges of a file that hold between threads and between processes, and die with their holder.

They are locks of an open file description (Linux, macOS): two threads that have each opened the file exclude each
other too, and closing the descriptor, or a killed process, gives the lock back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

#: From the start to beyond every other range.
WHOLE = (0, 0)
#: Held by who goes on with the running hash of an upload's file; no file is that long.
HASHING = (2**62, 1)

#: struct flock on 64-bit Linux: type, whence, start, length, process (0 for these locks).
_FLOCK = struct.Struct("@hhqqi4x")


def lock(descriptor: int, start: int, length: int, *, wait: bool) -> bool:
    """Take the lock on a range; whether that was possible. ``length`` 0 is all from ``start`` on.

    The descriptor must be open for writing. Ranges may lie beyond the end of the file.
    """
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(descriptor, command, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock(descriptor: int, start: int, length: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, start, length, 0))
