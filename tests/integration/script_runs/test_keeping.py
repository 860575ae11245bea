"""What is kept of a run and for how long, and a storage that is away."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from chaos.storage_door import Door
from knossos.jobs import JobState
from knossos.scripting import housekeeping, runs
from knossos.scripting.plan import InputFile, RunOutcome, TokenPlan
from knossos.scripting.run_records import (
    Ending,
    NoSuchRun,
    inputs_prefix,
    new_run_id,
    run_prefix,
)
from knossos.settings import Settings
from knossos.storage import StorageUnavailable
from tests.conftest import StartWorker
from tests.support.processes import wait_for
from tests.support.s3 import S3Server, behind_a_door
from tests.support.script_runs import RunBench, ended


def test_what_cannot_be_stored_or_fetched_fails_the_run_in_words(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run_id = new_run_id()
    missing = InputFile(name="a", key=f"{inputs_prefix(run_id)}/0", size=1)
    run = bench.finish("exit 0", run_id=run_id, inputs=[missing])
    assert (run.outcome, run.error) == (
        RunOutcome.FAILED,
        "The folder of this run cannot be made: the files that came with the call cannot be read.",
    )
    # What storage.py would make a folder of is none.
    folder = bench.storage.folder
    assert folder is not None
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "runs", ignore_errors=True)
    (folder / "runs").write_text("no folder")
    run = bench.finish("echo out", token=TokenPlan())
    assert (run.outcome, run.exit_code, run.error) == (RunOutcome.FAILED, 0, "What it left cannot be stored.")


def test_runs_expire_with_their_files_and_their_tokens(
    bench: RunBench, site: Settings, start_worker: StartWorker
) -> None:
    start_worker(scripts=True)
    run = bench.finish("echo out", keep_seconds=0.2, token=TokenPlan())
    assert list(bench.storage.list_keys(run_prefix(run.run_id)))
    time.sleep(0.3)
    with pytest.raises(NoSuchRun):
        bench.runs.get(run.run_id)
    assert dict(housekeeping.tidy(site))["runs of scripts whose time was over"] == 1
    assert list(bench.storage.list_keys(run_prefix(run.run_id))) == []
    assert bench.storage.folder is not None
    assert list((bench.storage.folder / "runs").iterdir()) == [], "no empty folder is left either"


def test_files_of_a_run_that_was_never_noted_go_after_a_task_s_lifetime(bench: RunBench, site: Settings) -> None:
    noted, _ = bench.submit("exit 0")
    for run_id in (noted.run_id, lost := new_run_id()):
        bench.storage.put_bytes(f"{inputs_prefix(run_id)}/0", b"x")
    housekeeping.tidy(site)
    assert list(bench.storage.list_keys(run_prefix(lost)))
    impatient = site.model_copy(update={"task_lifetime": 0.01})
    time.sleep(0.02)
    housekeeping.tidy(impatient)
    assert list(bench.storage.list_keys(run_prefix(lost))) == []
    assert list(bench.storage.list_keys(run_prefix(noted.run_id)))


def test_a_run_whose_task_is_gone_is_settled(bench: RunBench) -> None:
    run, ticket = bench.submit("echo never")
    bench.engine.forget(ticket)
    found = bench.runs.get(run.run_id)
    assert (found.outcome, found.exit_code) == (RunOutcome.LOST, None)
    assert found.error


@pytest.mark.xdist_group("s3")
def test_a_run_waits_for_an_object_store_that_is_away_and_succeeds(
    site: Settings, s3_server: S3Server, start_worker: StartWorker, tmp_path: Path
) -> None:
    store = s3_server.settings(site.data_path)
    place = {"storage": store.storage, "storage_options": store.storage_options}
    with behind_a_door(site.model_copy(update=place)) as (door, settings):
        bench = RunBench(settings, tmp_path)
        run_id = new_run_id()
        key = f"{run_prefix(run_id)}/script"
        bench.storage.put_bytes(key, b"its text")
        run, ticket = bench.submit("cat", run_id=run_id, stdin_key=key)
        door.state = Door.FAILING
        start_worker(scripts=True, use=settings)
        # More often than one who is in a hurry tries.
        wait_for(lambda: door.refused > 8 or bench.engine.find(ticket).state.finished, "the tries")
        door.state = Door.OPEN
        assert ended(bench.engine, ticket).state is JobState.SUCCEEDED
        assert bench.output(bench.runs.get(run.run_id))[0] == "its text"
        bench.database.close()


def test_a_run_has_one_outcome_also_where_its_inputs_cannot_be_removed(
    bench: RunBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row said that it had ended well, and its task had failed."""

    def away(_prefix: str) -> None:
        raise StorageUnavailable("The storage does not answer.")

    run, ticket = bench.submit("exit 0")
    bench.runs.begin(run.run_id, ticket)
    told: list[list[str]] = []
    monkeypatch.setattr(bench.storage, "delete_below", away)
    monkeypatch.setattr(runs, "settle", lambda *_: ["a notice"])
    monkeypatch.setattr(bench.runs, "_tell", told.append)
    assert bench.runs.end(run.run_id, Ending(RunOutcome.EXITED, 0), ())
    assert told == [["a notice"]]
