"""Ctrl-C, SIGTERM and SIGHUP for command lines: one line and exit code 130, with nothing left behind.

Imports next to nothing, since it is there to be used before everything else is imported.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def wanted_signals() -> list[signal.Signals]:
    """Those that this process was not told to ignore (as nohup does)."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def end_at_once_when_interrupted(line: str) -> None:
    """For the time in which modules are imported, when nothing is begun yet: an exception would get lost there."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        os.write(2, f"{line}\n".encode())
        os._exit(EXIT_INTERRUPTED)

    for number in wanted_signals():
        signal.signal(number, end)


@contextmanager
def raising_when_interrupted() -> Iterator[None]:
    """The first signal raises KeyboardInterrupt; after it there are none, so that cleaning up is not interrupted."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        ignore_interruptions()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in wanted_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interruptions() -> None:
    """For the moments in which all is done, and the process only ends."""
    for number in wanted_signals():
        signal.signal(number, signal.SIG_IGN)
