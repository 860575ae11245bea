"""The engine on a real Redis with real workers: what is submitted is run once, and everyone can follow it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knossos.jobs import Engine, Event, JobNotFinished, JobNotFound, JobRecord, JobSpec, JobState, Limit, Signal, keys
from knossos.jobs.retention import purge
from knossos.jobs.rq_worker import DEQUEUE_SECONDS
from knossos.settings import Settings
from tests.support.processes import Process, is_alive, wait_for, write_settings

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


def spec(function: str, owner: str = "key:a", retries: int | None = None, **payload: Any) -> JobSpec:
    return JobSpec(
        function=f"tests.support.jobs.{function}", kind="test", title="A", owner=owner, payload=payload, retries=retries
    )


def ended(engine: Engine, ticket: int) -> JobRecord:
    def look() -> JobRecord | None:
        record = engine.find(ticket)
        return record if record.state.finished else None

    return wait_for(look, f"the end of task {ticket}")


def texts(engine: Engine, ticket: int) -> list[str]:
    return [event.data["text"] for event in engine.events(ticket) if event.type == "log"]


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def begun(engine: Engine, ticket: int, text: str = "attempt 1 began") -> None:
    wait_for(lambda: text in texts(engine, ticket), f"task {ticket} to say {text!r}")


def test_a_job_runs_and_its_result_can_be_read_again_and_again(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    ticket = engine.submit(spec("echo", number=7)).ticket
    record = ended(engine, ticket)
    assert record.state is JobState.SUCCEEDED
    assert record.attempt == 1
    assert [engine.result(ticket), engine.result(ticket)] == [{"number": 7}] * 2
    assert record.runtime is not None
    assert kinds(engine.events(ticket)) == ["state", "state", "done"]


def test_a_job_that_waits_has_a_place_and_no_result(engine: Engine) -> None:
    first, second = (engine.submit(spec("echo")).ticket for _ in range(2))
    assert [engine.position(first), engine.position(second)] == [0, 1]
    with pytest.raises(JobNotFinished):
        engine.result(second)
    with pytest.raises(JobNotFound):
        engine.find(second + 1)


def test_tokens_are_thirty_letters_and_digits_and_never_the_same(engine: Engine) -> None:
    tokens = {engine.submit(spec("echo")).token for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 30 and token.isalnum() for token in tokens)


def test_what_is_raised_on_purpose_is_told_and_what_is_not_stays_in_the_log(
    engine: Engine, start_worker: StartWorker
) -> None:
    worker = start_worker()
    broken, crashed = engine.submit(spec("fail")).ticket, engine.submit(spec("crash")).ticket
    failure = ended(engine, broken).failure
    assert failure is not None
    assert (failure.code, failure.message, failure.details) == ("broken", "It broke.", {"file": "a.7z"})
    record = ended(engine, crashed)
    assert record.state is JobState.FAILED
    assert record.attempt == 1
    assert record.failure is not None
    assert record.failure.code == "internal"
    assert "secret" not in str([event.data for event in engine.events(crashed)])
    assert engine.result(crashed) is None
    wait_for(lambda: "a secret of the server" in worker.log, "the stack in the log")


def test_a_job_with_delays_is_tried_again_and_one_without_hope_is_not(
    engine: Engine, start_worker: StartWorker
) -> None:
    start_worker()
    delayed = spec("fail_until", attempt=2).model_copy(update={"retry_delays_seconds": (1, 1)})
    hopeless = spec("fail_for_good").model_copy(update={"retry_delays_seconds": (1, 1)})
    first, second = engine.submit(delayed).ticket, engine.submit(hopeless).ticket
    assert ended(engine, first).state is JobState.SUCCEEDED
    assert engine.result(first) == 2
    record = ended(engine, second)
    assert (record.state, record.attempt) == (JobState.FAILED, 1)


def test_a_long_log_keeps_its_first_and_last_halves_and_its_numbers(
    settings: Settings, start_worker: StartWorker
) -> None:
    small = settings.model_copy(update={"log_max_lines": 20})
    engine = Engine(small)
    start_worker(use=small)
    ticket = engine.submit(spec("talk", lines=100)).ticket
    ended(engine, ticket)
    lines = [event.data["line"] for event in engine.events(ticket) if event.type == "log"]
    assert lines == [*range(1, 11), *range(91, 101)]
    progress = [event.data for event in engine.events(ticket) if event.type == "progress"]
    assert progress == [{"fraction": 0.99, "text": "at 100"}]
    assert engine.find(ticket).progress == (0.99, "at 100")


def test_a_log_stays_bounded_behind_any_number_of_other_events(settings: Settings, start_worker: StartWorker) -> None:
    small = settings.model_copy(update={"log_max_lines": 20})
    engine = Engine(small)
    start_worker(use=small)
    ticket = engine.submit(spec("ask_and_talk", questions=25, lines=100)).ticket
    ended(engine, ticket)
    lines = [event.data["line"] for event in engine.events(ticket) if event.type == "log"]
    assert len(lines) == 20


def test_who_waits_for_a_job_has_its_record_when_it_ends(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    ticket = engine.submit(spec("linger", until=str(tmp_path / "go"))).ticket
    assert engine.wait(ticket, 0.05).state is JobState.QUEUED
    start_worker()
    begun(engine, ticket)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(engine.wait, ticket, 60)
        (tmp_path / "go").touch()
        assert waiting.result(60).state is JobState.SUCCEEDED
    assert engine.wait(ticket, 60).state is JobState.SUCCEEDED


def test_who_waits_for_a_job_with_much_to_tell_sees_its_end(engine: Engine, start_worker: StartWorker) -> None:
    ticket = engine.submit(spec("talk", lines=2000)).ticket
    start_worker()
    assert engine.wait(ticket, 60).state is JobState.SUCCEEDED


def test_who_waits_for_a_job_learns_that_it_is_gone(engine: Engine) -> None:
    ticket = engine.submit(spec("echo")).ticket
    engine.forget(ticket)
    with pytest.raises(JobNotFound):
        engine.wait(ticket, 60)


def test_events_after_one_are_those_that_followed_it(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    ticket = engine.submit(spec("talk", lines=5)).ticket
    ended(engine, ticket)
    events = engine.events(ticket)
    assert engine.events(ticket, after=events[3].id) == events[4:]
    assert engine.events(ticket, after=events[-1].id) == []


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    ticket = engine.submit(spec("note_run", file=str(tmp_path / "runs"))).ticket
    assert engine.cancel(ticket, "No longer wanted.")
    assert not engine.cancel(ticket, "No longer wanted.")
    record = engine.find(ticket)
    assert record.state is JobState.CANCELLED
    assert record.failure is not None
    assert record.failure.message == "No longer wanted."
    start_worker()
    other = engine.submit(spec("echo")).ticket
    ended(engine, other)
    assert not (tmp_path / "runs").exists()
    assert kinds(engine.events(ticket)).count("done") == 1


def test_only_a_running_job_is_told_of_signals_and_of_each_once(engine: Engine, start_worker: StartWorker) -> None:
    ticket = engine.submit(spec("tell_signals")).ticket
    assert engine.signal(ticket, Signal.KILL) is JobState.QUEUED
    start_worker()
    begun(engine, ticket, "began")
    assert engine.states([ticket, ticket + 1]) == {ticket: JobState.RUNNING}
    assert engine.signal(ticket, Signal.KILL) is JobState.RUNNING
    assert engine.signal(ticket, Signal.TERMINATE) is JobState.RUNNING
    ended(engine, ticket)
    # Both came between two looks, or one after the other; a kill never hides behind what is gentle.
    assert engine.result(ticket) in (["terminate", "kill"], ["kill"])
    assert engine.signal(ticket, Signal.KILL) is JobState.SUCCEEDED
    with pytest.raises(JobNotFound):
        engine.signal(ticket + 1, Signal.KILL)


def test_cancelling_a_running_job_ends_its_whole_process_group_and_removes_its_folder(
    engine: Engine, start_worker: StartWorker, tmp_path: Path, settings: Settings
) -> None:
    start_worker()
    pid_file = tmp_path / "pid"
    ticket = engine.submit(spec("spawn", pid_file=str(pid_file))).ticket
    begun(engine, ticket, "spawned")
    assert engine.cancel(ticket, "Enough.")
    record = ended(engine, ticket)
    assert record.state is JobState.CANCELLED
    assert record.failure is not None
    assert record.failure.message == "Enough."
    wait_for(lambda: not is_alive(int(pid_file.read_text())), "the end of what the job had started")
    wait_for(lambda: not any(settings.work_folder.glob("*")), "the end of the job's folder")
    after = engine.submit(spec("echo")).ticket
    assert ended(engine, after).state is JobState.SUCCEEDED


def test_a_job_that_is_cancelled_while_the_command_is_lost_ends_at_its_next_word(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker()
    ticket = engine.submit(spec("linger", until=str(tmp_path / "never"), talks=True)).ticket
    begun(engine, ticket)
    failure = '{"code": "cancelled", "message": "By a note.", "details": {}}'
    engine.redis.hset(keys.task(ticket), mapping={"cancel": "100", "cancel_failure": failure})
    record = ended(engine, ticket)
    assert record.state is JobState.CANCELLED
    assert record.failure is not None
    assert record.failure.message == "By a note."


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
    horses = _children(first.popen.pid)
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
    sleepers = [first.popen.pid, *_children(first.popen.pid)]
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
    wait_for(lambda: len(_children(worker.popen.pid)) == 1, "a horse without a job")
    ready = _children(worker.popen.pid)
    ticket = engine.submit(spec("linger", until=str(until))).ticket
    begun(engine, ticket)
    assert _children(worker.popen.pid) == ready
    until.touch()
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    wait_for(lambda: _children(worker.popen.pid) not in ([], ready), "the next horse")
    last = _children(worker.popen.pid)
    assert worker.stop() == 0
    assert not any(is_alive(pid) for pid in [*ready, *last])


def test_a_job_is_run_also_where_the_horse_that_waited_for_it_was_killed(
    engine: Engine, start_worker: StartWorker
) -> None:
    worker = start_worker()
    wait_for(lambda: len(_children(worker.popen.pid)) == 1, "a horse without a job")
    (ready,) = _children(worker.popen.pid)
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


def test_a_horse_that_waits_ends_with_a_worker_that_is_killed(start_worker: StartWorker) -> None:
    worker = start_worker()
    wait_for(lambda: len(_children(worker.popen.pid)) == 1, "a horse without a job")
    (ready,) = _children(worker.popen.pid)
    worker.kill()
    wait_for(lambda: not is_alive(ready), "the end of the horse")


def test_what_a_job_started_ends_even_where_worker_and_horse_are_killed_together(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker, pid_file = start_worker(), tmp_path / "pid"
    ticket = engine.submit(spec("spawn", retries=0, pid_file=str(pid_file))).ticket
    begun(engine, ticket, "spawned")
    for pid in _children(worker.popen.pid):
        os.kill(pid, 19)
    worker.popen.send_signal(19)
    for pid in [*_children(worker.popen.pid), worker.popen.pid]:
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


def test_jobs_share_the_limit_of_their_key(settings: Settings, start_worker: StartWorker, tmp_path: Path) -> None:
    engine = Engine(settings)
    until = tmp_path / "go"
    jobs = [
        spec("linger", until=str(until)).model_copy(
            update={"limits": (Limit(key="one", most=1),), "owner": f"key:{number}"}
        )
        for number in range(2)
    ]
    first, second = (engine.submit(job).ticket for job in jobs)
    start_worker()
    start_worker()
    begun(engine, first)
    other = engine.submit(spec("echo")).ticket
    assert ended(engine, other).state is JobState.SUCCEEDED
    assert engine.find(second).state is JobState.QUEUED
    until.touch()
    assert ended(engine, second).state is JobState.SUCCEEDED


def test_owners_take_turns_at_a_limit_that_they_share(engine: Engine, start_worker: StartWorker) -> None:
    shared = spec("echo").model_copy(update={"limits": (Limit(key="one", most=1),)})
    owners = "aaaaabbc"
    tickets = {engine.submit(shared.model_copy(update={"owner": f"key:{owner}"})).ticket: owner for owner in owners}
    start_worker()
    begun_at = {ticket: ended(engine, ticket).started_at or 0.0 for ticket in tickets}
    # The first was let in before anybody else came.
    assert "".join(tickets[ticket] for ticket in sorted(tickets, key=begun_at.__getitem__)) == "aabcabaa"


def test_output_of_a_program_is_kept_in_order(engine: Engine, start_worker: StartWorker) -> None:
    ticket = engine.submit(spec("print_out")).ticket
    start_worker()
    ended(engine, ticket)
    shown = [(event.data["stream"], event.data["text"]) for event in engine.events(ticket) if event.type == "output"]
    assert shown == [("stdout", "one\n"), ("stderr", "two"), ("stdout", "three\n")]


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


def test_a_worker_of_several_queues_serves_all(engine: Engine, start_worker: StartWorker) -> None:
    start_worker("first", "second")
    tickets = [engine.submit(spec("echo").model_copy(update={"queue": name})).ticket for name in ("second", "first")]
    assert [ended(engine, ticket).state for ticket in tickets] == [JobState.SUCCEEDED] * 2


def test_an_owner_with_many_jobs_does_not_keep_others_waiting(settings: Settings, start_worker: StartWorker) -> None:
    narrow = settings.model_copy(update={"owner_concurrency": 1})
    engine = Engine(narrow)
    many = [engine.submit(spec("echo", owner="key:busy")).ticket for _ in range(10)]
    other = engine.submit(spec("echo", owner="key:other")).ticket
    start_worker(use=narrow)
    ends = [ended(engine, ticket).ended_at for ticket in [*many, other]]
    assert sorted(ends) != ends, "the other owner's job did not wait for all ten"
    assert ends[-1] < ends[2]  # type: ignore[operator]


def test_a_question_reaches_the_watchers_and_its_answer_the_job(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    ticket = engine.submit(spec("ask")).ticket
    question = wait_for(lambda: [e for e in engine.events(ticket) if e.type == "question"], "the question")[0]
    assert question.data["data"] == {"image": "http://127.0.0.1/captcha.png"}
    assert not engine.answer(ticket, "late", question_id="another")
    answers = [engine.answer(ticket, text, question_id=question.data["id"]) for text in ("k7q", "second")]
    assert answers == [True, False]
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    assert engine.result(ticket) == "k7q"
    assert "question" not in kinds(engine.events(ticket))
    assert not engine.answer(ticket, "too late")


def test_a_question_that_nobody_answers_fails_with_that_reason(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    ticket = engine.submit(spec("ask", seconds=0.5)).ticket
    record = ended(engine, ticket)
    assert record.failure is not None
    assert record.failure.code == "question_timeout"
    assert "question" not in kinds(engine.events(ticket))


def test_a_follower_runs_after_success_failure_and_cancelling_alike(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    follower = spec("note_run", file=str(runs))
    good, bad = engine.submit(spec("echo"), follower).ticket, engine.submit(spec("fail"), follower).ticket
    stopped = engine.submit(spec("echo"), follower).ticket
    engine.cancel(stopped)
    start_worker()
    wait_for(lambda: runs.exists() and len(runs.read_text().split()) == 3, "three followers")
    assert {int(line) for line in runs.read_text().split()} == {good, bad, stopped}
    assert ended(engine, good + 1).state is JobState.SUCCEEDED


def test_a_job_that_takes_too_long_is_ended_and_says_so(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    slow = spec("linger", until="/nowhere").model_copy(update={"timeout_seconds": 1.0})
    record = ended(engine, engine.submit(slow).ticket)
    assert record.failure is not None
    assert record.failure.code == "timeout"
    assert record.attempt == 1


def test_a_folder_is_removed_even_where_the_job_made_it_read_only(
    engine: Engine, start_worker: StartWorker, settings: Settings
) -> None:
    start_worker()
    ticket = engine.submit(spec("workspace")).ticket
    assert ended(engine, ticket).state is JobState.SUCCEEDED
    assert engine.result(ticket).startswith(str(settings.work_folder))
    wait_for(lambda: not any(settings.work_folder.glob("*")), "the end of the job's folder")


def test_a_listing_is_newest_first_and_can_be_narrowed_and_paged(engine: Engine) -> None:
    tickets = [engine.submit(spec("echo", owner=f"key:{n % 2}")).ticket for n in range(6)]
    engine.cancel(tickets[0])
    assert [r.ticket for r in engine.list_jobs()] == tickets[::-1]
    assert [r.ticket for r in engine.list_jobs(owner="key:1")] == tickets[1::2][::-1]
    assert [r.ticket for r in engine.list_jobs(states={JobState.CANCELLED})] == [tickets[0]]
    assert [r.ticket for r in engine.list_jobs(limit=2, before=tickets[4])] == [tickets[3], tickets[2]]
    assert engine.list_jobs(kind="other") == []


def test_what_is_no_record_hides_no_other_one(engine: Engine) -> None:
    engine.redis.zadd(keys.TASKS, {"abc": 5, "6": 6, "7": 7})
    engine.redis.set(keys.task(6), "no hash")
    engine.redis.hset(keys.task(7), "kind", "half a record")
    engine.redis.set(keys.TICKET, 10)
    ticket = engine.submit(spec("echo")).ticket
    assert [record.ticket for record in engine.list_jobs()] == [ticket]
    purge(engine)
    assert [record.ticket for record in engine.list_jobs()] == [ticket]


def test_a_forgotten_job_leaves_nothing_behind(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    ticket = engine.submit(spec("talk", lines=2)).ticket
    ended(engine, ticket)
    wait_for(lambda: engine.redis.zcard("rq:wip:default") == 0, "the worker to be done with it")
    engine.forget(ticket)
    with pytest.raises(JobNotFound):
        engine.find(ticket)
    left = {key.decode() for key in engine.redis.scan_iter()}
    assert [key for key in left if key.split(":")[-1] == str(ticket)] == []
    assert engine.redis.zcard(keys.TASKS) == 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
