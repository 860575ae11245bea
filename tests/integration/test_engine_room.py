"""A worker whose disk is full takes no task, and leaves them to others."""

from __future__ import annotations

from pathlib import Path

from rq.suspension import resume, suspend

from knossos.jobs import Engine, JobSpec, JobState, overview
from knossos.settings import Settings
from tests.conftest import StartWorker
from tests.support.processes import wait_for

#: A file system on which nothing is ever free.
FULL = Path("/proc")


def echo(engine: Engine) -> int:
    job = JobSpec(function="tests.support.jobs.echo", kind="test", title="A test", owner="system", payload={"a": 1})
    return engine.submit(job).ticket


def test_a_worker_without_room_leaves_tasks_to_others_until_it_has_room(
    settings: Settings, engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    worker = start_worker(use=settings.model_copy(update={"work_path": disk}))
    engine.wait(echo(engine), 45)
    disk.rename(tmp_path / "roomy")
    disk.symlink_to(FULL)
    wait_for(lambda: "is full" in worker.log, "the worker to see it")
    wait_for(lambda: overview.workers(engine)[0].full, "all to see it")
    assert overview.held_up(engine, "default").startswith("The disks of all workers are full;")
    ticket = echo(engine)
    other = start_worker()
    assert engine.wait(ticket, 45).state is JobState.SUCCEEDED
    assert f"task {ticket} starts" in other.log
    assert other.stop() == 0
    waits = echo(engine)
    disk.unlink()
    assert engine.wait(waits, 45).state is JobState.SUCCEEDED
    assert worker.log.count("is full") == 1
    wait_for(lambda: not overview.workers(engine)[0].full, "all to see it")


def test_a_worker_without_room_stops_when_it_is_told_to(settings: Settings, start_worker: StartWorker) -> None:
    worker = start_worker(use=settings.model_copy(update={"work_free_bytes": 1024**5}))
    wait_for(lambda: "is full" in worker.log, "the worker to see it")
    assert worker.stop() == 0


def test_a_worker_that_is_suspended_by_hand_is_not_taken_for_one_without_room(
    engine: Engine, start_worker: StartWorker
) -> None:
    suspend(engine.redis)
    start_worker()
    (worker,) = wait_for(lambda: [one for one in overview.workers(engine) if one.suspended], "all to see it")
    assert not worker.full
    assert overview.held_up(engine, "default").startswith("All workers are suspended;")
    resume(engine.redis)
    assert engine.wait(echo(engine), 45).state is JobState.SUCCEEDED
    assert not overview.workers(engine)[0].suspended
    assert overview.held_up(engine, "default") == ""
    assert overview.held_up(engine, "another").startswith("No worker is running;")
