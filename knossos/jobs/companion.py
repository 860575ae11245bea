"""A process beside a worker, for what has to be looked at while all workers are busy.

It is a fork of the worker's process from before its loop, so it costs next to no memory, and it ends with the worker,
however that ends. What it does the worker does not know; where it ends by itself it is started again.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import Callable

#: prctl's number for "send me this signal when my parent dies" (linux/prctl.h).
PR_SET_PDEATHSIG = 1
#: Seconds between two starts.
PAUSE_SECONDS = 10.0

_libc = ctypes.CDLL(None, use_errno=True)
log = logging.getLogger("knossos.jobs")


class Companion:
    """``work`` goes on until it is killed, at any moment."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._started = -PAUSE_SECONDS
        #: Its process; None while there is none.
        self.pid: int | None = None

    def tend(self) -> None:
        """Start it where it does not run. Never waits."""
        if self.pid is not None:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                    return
            log.warning("the process beside this worker has ended; it is started anew")
            self.pid = None
        if time.monotonic() - self._started >= PAUSE_SECONDS:
            self._started = time.monotonic()
            self._start()

    def stop(self) -> None:
        """End it, and wait for that."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            self.pid = None

    def _start(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self.pid = pid
            return
        try:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # The terminal's Ctrl-C is the worker's: it ends when that has finished.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if os.getppid() == parent:
                self._work()
        except BaseException:
            log.exception("the process beside the worker broke")
        finally:
            os._exit(1)
