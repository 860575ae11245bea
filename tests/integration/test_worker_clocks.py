"""Workers whose clocks are wrong, or jump: what is whose, what is due and who is lost goes by Redis's clock alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos import clocks
from chaos.clocks import Clock
from knossos.jobs import Engine, JobSpec, JobState, keys
from knossos.settings import Settings
from tests.support.processes import Process, wait_for
from tests.support.redis_server import RedisServer

StartWorker = Callable[..., Process]
DAY = 86_400

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="gcc is not installed (scripts/system-packages.sh)")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """The clock of those workers that are started with it."""
    return Clock(tmp_path / "clock", clocks.build("cc", tmp_path / "clock.so"))


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Workers that are lost are missed soon."""
    return settings.model_copy(update={"worker_lost_seconds": 5.0})


def lingering(until: Path) -> JobSpec:
    payload = {"until": str(until)}
    return JobSpec(function="tests.support.jobs.linger", kind="test", title="A", owner="key:a", payload=payload)


def failing_once() -> JobSpec:
    function, payload = "tests.support.jobs.fail_until", {"attempt": 2}
    job = JobSpec(function=function, kind="test", title="A", owner="key:a", payload=payload)
    return job.model_copy(update={"retry_delays_seconds": (4, 4)})


def wait_for_the_first_failure(engine: Engine, ticket: int) -> None:
    events = engine.events
    wait_for(lambda: any(one.data.get("state") == "retrying" for one in events(ticket)), "the first try's failure")


def wait_for_attempt(engine: Engine, ticket: int, number: int) -> None:
    wait_for(lambda: engine.find(ticket).attempt == number, f"attempt {number} of task {ticket}")


def wait_for_a_look_after_the_queues(engine: Engine) -> None:
    engine.redis.delete(keys.TENDED)
    wait_for(lambda: engine.redis.exists(keys.TENDED), "a worker that looks after the queues", 20)


def wait_for_a_sign_of_life(engine: Engine) -> None:
    def signs() -> list[bytes | None]:
        return [engine.redis.hget(key, "last_heartbeat") for key in engine.redis.smembers("rq:workers")]

    before = signs()
    wait_for(lambda: signs() != before, "a sign of life", 20)


def test_a_worker_whose_clock_is_ahead_takes_no_job_from_one_that_is_well(
    quick: Settings, start_worker: StartWorker, clock: Clock, tmp_path: Path
) -> None:
    engine = Engine(quick)
    start_worker(use=quick)
    ticket = engine.submit(lingering(tmp_path / "go")).ticket
    wait_for_attempt(engine, ticket, 1)
    clock.set(DAY)
    start_worker(use=quick, environment=clock.environment())
    wait_for_a_look_after_the_queues(engine)
    (tmp_path / "go").touch()
    assert engine.wait(ticket, 60).state is JobState.SUCCEEDED
    assert engine.result(ticket) == "attempt 1"


def test_the_job_of_a_worker_whose_clock_was_ahead_is_missed_when_it_dies(
    quick: Settings, start_worker: StartWorker, clock: Clock, tmp_path: Path
) -> None:
    engine = Engine(quick)
    clock.set(DAY)
    first = start_worker(use=quick, environment=clock.environment())
    ticket = engine.submit(lingering(tmp_path / "go")).ticket
    wait_for_attempt(engine, ticket, 1)
    first.kill()
    start_worker(use=quick)
    wait_for_attempt(engine, ticket, 2)


def test_a_retry_comes_when_it_is_due_wherever_the_clock_was(
    engine: Engine, start_worker: StartWorker, clock: Clock
) -> None:
    clock.set(DAY)
    start_worker(environment=clock.environment())
    ticket = engine.submit(failing_once()).ticket
    wait_for_the_first_failure(engine, ticket)
    clock.set(0)
    assert engine.wait(ticket, 60).state is JobState.SUCCEEDED


def test_a_retry_comes_when_it_is_due_also_where_the_clock_of_redis_was_ahead(
    settings: Settings, start_worker: StartWorker, clock: Clock, tmp_path: Path
) -> None:
    clock.set(DAY)
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis", environment=clock.environment())
    server.start()
    try:
        own = settings.model_copy(update={"redis": server.url})
        engine = Engine(own)
        start_worker(use=own)
        ticket = engine.submit(failing_once()).ticket
        wait_for_the_first_failure(engine, ticket)
        clock.set(0)
        assert engine.wait(ticket, 60).state is JobState.SUCCEEDED
        engine.redis.close()
    finally:
        server.stop()


def test_a_worker_goes_on_looking_after_the_queues_when_its_clock_is_set_back(
    engine: Engine, start_worker: StartWorker, clock: Clock
) -> None:
    start_worker(environment=clock.environment())
    wait_for_a_look_after_the_queues(engine)
    clock.set(-DAY)
    wait_for_a_look_after_the_queues(engine)
    wait_for_a_look_after_the_queues(engine)


def test_a_clock_that_jumps_ahead_makes_no_job_take_too_long(
    quick: Settings, start_worker: StartWorker, clock: Clock, tmp_path: Path
) -> None:
    engine = Engine(quick)
    start_worker(use=quick, environment=clock.environment())
    ticket = engine.submit(lingering(tmp_path / "go")).ticket
    wait_for_attempt(engine, ticket, 1)
    clock.set(DAY)
    wait_for_a_sign_of_life(engine)
    (tmp_path / "go").touch()
    assert engine.wait(ticket, 60).state is JobState.SUCCEEDED
    assert engine.result(ticket) == "attempt 1"
