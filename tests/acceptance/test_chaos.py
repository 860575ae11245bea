"""A short run of chaos: a deployment under fire loses and doubles nothing, and a run that is ended leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knossos.settings import ROOT
from tests.support.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos")]

#: Of the short run; with it every part of the chaos has its turn.
SEED, SECONDS = 7, 170


@pytest.mark.timeout(SECONDS + 180)
def test_a_deployment_under_fire_loses_doubles_and_leaves_nothing(tmp_path: Path) -> None:
    into = tmp_path / "chaos.json"
    options = ["--seed", str(SEED), "--seconds", str(SECONDS), "--into", str(into)]
    done = subprocess.run([sys.executable, "-m", "chaos", *options], cwd=ROOT, capture_output=True, text=True)
    assert into.exists(), done.stderr
    report = json.loads(into.read_text())
    assert (report["lost"], report["doubled"], report["wrong"], report["leftover"]) == (0, 0, 0, 0), done.stdout
    assert done.returncode == 0
    for kind in ("conversion", "release", "script", "upload"):
        assert report["requests"][f"{kind}: accepted"] > 0
    assert report["faults"]["host cut off"] == report["faults"]["host back"] > 0
    assert sum(report["faults"].values()) > 8
    assert report["watchers"]["events seen"] > 100


def namespace_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")
    return ""


def processes_in(namespace: str) -> list[int]:
    return [int(one.name) for one in Path("/proc").glob("[0-9]*") if namespace_of(int(one.name)) == namespace]


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process_mount_or_file(how: signal.Signals, tmp_path: Path) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    into = tmp_path / "chaos.json"
    run = subprocess.Popen(
        [sys.executable, "-m", "chaos", "--into", str(into)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )

    def inside() -> str:
        """The namespace of the run, once Redis, PostgreSQL and the S3 server have been started in it."""
        for child in children_of(run.pid):
            for first in children_of(child):
                if namespace_of(first) != namespace_of(run.pid) and len(processes_in(namespace_of(first))) > 3:
                    return namespace_of(first)
        return ""

    try:
        namespace = wait_for(inside, "the processes of the run")
        run.send_signal(how)
        assert run.wait(60) == (-signal.SIGKILL if how is signal.SIGKILL else 1)
        wait_for(lambda: not processes_in(namespace), "the end of all that it had started")
    finally:
        run.kill()
        _, said = run.communicate()
    assert ("nothing is kept" in said) == (how is not signal.SIGKILL)
    assert Path("/proc/self/mounts").read_text() == mounts
    assert not Path("/run/chaos").exists()
    assert list(tmp_path.iterdir()) == []
