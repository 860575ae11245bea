"""The engine on a real Redis with real workers: what is submitted is run once, and everyone can follow it."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path

import pytest

from knossos.jobs import Engine, JobNotFinished, JobNotFound, JobState, Limit, Signal, keys
from knossos.jobs.retention import purge
from knossos.settings import Settings
from tests.support.processes import Process, is_alive, wait_for
from tests.support.submitting import begun, children, ended, kinds, spec

StartWorker = Callable[..., Process]


def test_a_job_runs_and_its_result_can_be_read_again_and_again(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    ticket = engine.submit(spec("echo", number=7)).ticket
    record = ended(engine, ticket)
    assert record.state is JobState.SUCCEEDED
    assert record.attempt == 1
    assert [engine.result(ticket), engine.result(ticket)] == [{"number": 7}] * 2
    assert record.runtime is not None
    assert kinds(engine.events(ticket)) == ["state", "state", "done"]


def test_a_job_reaches_its_function_as_it_is_whatever_its_size(engine: Engine, start_worker: StartWorker) -> None:
    start_worker()
    for text in ('a\nb\0\x1f äöü 😀 \\ "', "".join(random.choices(string.printable, k=200_000))):
        ticket = engine.submit(spec("echo", text=text)).ticket
        assert ended(engine, ticket).state is JobState.SUCCEEDED
        assert engine.result(ticket) == {"text": text}


def test_a_job_is_read_once(engine: Engine, start_worker: StartWorker) -> None:
    """Its worker has it; the horse that waits for it is told."""
    worker = start_worker()
    wait_for(lambda: len(children(worker.popen.pid)) == 1, "a horse without a job")
    with engine.redis.monitor() as monitor:
        ticket = engine.submit(spec("echo")).ticket
        assert ended(engine, ticket).state is JobState.SUCCEEDED
        engine.redis.echo("the end")
        asked = takewhile(lambda command: command != "ECHO the end", (one["command"] for one in monitor.listen()))
        assert sum(command == f"HGETALL rq:job:{ticket}" for command in asked) == 1


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
