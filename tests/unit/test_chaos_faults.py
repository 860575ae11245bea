"""The faults of the chaos meet what they should, and what they leave behind is seen."""

from __future__ import annotations

import subprocess

from chaos import leftovers
from chaos.units import children_of, kill, program_of, wait_until


def test_a_shell_that_a_job_has_left_is_found_whatever_file_it_is() -> None:
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & wait'; true"]) as outer:
        try:
            wait_until(lambda: any(map(children_of, children_of(outer.pid))), "the shell and its program", 20)
            (inner,) = children_of(outer.pid)
            assert program_of(inner) in leftovers.JOB_PROGRAMS
            assert any(f" {inner} " in f" {text} " for text in leftovers.of_jobs())
        finally:
            for pid in children_of(outer.pid):
                for program in children_of(pid):
                    kill(program)
