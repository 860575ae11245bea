"""The process beside a worker: it ends with the worker, and whenever it ends before, there is another one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from knossos.jobs import companion
from knossos.jobs.companion import Companion

#: Seconds after which an end that should come at once counts as missing.
PATIENCE = 20

#: A worker whose companion says its number once it works, and would go on for ever.
WORKER = """
import os, signal
from knossos.jobs.companion import Companion
def work():
    print(os.getpid(), flush=True)
    signal.pause()
Companion(work).tend()
signal.pause()
"""


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Companion]:
    monkeypatch.setattr(companion, "PAUSE_SECONDS", 0.0)
    made = Companion(signal.pause)
    made.tend()
    yield made
    made.stop()


def process(made: Companion) -> int:
    assert made.pid is not None
    return made.pid


def test_it_ends_with_a_worker_that_is_killed() -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE)
    with worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        end = os.pidfd_open(pid)
        worker.kill()
    try:
        ended = select.poll()
        ended.register(end, select.POLLIN)
        assert ended.poll(PATIENCE * 1000), "the companion goes on without its worker"
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(end, signal.SIGKILL)
        os.close(end)


def test_one_that_has_ended_is_started_anew(beside: Companion) -> None:
    first = process(beside)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    beside.tend()
    second = process(beside)
    assert second != first
    beside.tend()
    assert process(beside) == second


def test_one_that_is_stopped_has_ended_and_is_buried(beside: Companion) -> None:
    pid = process(beside)
    beside.stop()
    try:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert beside.pid is None
