"""Signals to stop before there is anything to stop: they end the program cleanly, at once and without a word.

Owns the time from the first line of the program to the supervisor or the demonstration, which take signals their own
way. launch.sh starts us with these signals held, so that none comes before there is someone to take it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def take() -> None:
    """Take signals from now on."""
    for number in STOPPING:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait until the block has ended. It starts no process: that would hold them for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    # Not an exception: it could come up in the middle of an import, where it would be taken for a failed one.
    os._exit(0)
