from __future__ import annotations

import os
import signal
from types import FrameType

import pytest

from knossos.jobs.held_signals import STOPS, held_signals


class Told(Exception):
    """The process was told to stop."""


def _stop(_signum: int, _frame: FrameType | None) -> None:
    raise Told


def _fork(pids: list[int]) -> None:
    with held_signals():
        if pid := os.fork():
            pids.append(pid)
        else:
            os._exit(0)


def test_who_is_told_to_stop_in_the_middle_of_a_fork_stops() -> None:
    """Without holding signals, what a handler raises in the interpreter's own steps of a fork is lost."""
    armed = []

    def tell() -> None:
        if armed:
            armed.pop()
            os.kill(os.getpid(), signal.SIGTERM)

    os.register_at_fork(after_in_parent=tell)
    armed.append(True)
    before, pids = signal.signal(signal.SIGTERM, _stop), list[int]()
    try:
        with pytest.raises(Told):
            _fork(pids)
    finally:
        signal.signal(signal.SIGTERM, before)
        for pid in pids:
            os.waitpid(pid, 0)
    assert len(pids) == 1
    assert not armed
    assert not STOPS & signal.pthread_sigmask(signal.SIG_BLOCK, ())
