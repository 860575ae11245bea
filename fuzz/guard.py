"""Nothing of a run outlives it, however it ends: a process that does nothing but wait for it, and tidy up after it.

The run itself is a child. Where the child is killed, all that it had started falls to this process, which ends it and
removes its files; where this one is killed, the kernel tells the child to stop, as Ctrl-C would.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from fuzz.interruption import SIGNALS
from fuzz.places import scratch
from knossos.launch.processes import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, end_with_parent

#: What GNU make sets for what it runs. A make that is killed tells nobody.
_UNDER_MAKE = "MAKELEVEL"


def guarded(work: Callable[[], int]) -> int:
    """Do the work in a child; the code with which the run ends."""
    libc = ctypes.CDLL(None)
    if _UNDER_MAKE in os.environ:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with scratch() as folder:
        before = end_with_parent(signal.SIGTERM)
        child = os.fork()
        if not child:
            _run(before, work, folder)
        for number in SIGNALS:
            signal.signal(number, lambda given, _frame: _send(child, given))
        try:
            _, status = os.waitpid(child, 0)
        finally:
            _end_all()
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        print(f"the run was ended by {signal.Signals(-code).name}; no numbers are kept", file=sys.stderr)
    return code if code >= 0 else 1


def _run(before: Callable[[], None], work: Callable[[], int], folder: Path) -> None:
    """The child. It has a group of its own: who kills the whole group of the other one must not kill both."""
    code = 1
    try:
        os.setsid()
        before()
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # nobody else does where the other process is gone
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_all() -> None:
    """End what the child has left behind, and what falls to this process by that."""
    while children := _children():
        for pid in children:
            _send(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
