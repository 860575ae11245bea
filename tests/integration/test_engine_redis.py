"""The engine and its Redis: restarts, passwords, TLS, database numbers, and a Redis that is not there."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from knossos.errors import EXIT_MISSING, MissingDependency
from knossos.jobs import Engine, JobSpec, JobState, keys
from knossos.jobs.connection import ping
from knossos.live.wakes import Wakes
from knossos.settings import Settings
from tests.support.cut_answers import cut_after_a_transaction
from tests.support.processes import Process, wait_for
from tests.support.redis_server import RedisServer, free_port
from tests.support.scenes import PlayedJob
from tests.support.system import program

StartWorker = Callable[..., Process]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own that writes to disk, to be killed and started again."""
    folder = tmp_path / "own-redis"
    folder.mkdir()
    server = RedisServer(folder, aof=True, password="p@ss:word/1")
    server.password = "secret-word"
    server.start()
    yield server
    server.stop()


def test_a_redis_that_is_killed_and_started_again_loses_no_job(
    own_redis: RedisServer, settings: Settings, start_worker: StartWorker, tmp_path: Path
) -> None:
    here = settings.model_copy(update={"redis": own_redis.url})
    engine = Engine(here, patience_seconds=30)
    worker, until = start_worker(use=here), tmp_path / "go"

    def spec(function: str) -> JobSpec:
        payload = {"until": str(until)}
        return JobSpec(function=f"tests.support.jobs.{function}", kind="t", title="t", owner="o", payload=payload)

    running, waiting = engine.submit(spec("linger")).ticket, engine.submit(spec("echo")).ticket
    wait_for(lambda: any(e.type == "log" for e in engine.events(running)), "the job to begin")
    before = engine.events(running)
    own_redis.kill()
    own_redis.start()
    assert engine.events(running)[: len(before)] == before
    until.touch()
    for ticket in (running, waiting, engine.submit(spec("echo")).ticket):
        wait_for(lambda ticket=ticket: engine.find(ticket).state is JobState.SUCCEEDED, f"the end of task {ticket}")
    lines = [event.data["text"] for event in engine.events(running) if event.type == "log"]
    assert lines == ["attempt 1 began", "ended"]
    assert worker.popen.poll() is None
    assert worker.stop() == 0


def test_a_worker_that_waits_outlives_a_redis_that_is_away_for_a_while(
    own_redis: RedisServer, settings: Settings, start_worker: StartWorker
) -> None:
    here = settings.model_copy(update={"redis": own_redis.url})
    engine = Engine(here, patience_seconds=30)
    worker = start_worker(use=here)
    wait_for(lambda: "waits for tasks" in worker.log, "the worker")
    own_redis.stop()
    with pytest.raises(redis.ConnectionError):
        Engine(here, patience_seconds=0).find(1)
    own_redis.start()
    ticket = engine.submit(JobSpec(function="tests.support.jobs.echo", kind="t", title="t", owner="o")).ticket
    wait_for(lambda: engine.find(ticket).state.finished, "the job's end")


def test_a_worker_stops_at_once_while_redis_is_away(
    settings: Settings, start_worker: StartWorker, own_redis: RedisServer
) -> None:
    mine = settings.model_copy(update={"redis": own_redis.url})
    engine = Engine(mine)
    worker = start_worker(use=mine)
    ticket = engine.submit(JobSpec(function="tests.support.jobs.echo", kind="t", title="t", owner="o")).ticket
    wait_for(lambda: engine.find(ticket).state.finished, "the job's end")
    own_redis.kill()
    # Far less than the minute for which a worker waits for a Redis that restarts.
    assert worker.stop(timeout=20) == 0


@pytest.mark.parametrize("database", [0, 5])
def test_a_password_and_a_database_number_in_the_url_are_heeded(
    own_redis: RedisServer, settings: Settings, database: int
) -> None:
    url = own_redis.url.replace("/0", f"/{database}")
    engine = Engine(settings.model_copy(update={"redis": url}))
    ping(url)
    ticket = engine.submit(JobSpec(function="tests.support.jobs.echo", kind="t", title="t", owner="o")).ticket
    there = redis.Redis.from_url(url)
    assert there.exists(f"knossos:task:{ticket}")
    with pytest.raises(MissingDependency, match=r"does not answer.*") as refused:
        ping(url.replace("secret-word", "wrong-word"))
    assert "wrong-word" not in str(refused.value)


async def _listening(url: str) -> None:
    """Return once the WebSocket server's listener hears announcements there."""
    connected = asyncio.Event()
    listening = asyncio.create_task(Wakes(url, keys.WAKE, lambda _: None, connected.set).run())
    await connected.wait()
    listening.cancel()
    await asyncio.wait([listening])


def test_a_redis_that_has_forgotten_the_scripts_is_told_them_again(engine: Engine) -> None:
    job = PlayedJob(engine).start()
    job.log("one")
    engine.redis.script_flush()
    job.log("two")
    job.log("three")
    lines = [event.data for event in engine.events(job.ticket) if event.type == "log"]
    assert [(data["line"], data["text"]) for data in lines] == [(1, "one"), (2, "two"), (3, "three")]


@pytest.mark.parametrize("followed", [False, True])
def test_a_submission_whose_answer_is_lost_is_made_once(
    followed: bool, settings: Settings, engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Sent again as it stands it would set a job back to its beginning that a worker has begun."""
    go, began = tmp_path / "go", lambda: engine.find(1).state is JobState.RUNNING
    start_worker()
    spec = JobSpec(
        function="tests.support.jobs.linger", kind="t", title="t", owner="o", once=True, payload={"until": str(go)}
    )
    then = JobSpec(function="tests.support.jobs.echo", kind="t", title="t", owner="o") if followed else None
    with cut_after_a_transaction(settings.redis, lambda: wait_for(began, "the beginning")) as url:
        record = Engine(settings.model_copy(update={"redis": url})).submit(spec, then)
    assert began()
    go.touch()
    tickets = [1, 2] if followed else [1]
    wait_for(lambda: all(engine.find(ticket).state.finished for ticket in tickets), "the end")
    assert record.ticket == 1
    assert record.token == engine.find(1).token
    assert [engine.find(ticket).state for ticket in tickets] == [JobState.SUCCEEDED] * len(tickets)
    told = [event.data["state"] for event in engine.events(1) if event.type in ("state", "done")]
    assert told == ["queued", "running", "succeeded"]


def test_a_redis_behind_tls_works(settings: Settings, tmp_path: Path) -> None:
    server = program("redis-server")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    port = free_port()
    options = ["--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "", "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    process = subprocess.Popen([server, *options], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}"
        engine = Engine(settings.model_copy(update={"redis": url}), patience_seconds=10)
        ticket = engine.submit(JobSpec(function="tests.support.jobs.echo", kind="t", title="t", owner="o")).ticket
        assert engine.find(ticket).state is JobState.QUEUED
        asyncio.run(asyncio.wait_for(_listening(url), 20))
        with pytest.raises(MissingDependency, match="does not answer"):
            ping(f"rediss://localhost:{port}/0")
    finally:
        process.terminate()
        process.wait(20)


def test_without_redis_a_worker_says_so_in_one_line_and_ends(settings: Settings, start_worker: StartWorker) -> None:
    nowhere = settings.model_copy(update={"redis": f"redis://:hush@127.0.0.1:{free_port()}/0"})
    worker = start_worker(product=True, use=nowhere)
    assert worker.popen.wait(60) == EXIT_MISSING
    last = worker.log.strip().splitlines()[-1]
    assert last.startswith("Redis at redis://:***@127.0.0.1:")
    assert "hush" not in worker.log


def test_a_redis_that_accepts_and_never_answers_is_given_up_after_one_try(settings: Settings) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        with pytest.raises(MissingDependency, match="does not answer"):
            ping(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        silent.settimeout(0.2)
        silent.accept()[0].close()
        with pytest.raises(TimeoutError):
            silent.accept()
