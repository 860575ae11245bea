"""Ending a run from outside, at a moment at which all that it has started is known and can be stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    #: How many blocks must not be interrupted now, and whether somebody has asked for it meanwhile.
    held = 0
    asked = False


def listen() -> None:
    """From here on a signal to stop raises KeyboardInterrupt, once: nothing interrupts the tidying up."""
    for number in SIGNALS:
        signal.signal(number, _take)


@contextmanager
def held() -> Iterator[None]:
    """Start what must not be lost half-started: an interruption waits for the end of the block."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if _State.asked and not _State.held:
        _State.asked = False
        raise KeyboardInterrupt


def _take(_signum: int, _frame: FrameType | None) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _State.held:
        _State.asked = True
        return
    raise KeyboardInterrupt
