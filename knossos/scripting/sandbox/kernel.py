"""The few system calls that Python 3.11 does not have: namespaces, mounts, the adoption of orphans."""

from __future__ import annotations

import ctypes
import fcntl
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18

_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
#: The descriptor of the user namespace that owns a namespace (ioctl_ns(2)).
_NS_GET_USERNS = 0xB701

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def setns(descriptor: int, kind: int) -> None:
    """Enter a namespace. For a user namespace the process must have one thread."""
    _checked(_libc.setns(descriptor, kind))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    _checked(_libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data)))


def owner_of(namespace: int) -> int:
    """A descriptor of the user namespace that owns this one."""
    return fcntl.ioctl(namespace, _NS_GET_USERNS)


def adopt_orphans() -> None:
    """Become the parent of what children of ours leave behind, so that it can be buried here."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def clear_ambient() -> None:
    """Keep no capability for programs of users that have none by themselves."""
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
