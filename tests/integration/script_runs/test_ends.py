"""How a run ends: badly, at its limits, cancelled, without its worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from knossos.jobs import JobState
from knossos.scripting.metadata import RunLimits
from knossos.scripting.plan import RunOutcome, RunPlan
from knossos.scripting.run_records import (
    Ending,
)
from knossos.settings import Settings
from tests.conftest import StartWorker
from tests.support.processes import is_alive, wait_for
from tests.support.script_runs import RunBench, ended
from tests.support.submitting import children


def test_a_run_that_has_its_outcome_already_is_not_started(
    site: Settings, tmp_path: Path, start_worker: StartWorker
) -> None:
    settings = site.model_copy(update={"script_sandbox": "none"})
    bench = RunBench(settings, tmp_path)
    run, ticket = bench.submit(f"touch {tmp_path}/begun")
    assert bench.runs.end(run.run_id, Ending(RunOutcome.LOST, error="Its worker seemed lost."), ())
    start_worker(scripts=True, use=settings)
    failure = ended(bench.engine, ticket).failure
    assert failure is not None
    assert failure.code == "no_such_run"
    assert bench.runs.get(run.run_id).outcome is RunOutcome.LOST
    assert not (tmp_path / "begun").exists()
    bench.database.close()


def test_a_run_whose_process_is_killed_before_it_has_begun_has_one_outcome_and_leaves_nothing(
    bench: RunBench, start_worker: StartWorker
) -> None:
    """Its sandbox is being made then, and waits."""
    run, ticket = bench.submit('echo begun > "$SHARED_DIR/a"')

    def in_the_making() -> list[int]:
        found = [worker.popen.pid]
        for _ in range(3):  # the horse, bubblewrap, and the first process in the sandbox
            found += children(found[-1])[:1]
        return found[1:] if len(found) == 4 else []

    with bench.database.writing():  # nobody else writes meanwhile
        worker = start_worker(scripts=True)
        waiting = wait_for(in_the_making, "a sandbox")
        os.kill(waiting[0], signal.SIGKILL)
        wait_for(lambda: not any(is_alive(pid) for pid in waiting), "the end of all of it")
    assert ended(bench.engine, ticket).state is JobState.FAILED
    run = bench.runs.get(run.run_id)
    assert (run.outcome, run.started_at, run.files) == (RunOutcome.LOST, None, ())
    wait_for(lambda: not list(bench.settings.work_folder.glob("*")), "the end of what the run had on the worker's disk")


def test_a_run_that_cannot_be_staged_has_begun_and_failed(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("exit 0", template=str(bench.folder / "missing"))
    assert (run.outcome, run.started_at is None) == (RunOutcome.FAILED, False)


def test_a_task_of_an_older_version_does_not_say_the_name_of_what_is_shared(
    bench: RunBench, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RunPlan, "model_copy", lambda plan, **_: plan)
        run, ticket = bench.submit('basename "$SHARED_DIR"')
    assert bench.engine.payload(ticket)["shared_name"] == ""
    start_worker(scripts=True)
    ended(bench.engine, ticket)
    assert bench.output(bench.runs.get(run.run_id))[0] == f"{run.shared_name}\n"


def test_a_run_that_fails_says_how_and_repeats_the_end_of_its_errors(
    bench: RunBench, start_worker: StartWorker
) -> None:
    start_worker(scripts=True)
    run = bench.finish("echo no such table >&2; exit 3")
    assert (run.outcome, run.exit_code) == (RunOutcome.EXITED, 3)
    assert run.ticket is not None
    failure = bench.engine.find(run.ticket).failure
    assert failure is not None
    assert failure.message == "It ended with exit code 3.\nno such table"
    assert failure.details["exit_code"] == 3


def test_a_signal_is_told_from_an_exit_code(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("kill -SEGV $$")
    assert (run.outcome, run.exit_code, run.signal) == (RunOutcome.SIGNALLED, None, signal.SIGSEGV)
    assert "SIGSEGV" in run.error


def test_a_run_that_takes_too_long_is_ended_also_where_it_does_not_want_to(
    bench: RunBench, start_worker: StartWorker
) -> None:
    start_worker(scripts=True)
    limits = RunLimits(timeout_seconds=0.3)
    run = bench.finish("trap 'echo asked' TERM; while :; do sleep 0.1; done", limits=limits)
    assert run.outcome is RunOutcome.TIMEOUT
    assert "0.3 seconds" in run.error
    assert "asked" in bench.output(run)[0]


def test_a_flood_of_output_is_cut_and_said_to_be(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("yes | head -c 3000000", limits=RunLimits(output_bytes=10_000))
    assert (run.outcome, run.exit_code) == (RunOutcome.EXITED, 0)
    assert (len(bench.output(run)[0]), run.dropped_bytes) == (10_000, 2_990_000)
    assert run.ticket is not None
    told = [event.data["text"] for event in bench.engine.events(run.ticket) if event.type == "log"]
    assert any("10000 bytes, and 2990000 more were dropped" in text for text in told)


def test_a_run_that_fills_its_disk_is_ended(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    limits = RunLimits(disk_bytes=5_000_000, file_bytes=4_000_000)
    run = bench.finish(
        "for n in 1 2 3 4 5 6 7 8 9; do head -c 3000000 /dev/zero > $n; done; while :; do sleep 0.1; done",
        limits=limits,
    )
    assert run.outcome is RunOutcome.DISK


def test_a_cancelled_run_ends_with_all_it_started_and_says_so(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run, ticket = bench.submit("echo begun; sleep 600 & wait")
    wait_for(lambda: any(event.type == "output" for event in bench.engine.events(ticket)), "the script's output")
    assert bench.engine.cancel(ticket, "Cancelled by dora.")
    ended(bench.engine, ticket)
    found = bench.runs.get(run.run_id)
    assert (found.outcome, found.error) == (RunOutcome.CANCELLED, "Cancelled by dora.")


@pytest.mark.parametrize(("retries", "outcome"), [(0, RunOutcome.LOST), (1, RunOutcome.EXITED)])
def test_a_run_whose_worker_is_killed_starts_again_only_where_that_is_safe(
    bench: RunBench, site: Settings, start_worker: StartWorker, retries: int, outcome: RunOutcome
) -> None:
    quick = site.model_copy(update={"worker_lost_seconds": 5.0})
    first = start_worker(scripts=True, use=quick)
    run, ticket = bench.submit("echo begun; sleep 3", retries=retries)
    wait_for(lambda: any(event.type == "output" for event in bench.engine.events(ticket)), "the script's output")
    first.kill()
    start_worker(scripts=True, use=quick)
    record = ended(bench.engine, ticket)
    found = bench.runs.get(run.run_id)
    assert found.outcome is outcome
    assert record.state is (JobState.FAILED if outcome is RunOutcome.LOST else JobState.SUCCEEDED)


def test_a_run_that_is_told_to_end_keeps_within_its_limits_until_it_does(
    bench: RunBench, site: Settings, start_worker: StartWorker
) -> None:
    # A moment so long that the test would give up before it is over.
    start_worker(scripts=True, use=site.model_copy(update={"script_kill_grace_seconds": 300.0}))
    limits = RunLimits(timeout_seconds=0.3, disk_bytes=5_000_000, file_bytes=4_000_000)
    fill = "for n in 1 2 3 4 5; do head -c 3000000 /dev/zero > $n; done"
    run = bench.finish(f"trap '' TERM; sleep 1; {fill}; while :; do sleep 0.1; done", limits=limits)
    assert run.outcome is RunOutcome.TIMEOUT


def test_a_program_that_is_gone_or_a_template_that_is_gone_is_an_error_of_the_run(
    bench: RunBench, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker(scripts=True)
    run = bench.finish("exit 0", template=str(tmp_path / "nowhere"))
    assert run.outcome is RunOutcome.FAILED
    assert "cannot be made" in run.error
    run = bench.finish("exit 0", program=str(tmp_path / "gone"))
    assert run.outcome is RunOutcome.FAILED
    assert run.error


def test_folders_below_each_other_without_end_end_no_worker(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    program = "import os\nos.chdir(os.environ['{}'])\nfor _ in range(4000):\n os.mkdir('a')\n os.chdir('a')"
    for folder in ("HOME", "SHARED_DIR"):
        run = bench.finish(f'exec /usr/bin/python3 -c "{program.format(folder)}"')
        assert run.outcome in (RunOutcome.EXITED, RunOutcome.DISK)
    assert bench.finish("exit 0").outcome is RunOutcome.EXITED
    wait_for(lambda: not list(bench.settings.work_folder.glob("*")), "the end of the folders")
