"""The processes below a worker: none outlives what started it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from types import FrameType

#: prctl's number for "send me this signal when my parent dies" (linux/prctl.h).
PR_SET_PDEATHSIG = 1
#: prctl's number for "what my descendants orphan becomes my child".
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def be_signalled_when_the_parent_dies(which: signal.Signals) -> None:
    """Have the kernel send this process a signal when the one that forked it ends, in whatever way."""
    _libc.prctl(PR_SET_PDEATHSIG, which, 0, 0, 0)


def end_group(_signum: int, _frame: FrameType | None) -> None:
    """A handler of signals: end this process with its whole process group."""
    os.killpg(0, signal.SIGKILL)


def adopt_orphans() -> None:
    """From now on what a descendant leaves behind becomes a child of this process, in whatever session it is."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(but: Collection[int | None] = ()) -> None:
    """End all children but some: a worker keeps its spare and what goes on beside it, and nothing that a job left."""
    while children := [pid for pid in _children() if pid not in but]:
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children") as file:
            found += [int(pid) for pid in file.read().split()]
    return found
