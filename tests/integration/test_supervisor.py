"""The supervisor with real children: starts again, stops in order, leaves nothing, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from knossos.settings import ROOT
from tests.support.processes import is_alive

#: Runs children whose commands are given, and says "ready" when they run.
PROGRAM = """
import sys
from pathlib import Path
from knossos.launch.processes import GivenUp, Supervisor, print_line
with Supervisor(print_line, Path.cwd(), final_exits=(3,)) as supervisor:
    try:
        for number, code in enumerate(sys.argv[1:]):
            deaf = "deaf" in code
            command = [sys.executable, "-c", code]
            seconds, name = 30 if deaf else 0.5, f"{'abc'[number]}-1"
            supervisor.start(name, command, stop_seconds=seconds, deaf_at_first=deaf, unsaid="for nobody")
        print("ready", flush=True)
        supervisor.run(until=lambda: False)
    except GivenUp as reason:
        print(f"given up: {reason}", flush=True)
        sys.exit(reason.exit_code)
"""

SLEEP = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
#: Hears only the second SIGTERM.
DEAF = """
import os, signal, sys, time
heard = []
def hear(*_):
    heard.append(1)
    if len(heard) > 1:
        print("heard, though deaf at first", flush=True)
        os._exit(0)
signal.signal(signal.SIGTERM, hear)
print("pid", os.getpid(), flush=True)
while True:
    time.sleep(1)
"""
#: Has a child in a process group of its own, as a worker has.
PARENT = (
    "import subprocess, sys, time; "
    f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True); time.sleep(600)"
)


class Launched:
    def __init__(self, *codes: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *codes], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.lines: list[str] = []

    def read_until(self, wanted: Callable[[list[str]], bool]) -> list[str]:
        assert self.process.stdout is not None
        while not wanted(self.lines):
            line = self.process.stdout.readline()
            if not line:
                break
            self.lines.append(line.strip())
        return self.lines

    def pids(self, count: int) -> list[int]:
        """The process ids that the children have printed, once there are that many."""

        def found() -> list[int]:
            return [int(line.split()[-1]) for line in self.lines if "| pid" in line]

        self.read_until(lambda _: len(found()) >= count)
        return found()

    def end(self) -> int:
        self.read_until(lambda _: False)
        return self.process.wait(30)


@pytest.fixture
def launch() -> Iterator[Callable[..., Launched]]:
    started: list[Launched] = []

    def start(*codes: str) -> Launched:
        started.append(Launched(*codes))
        return started[-1]

    yield start
    for launched in started:
        with suppress(ProcessLookupError):
            launched.process.kill()
        launched.process.wait()
        assert launched.process.stdout is not None
        launched.process.stdout.close()


def wait_until_gone(pids: list[int]) -> bool:
    for _ in range(400):
        if not any(is_alive(pid) for pid in pids):
            return True
        time.sleep(0.025)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_all_children_and_the_program_ends_cleanly(
    launch: Callable[..., Launched], number: signal.Signals
) -> None:
    launched = launch(SLEEP, SLEEP)
    pids = launched.pids(2)
    launched.process.send_signal(number)
    assert launched.end() == 0
    assert not any(is_alive(pid) for pid in pids)


def test_a_child_that_does_not_stop_and_what_children_have_left_are_killed(launch: Callable[..., Launched]) -> None:
    launched = launch(STUBBORN, PARENT)
    pids = launched.pids(2)
    launched.process.terminate()
    assert launched.end() == 0
    assert not any(is_alive(pid) for pid in pids)


def test_a_child_that_is_deaf_at_first_is_asked_again(launch: Callable[..., Launched]) -> None:
    launched = launch(DEAF)
    launched.pids(1)
    launched.process.terminate()
    assert launched.end() == 0
    assert "a-1        | heard, though deaf at first" in launched.lines


def test_children_end_when_the_supervisor_is_killed(launch: Callable[..., Launched]) -> None:
    launched = launch(SLEEP, STUBBORN)
    pids = launched.pids(2)
    launched.process.kill()
    assert wait_until_gone(pids)


def test_a_child_that_was_killed_is_started_again(launch: Callable[..., Launched]) -> None:
    launched = launch(SLEEP)
    (first,) = launched.pids(1)
    os.kill(first, signal.SIGKILL)
    pids = launched.pids(2)
    assert pids[1] != first
    assert "launch     | a-1 was ended by SIGKILL; starting it again" in launched.lines
    launched.process.terminate()
    assert launched.end() == 0


def test_a_child_that_crashes_again_and_again_stops_everything_with_code_1(launch: Callable[..., Launched]) -> None:
    launched = launch(SLEEP, "raise SystemExit('no')")
    (pid,) = launched.pids(1)
    assert launched.end() == 1
    assert any("given up: b-1 ended with code 1" in line for line in launched.lines)
    assert not is_alive(pid)


def test_a_code_that_a_restart_does_not_mend_is_passed_on(launch: Callable[..., Launched]) -> None:
    launched = launch(SLEEP, "raise SystemExit(3)")
    assert launched.end() == 3
    assert not any("starting it again" in line for line in launched.lines)


def test_a_line_without_an_end_is_shown_when_its_child_ends(launch: Callable[..., Launched]) -> None:
    launched = launch("import os; os.write(1, b'last words'); os._exit(3)")
    assert launched.end() == 3
    assert "a-1        | last words" in launched.lines


def test_what_is_for_nobody_is_not_shown(launch: Callable[..., Launched]) -> None:
    launched = launch("print('first\\na line for nobody\\nlast', flush=True); raise SystemExit(3)")
    assert launched.end() == 3
    said = " ".join(launched.lines)
    assert "first" in said
    assert "last" in said
    assert "for nobody" not in said
