"""The faults of the chaos meet what they should, and what they leave behind is seen."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos import faults, leftovers
from chaos.units import children_of, descendants_of, kill, program_of, programs, wait_until


def test_a_fault_that_breaks_is_kept_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise OSError("the disk is gone")

    monkeypatch.setattr(faults, "PAUSE_SECONDS", (0.001, 0.002))
    harm = faults.Faults(cast(Any, SimpleNamespace(keeper=None)), seed=1)
    harm._kinds = {"breaks": broken, "does": lambda: True}
    harm.start()
    wait_until(lambda: harm.counts["does"] > 1 and len(harm.broken) > 1, "both faults twice", 20)
    harm.stop()
    assert set(harm.counts) == {"does"}
    assert harm.broken[0].startswith("breaks: OSError")


def test_a_shell_that_a_job_has_left_is_found_whatever_file_it_is_and_what_it_starts_is_not_killed() -> None:
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & wait'; true"]) as outer:
        try:
            wait_until(lambda: len(descendants_of(outer.pid)) == 2, "the shell and its program", 20)
            (inner,) = children_of(outer.pid)
            assert program_of(inner) in leftovers.JOB_PROGRAMS
            assert any(f" {inner} " in f" {text} " for text in leftovers.of_jobs())
            assert descendants_of(outer.pid, programs("sh")) == [inner]
        finally:
            for pid in descendants_of(outer.pid):
                kill(pid)
