"""A run of benchmarks that is interrupted in the middle leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knossos.settings import ROOT
from tests.support.processes import wait_for

#: The runner on a repository of the test's own, so that nothing is written to ours.
RUNNER = """
import sys
from pathlib import Path
from benchmarks import __main__ as bench
bench.ROOT = Path(sys.argv[1])
sys.exit(bench.main(["engine"]))
"""

#: Starts a program as a shell does in its background.
IN_BACKGROUND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_run_ends_what_it_has_started_and_keeps_nothing(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # As a shell starts what runs in its background.
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", ignoring, sys.executable, "-c", RUNNER, str(tmp_path)]
    runner = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    started: set[int] = set()

    def measures() -> bool:
        started.update(family(runner.pid))
        # The runner, the group, its Redis, and a worker of each side.
        return len(started) >= 5

    try:
        wait_for(measures, "the measurement")
        runner.send_signal(number)
        _, said = runner.communicate(timeout=60)
    finally:
        runner.kill()
        runner.wait()
    assert runner.returncode == 1
    assert "nothing is kept" in said
    wait_for(lambda: not any(lives(pid) for pid in started), "all that was started to end")
    assert not list(tmp_path.rglob("*.rows*"))
    assert not (tmp_path / "var" / "bench.json").exists()
    assert not (tmp_path / "docs").exists()
