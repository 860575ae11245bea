"""Workers of the engine that die, are killed or told to stop: no job is lost, and none of what it started is left."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from knossos.jobs import Engine, JobState, spare
from knossos.jobs.rq_worker import DEQUEUE_SECONDS
from knossos.settings import Settings
from tests.support.processes import Process, is_alive, wait_for, write_settings
from tests.support.submitting import begun, children, ended, kinds, spec, texts

StartWorker = Callable[..., Process]

#: A worker on a machine that has too many processes as long as there is a file.
FORKS_WHILE_THERE_IS_ROOM = """
import os, runpy, sys
full, fork = sys.argv.pop(1), os.fork
def fork_if_there_is_room():
    if os.path.exists(full):
        raise BlockingIOError("too many processes")
    return fork()
os.fork = fork_if_there_is_room
runpy.run_module("tests.support.run_worker", run_name="__main__")
"""


def test_a_killed_horse_is_reported_and_its_job_started_again_until_the_retries_are_used(
    engine: Engine, start_worker: StartWorker
) -> None:
    start_worker()
    ticket = engine.submit(spec("die", retries=1)).ticket
    record = ended(engine, ticket)
    assert (record.state, record.attempt) == (JobState.FAILED, 2)
    assert record.failure is not None
    assert record.failure.code == "worker_died"
    retried = [event.data["text"] for event in engine.events(ticket) if event.data.get("state") == "retrying"]
    assert len(retried) == 1
    assert "killed" in retried[0]


def test_a_job_whose_worker_is_killed_is_started_again_by_another_one(
    engine: Engine, start_worker: StartWorker, tmp_path: Path, settings: Settings
) -> None:
    first = start_worker()
    until = tmp_path / "go"
    ticket = engine.submit(spec("linger", until=str(until))).ticket
    begun(engine, ticket)
    horses = children(first.popen.pid)
    second = start_worker()
    first.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in horses), "the end of the killed worker's horse")
    begun(engine, ticket, "attempt 2 began")
    until.touch()
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    assert engine.result(ticket) == "attempt 2"
    assert texts(engine, ticket) == ["attempt 1 began", "attempt 2 began", "ended"]
    states = [event.data["state"] for event in engine.events(ticket) if event.type == "state"]
    assert states == ["queued", "running", "retrying", "running"]
    assert second.stop() == 0
    assert not any(settings.work_folder.glob("*"))


def test_a_lost_worker_is_missed_soon_enough_for_the_promise_of_30_seconds() -> None:
    """What the settings and the caretaker's rhythm add up to; the machine's own delays come on top."""
    assert Settings().worker_lost_seconds + 2 * DEQUEUE_SECONDS < 30


def test_a_worker_that_died_is_missed_at_once_by_a_new_one_of_its_machine(
    engine: Engine, start_worker: StartWorker, settings: Settings, tmp_path: Path
) -> None:
    first, until = start_worker(), tmp_path / "go"
    ticket = engine.submit(spec("linger", until=str(until))).ticket
    begun(engine, ticket)
    first.kill()
    registry = engine.queue("default").started_job_registry
    (held,) = engine.redis.zrange(registry.key, 0, -1)
    engine.redis.zadd(registry.key, {held: time.time() + 3600})
    # One so new that it goes by no sign of life yet.
    code = """if True:
        from knossos.jobs import shared_clock, worker
        from knossos.settings_file import load_settings

        shared_clock.settled = lambda _: False
        worker.run(load_settings())
    """
    file = write_settings(tmp_path / "new.py", settings)
    new = Process(["-c", code], tmp_path / "new.log", {"KNOSSOS_SETTINGS": str(file)})
    try:
        begun(engine, ticket, "attempt 2 began")
        until.touch()
        assert ended(engine, ticket).state is JobState.SUCCEEDED
    finally:
        new.stop()


def test_what_an_earlier_execution_left_behind_takes_no_job_from_the_one_that_has_it(
    engine: Engine, start_worker: StartWorker, settings: Settings, tmp_path: Path
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    start_worker()
    ticket = engine.submit(spec("linger", until=str(tmp_path / "go"))).ticket
    begun(engine, ticket)
    lock = settings.work_folder / f"{ticket}-earlier.lock"
    lock.write_text(f"{gone.pid} {gone.pid}")
    start_worker()
    wait_for(lambda: not lock.exists(), "the sweep")
    (tmp_path / "go").touch()
    assert ended(engine, ticket).attempt == 1


def test_a_job_that_ended_while_it_was_queued_is_not_begun(engine: Engine, start_worker: StartWorker) -> None:
    worker = start_worker()
    first, second = (engine.submit(spec("echo")).ticket for _ in range(2))
    ended(engine, first)
    engine.redis.rpush(engine.queue("default").key, str(first))
    wait_for(lambda: f"task {first}: this execution does not hold it any more" in worker.log, "the refusal")
    assert ended(engine, second).state is JobState.SUCCEEDED
    assert ended(engine, engine.submit(spec("echo")).ticket).state is JobState.SUCCEEDED
    assert engine.find(first).attempt == 1
    assert kinds(engine.events(first)) == ["state", "state", "done"]
    assert not engine.redis.zrange(engine.queue("default").started_job_registry.key, 0, -1)


def test_a_job_whose_workers_die_each_time_fails_with_that_reason(
    settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    quick = settings.model_copy(update={"worker_lost_seconds": 5.0})
    engine = Engine(quick)
    worker = start_worker(use=quick)
    ticket = engine.submit(spec("linger", retries=0, until=str(tmp_path / "never"))).ticket
    begun(engine, ticket)
    worker.kill()
    start_worker(use=quick)
    record = ended(engine, ticket)
    assert record.failure is not None
    assert record.failure.code == "worker_lost"


def test_a_worker_that_was_only_asleep_cannot_write_into_the_job_that_another_one_has(
    settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    quick = settings.model_copy(update={"worker_lost_seconds": 5.0})
    engine = Engine(quick)
    first, until = start_worker(use=quick), tmp_path / "go"
    ticket = engine.submit(spec("linger", until=str(until))).ticket
    begun(engine, ticket)
    sleepers = [first.popen.pid, *children(first.popen.pid)]
    for pid in sleepers:
        os.kill(pid, 19)
    start_worker(use=quick)
    begun(engine, ticket, "attempt 2 began")
    until.touch()
    for pid in sleepers:
        os.kill(pid, 18)
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    assert engine.result(ticket) == "attempt 2"
    wait_for(lambda: "does not hold it any more" in first.log, "the sleeper to see that it lost the job")
    wait_for(lambda: f"task {ticket} has left this worker" in first.log, "the sleeper to go on")
    assert "the worker's loop" not in first.log, "a lost job ends no loop"
    assert texts(engine, ticket).count("ended") == 1
    assert kinds(engine.events(ticket)).count("done") == 1
    other = engine.submit(spec("echo")).ticket
    assert ended(engine, other).state is JobState.SUCCEEDED


def test_a_worker_that_waits_has_a_horse_ready_which_runs_the_next_job_and_goes_with_it(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker, until = start_worker(), tmp_path / "go"
    wait_for(lambda: len(children(worker.popen.pid)) == 1, "a horse without a job")
    ready = children(worker.popen.pid)
    ticket = engine.submit(spec("linger", until=str(until))).ticket
    begun(engine, ticket)
    assert children(worker.popen.pid) == ready
    until.touch()
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    wait_for(lambda: children(worker.popen.pid) not in ([], ready), "the next horse")
    last = children(worker.popen.pid)
    assert worker.stop() == 0
    assert not any(is_alive(pid) for pid in [*ready, *last])


def test_a_job_is_run_also_where_the_horse_that_waited_for_it_was_killed(
    engine: Engine, start_worker: StartWorker
) -> None:
    worker = start_worker()
    wait_for(lambda: len(children(worker.popen.pid)) == 1, "a horse without a job")
    (ready,) = children(worker.popen.pid)
    os.kill(ready, 9)
    wait_for(lambda: not is_alive(ready), "its end")
    record = ended(engine, engine.submit(spec("echo", retries=0)).ticket)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)


def test_a_job_for_which_no_process_can_be_made_waits_and_has_used_up_no_retry(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.touch()
    file = write_settings(tmp_path / "settings.py", settings)
    worker = Process(["-c", FORKS_WHILE_THERE_IS_ROOM, str(full)], tmp_path / "log", {"KNOSSOS_SETTINGS": str(file)})
    try:
        ticket = engine.submit(spec("echo", retries=0)).ticket
        wait_for(lambda: "too many processes" in worker.log and "starts anew" in worker.log, "the failure")
        full.unlink()
        assert ended(engine, ticket).state is JobState.SUCCEEDED
    finally:
        worker.end()


@pytest.mark.parametrize("announced", [1, 2])
def test_a_horse_runs_the_one_job_that_was_announced_and_no_other(tmp_path: Path, announced: int) -> None:
    """One that knows of a job which was not begun is of no use any more."""

    def run(job: str, given: spare.Assignment) -> None:
        (tmp_path / job).write_text(given.execution_id)

    ready = spare.make(lambda: None, (), lambda known: known.job_id, run)
    for number in range(announced):
        ready.announce(spare.Announcement(f"job-{number}", {}))
    assert ready.give(spare.Assignment("its execution", 0, 1, 1)) is (announced == 1)
    if announced == 1:
        os.waitpid(ready.pid, 0)
    assert not is_alive(ready.pid)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == (
        {"job-0": "its execution"} if announced == 1 else {}
    )


@pytest.mark.parametrize("size", [1000, spare.MAX_BYTES], ids=["short", "long"])
def test_a_horse_is_told_what_redis_has_of_a_job_unless_that_is_too_long(tmp_path: Path, size: int) -> None:
    stored, told = {"data": "x" * size}, tmp_path / "told"

    def run(job: dict[str, str], given: spare.Assignment) -> None:
        told.write_text(json.dumps(job))

    ready = spare.make(lambda: None, (), lambda known: known.stored, run)
    ready.announce(spare.Announcement("job", stored))
    assert ready.give(spare.Assignment("its execution", 0, 1, 1))
    os.waitpid(ready.pid, 0)
    assert json.loads(told.read_text()) == (stored if size < spare.MAX_BYTES else {})


def test_a_horse_that_waits_ends_with_a_worker_that_is_killed(start_worker: StartWorker) -> None:
    worker = start_worker()
    wait_for(lambda: len(children(worker.popen.pid)) == 1, "a horse without a job")
    (ready,) = children(worker.popen.pid)
    worker.kill()
    wait_for(lambda: not is_alive(ready), "the end of the horse")


def test_what_a_job_started_ends_even_where_worker_and_horse_are_killed_together(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker, pid_file = start_worker(), tmp_path / "pid"
    ticket = engine.submit(spec("spawn", retries=0, pid_file=str(pid_file))).ticket
    begun(engine, ticket, "spawned")
    for pid in children(worker.popen.pid):
        os.kill(pid, 19)
    worker.popen.send_signal(19)
    for pid in [*children(worker.popen.pid), worker.popen.pid]:
        os.kill(pid, 9)
    worker.popen.wait(20)
    start_worker()
    wait_for(lambda: not is_alive(int(pid_file.read_text())), "the end of what the job had started")


def test_what_a_job_starts_in_a_session_of_its_own_ends_with_it(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker()
    pid_file = tmp_path / "pid"
    ticket = engine.submit(spec("spawn", pid_file=str(pid_file), own_session=True)).ticket
    begun(engine, ticket, "spawned")
    engine.cancel(ticket)
    wait_for(lambda: not is_alive(int(pid_file.read_text())), "the end of what the job had started")


def test_a_lock_that_cannot_be_opened_keeps_no_worker_from_working(
    engine: Engine, start_worker: StartWorker, settings: Settings
) -> None:
    (settings.work_folder / "9-abc.lock").mkdir(parents=True)
    start_worker()
    assert ended(engine, engine.submit(spec("echo")).ticket).state is JobState.SUCCEEDED


def test_a_worker_told_to_stop_lets_its_job_finish(engine: Engine, start_worker: StartWorker, tmp_path: Path) -> None:
    worker, until = start_worker(), tmp_path / "go"
    ticket = engine.submit(spec("linger", until=str(until))).ticket
    begun(engine, ticket)
    worker.popen.terminate()
    wait_for(lambda: "told to stop" in worker.log, "the worker to hear it")
    until.touch()
    assert worker.popen.wait(30) == 0
    assert engine.find(ticket).state is JobState.SUCCEEDED


def test_a_job_that_outlasts_the_grace_is_handed_back_without_using_up_a_retry(
    settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    hasty = settings.model_copy(update={"shutdown_grace_seconds": 0.0})
    engine = Engine(hasty)
    worker, until = start_worker(use=hasty), tmp_path / "go"
    ticket = engine.submit(spec("linger", retries=0, until=str(until))).ticket
    begun(engine, ticket)
    assert worker.stop() == 0
    assert engine.find(ticket).state is JobState.QUEUED
    assert not any(settings.work_folder.glob("*"))
    until.touch()
    start_worker()
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    assert engine.result(ticket) == "attempt 2"


def test_a_job_that_may_begin_only_once_ends_with_its_worker(
    settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    hasty = settings.model_copy(update={"shutdown_grace_seconds": 0.0})
    engine = Engine(hasty)
    worker, until = start_worker(use=hasty), tmp_path / "never"
    once = spec("linger", retries=0, until=str(until)).model_copy(update={"once": True})
    ticket = engine.submit(once).ticket
    begun(engine, ticket)
    assert worker.stop() == 0
    record = engine.find(ticket)
    assert record.state is JobState.FAILED
    assert record.failure is not None
    assert record.failure.code == "worker_stopped"


def test_an_idle_worker_stops_at_once_and_cleanly(engine: Engine, start_worker: StartWorker) -> None:
    worker = start_worker()
    wait_for(lambda: "waits for tasks" in worker.log, "the worker")
    ended(engine, engine.submit(spec("echo")).ticket)
    assert worker.stop() == 0


#: At which moment a worker is told to stop: on its round of the queues; in the middle of copying itself, where what a
#: handler raises is lost; and while it writes a line of its log, where it is, too.
MOMENTS = {
    "round": "rq_worker.clean_registries = lambda *_: tell()",
    "fork": "os.register_at_fork(after_in_parent=tell)",
    "log": "rq_worker.clean_registries = lambda *_: logging.getLogger().warning('on its round')\n"
    "        logging.StreamHandler.flush = lambda _: tell() if 'on its round' in said() else None",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_stops_at_whatever_moment_it_is_told_to(settings: Settings, tmp_path: Path, moment: str) -> None:
    code = f"""if True:
        import logging, os, signal, sys
        from pathlib import Path
        from knossos.jobs import rq_worker, worker
        from knossos.logs import configure_logging
        from knossos.settings_file import load_settings

        def said():
            return Path(sys.argv[1]).read_text()

        def tell():
            if not told:
                told.append(True)
                os.kill(os.getpid(), signal.SIGTERM)

        told = []
        configure_logging(load_settings(), process="worker")
        {MOMENTS[moment]}
        sys.exit(worker.run(load_settings()))
    """
    file, log = write_settings(tmp_path / "settings.py", settings), tmp_path / "log"
    process = Process(["-c", code, str(log)], log, {"KNOSSOS_SETTINGS": str(file)})
    try:
        assert process.popen.wait(60) == 0, process.log
    finally:
        process.stop()


def test_a_job_that_was_taken_and_not_begun_goes_back_to_its_queue(engine: Engine, start_worker: StartWorker) -> None:
    ticket = engine.submit(spec("echo")).ticket
    queue = engine.queue("default")
    engine.redis.lmove(queue.key, f"{queue.key}:intermediate")
    start_worker()
    assert ended(engine, ticket).state is JobState.SUCCEEDED


def test_garbage_in_the_queue_ends_no_worker(engine: Engine, start_worker: StartWorker) -> None:
    worker = start_worker()
    queue = engine.queue("default")
    engine.redis.rpush(queue.key, "no-such-job", b"\xff\xfe")
    engine.redis.lpush(f"{queue.key}:intermediate", b"\xff")
    engine.redis.hset("rq:job:77", mapping={"created_at": "never", "data": b"no json", "status": "queued"})
    engine.redis.rpush(queue.key, "77")
    engine.redis.publish(f"rq:pubsub:{'x' * 32}", "no json")
    ticket = engine.submit(spec("echo")).ticket
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    wait_for(lambda: engine.redis.llen(f"{queue.key}:intermediate") == 0, "the caretaker to drop what is no job")
    assert worker.popen.poll() is None
    assert "it starts anew" not in worker.log
