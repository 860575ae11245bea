"""Signals that stop a worker wait while it copies itself.

What is raised while the interpreter goes through its own steps of a fork is lost: a worker that was told to stop at
such a moment would work on for ever.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

#: What tells a worker to stop.
STOPS = frozenset({signal.SIGTERM, signal.SIGINT})


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Signals that come meanwhile are handled as the block ends, and what their handlers raise comes out of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_in() -> None:
    """In the copy, once it has handlers of its own."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
