"""How a script in the sandbox is ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from knossos.scripting.metadata import RunLimits
from knossos.scripting.sandbox import (
    ResolvedLimits,
    start,
)
from knossos.settings import Settings
from tests.support.processes import wait_for
from tests.support.sandbox import PYTHON, SHELL, Place, in_a_child, some


@pytest.mark.parametrize("ignores", [False, True], ids=["", "and ignores SIGTERM"])
def test_sigterm_reaches_the_script_and_sigkill_whoever_does_not_listen(any_place: Place, ignores: bool) -> None:
    trap = "trap 'echo no' TERM" if ignores else "trap 'echo bye; exit 5' TERM"
    spec = any_place.spec(any_place.script(SHELL + trap + "\necho ready\nwhile :; do sleep 0.05; done"))

    def work() -> list[Any]:
        running = start(any_place.settings, spec)
        said = [""]

        def heard(text: str) -> bool:
            said[0] += some(running.stdout).decode()
            return text in said[0]

        try:
            wait_for(lambda: heard("ready"), "the script")
            running.terminate()
            wait_for(lambda: heard("no" if ignores else "bye"), "its answer")
            if ignores:
                assert running.poll() is None
                running.kill()
            return [running.wait(60), running.memory_bytes(), running.poll()]
        finally:
            running.close()
            running.close()

    code = -signal.SIGKILL if ignores else 5
    assert any_place.as_user(work) == [code, 0, code]


def test_closing_ends_a_script_that_runs(any_place: Place) -> None:
    spec = any_place.spec(any_place.script(SHELL + "sleep 600 & sleep 600"))

    def work() -> list[Any]:
        before = set(os.listdir("/proc/self/fd"))
        running = start(any_place.settings, spec)
        running.close()
        children = Path("/proc/thread-self/children").read_text()
        return [running.poll(), set(os.listdir("/proc/self/fd")) <= before, children]

    assert in_a_child(lambda: any_place.as_user(work)) == [-signal.SIGKILL, True, ""]


def test_nothing_is_left_of_a_script_whose_worker_is_killed(place: Place) -> None:
    spec = place.spec(
        place.script(
            f"#!{PYTHON}\nimport fcntl, os, time\nheld = open('held', 'w')\nfcntl.flock(held, fcntl.LOCK_EX)\n"
            "if os.fork(): open('lives', 'w')\nelse: os.setsid()\ntime.sleep(600)"
        ),
        door=("127.0.0.1", 9),
    )

    def worker() -> None:
        start(place.settings, spec)
        wait_for(lambda: (place.folder / "lives").exists(), "the script")
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> bool:
        pid = os.fork()
        if not pid:
            try:
                worker()
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        # It is held for as long as one of them lives.
        with open(place.folder / "held") as held:
            return bool(wait_for(lambda: _locked(held.fileno()), "the end of the script"))

    assert place.as_user(work)


def _locked(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def test_processor_time_ends_with_its_signal(place: Place) -> None:
    result = place.run(SHELL + "while :; do :; done", limits=RunLimits(cpu_seconds=0.5))
    assert result.code == -signal.SIGXCPU


def test_limits_are_those_of_the_metadata_and_else_those_of_the_settings() -> None:
    settings = Settings(data_path=Path("data"), script_processes=7, script_kill_grace_seconds=2)
    limits = ResolvedLimits.of(settings, RunLimits(open_files=9))
    assert (limits.processes, limits.open_files, limits.kill_grace_seconds) == (7, 9, 2)
    assert limits.memory_bytes == settings.script_memory_bytes
