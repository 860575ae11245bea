"""The figures for Prometheus: right, complete over processes, readable by its own parser, and cheap with many jobs."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from knossos import tally
from knossos.accounts import COOKIE_NAME
from knossos.database import Database
from knossos.jobs import Engine, JobFailure, JobSpec, Limit, counts, overview
from knossos.jobs.connection import connect
from knossos.scripting.run_job import KERNEL_KILLS
from knossos.settings import Settings
from knossos.web import create_app
from tests.conftest import StartWorker
from tests.support.people import session_of
from tests.support.processes import wait_for
from tests.support.redis_server import free_port
from tests.support.scenes import PlayedJob

TOKEN = "a-token-of-the-operator"
NOBODY = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture(autouse=True)
def nothing_counted_before() -> None:
    tally.take()


@pytest.fixture
def client(settings: Settings, engine: Engine, sqlite_template: Path) -> Iterator[FlaskClient]:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    with create_app(settings, engine).test_client() as made:
        yield made


def samples(said: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(said)
        for sample in family.samples
    }


def spec(kind: str = "test", owner: str = "tests", **more: Any) -> JobSpec:
    return JobSpec(function=f"tests.support.jobs.{more.pop('does', 'echo')}", kind=kind, title="t", owner=owner, **more)


def test_outcomes_durations_and_waiting_times_are_those_of_the_jobs(
    client: FlaskClient, engine: Engine, start_worker: StartWorker
) -> None:
    start_worker()
    done = [engine.submit(spec("good")) for _ in range(3)]
    done.append(engine.submit(spec("bad", does="fail")))
    done.append(engine.submit(spec("tried", does="fail_until", payload={"attempt": 2}, retry_delays_seconds=(0, 0))))
    for record in done:
        engine.wait(record.ticket, 45)
    found = samples(client.get("/metrics").text)
    assert found["knossos_jobs_ended_total", "good", "succeeded"] == 3
    assert found["knossos_jobs_ended_total", "bad", "failed"] == 1
    assert found["knossos_jobs_ended_total", "tried", "succeeded"] == 1
    assert found["knossos_job_restarts_total", "tried"] == 1
    assert found["knossos_job_duration_seconds_count", "good"] == 3
    ran = sum(record.runtime or 0 for record in engine.records([one.ticket for one in done[:3]]))
    assert found["knossos_job_duration_seconds_sum", "good"] == pytest.approx(ran, abs=1e-3)
    # Five jobs, of which one began twice.
    assert found["knossos_job_wait_seconds_count", "default"] == 6
    assert found["knossos_queue_jobs", "default", "waiting"] == 0
    assert found["knossos_workers", "idle"] + found["knossos_workers", "busy"] == 1
    assert found["knossos_redis_up",] == 1
    assert found["knossos_redis_memory_used_bytes",] > 100_000
    assert found["knossos_disk_free_bytes", "data"] > 0


def test_what_alerts_look_at_is_there_before_it_happens(client: FlaskClient) -> None:
    found = samples(client.get("/metrics").text)
    for process in ("web", "ws", "worker"):
        assert found["knossos_redis_errors_total", process] == 0
        assert found["knossos_database_errors_total", process] == 0
    assert {name[1] for name in found if name[0] == "knossos_sandbox_kills_total"} >= {*KERNEL_KILLS.values(), "memory"}


def test_what_waits_and_what_is_held_back_is_told_apart(client: FlaskClient, engine: Engine) -> None:
    engine.submit(spec(limits=(Limit(key="one", most=1),)))
    for _ in range(2):
        engine.submit(spec(limits=(Limit(key="one", most=1),)))
    engine.submit(spec(owner="another", queue="scripts"), then=spec(owner="another", queue="scripts"))
    found = samples(client.get("/metrics").text)
    assert found["knossos_queue_jobs", "default", "waiting"] == 1
    assert found["knossos_queue_jobs", "scripts", "waiting"] == 1
    assert found["knossos_jobs_held_back",] == 2
    assert found["knossos_queue_oldest_wait_seconds", "default"] > 0


def test_requests_and_their_bytes_are_counted_by_what_they_ask_for(client: FlaskClient, engine: Engine) -> None:
    answers = [client.get("/health") for _ in range(2)]
    assert client.get("/no/such/page").status_code == 404
    client.post("/api/converter/request", data={"passwd": "wrong", "data": "x" * 5000})
    found = samples(client.get("/metrics").text)
    assert found["knossos_http_requests_total", "runners.health", "2xx"] == 2
    assert found["knossos_http_requests_total", "none", "4xx"] == 1
    assert found["knossos_http_sent_bytes_total", "runners.health"] == sum(len(answer.data) for answer in answers)
    assert found["knossos_http_received_bytes_total", "converter.submit"] > 5000
    assert found["knossos_http_request_duration_seconds_count", "runners.health"] == 2


def test_counts_of_all_processes_meet_and_none_is_lost_while_redis_is_away(
    client: FlaskClient, engine: Engine, settings: Settings
) -> None:
    away = connect(f"redis://127.0.0.1:{free_port()}/0", 0)
    tally.add("download_bytes", amount=5)
    counts.deliver(away)
    counts.deliver(engine.redis)
    tally.add("download_bytes", amount=7)
    found = samples(client.get("/metrics").text)
    assert found["knossos_download_bytes_total",] == 12
    # The try that found nobody was an error of Redis.
    assert sum(value for name, value in found.items() if name[0] == "knossos_redis_errors_total") == 1
    away.close()


def test_where_redis_is_away_the_figures_say_so(settings: Settings, sqlite_template: Path) -> None:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    away = settings.model_copy(update={"redis": f"redis://127.0.0.1:{free_port()}/0"})
    answer = create_app(away, Engine(away, patience_seconds=0)).test_client().get("/metrics")
    assert answer.status_code == 200
    found = samples(answer.text)
    assert found["knossos_redis_up",] == 0
    assert found["knossos_disk_size_bytes", "data"] > 0


@pytest.mark.timeout(30)
def test_a_redis_that_says_nothing_is_told_before_prometheus_stops_listening(
    settings: Settings, sqlite_template: Path
) -> None:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = settings.model_copy(update={"redis": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"})
        client = create_app(away, Engine(away)).test_client()
        found = samples(client.get("/metrics").text)
        assert client.get("/api/health").status_code == 503
    assert found["knossos_redis_up",] == 0


def test_an_error_of_the_database_is_counted_and_one_of_a_statement_is_not(settings: Settings) -> None:
    database = Database(settings)
    with pytest.raises(OperationalError), database.session() as session:
        session.execute(text("SELECT * FROM nothing"))
    database.close()
    assert tally.take() == {f"database_errors\t{tally._process}": 1}


def test_figures_are_never_public(client: FlaskClient, settings: Settings, engine: Engine) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", environ_base=NOBODY).status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    client.set_cookie(COOKIE_NAME, session_of(settings, "dora"))
    assert client.get("/metrics", environ_base=NOBODY).status_code == 403
    client.set_cookie(COOKIE_NAME, session_of(settings, "olga", "operator"))
    assert client.get("/metrics", environ_base=NOBODY).status_code == 200
    behind = settings.model_copy(update={"metrics_token": TOKEN, "trusted_proxies": 1})
    proxied = create_app(behind, engine).test_client()
    for sent, status in (({}, 403), ({"Authorization": f"Bearer {TOKEN}"}, 200)):
        answer = proxied.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1", **sent})
        assert answer.status_code == status
    assert proxied.get("/metrics").status_code == 200


def test_both_formats_of_prometheus_are_valid(client: FlaskClient, engine: Engine) -> None:
    PlayedJob(engine).start().fail(JobFailure(code="x", message="y"))
    plain = client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=")
    assert samples(plain.text)
    opened = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert opened.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in open_families(opened.text)}
    assert {"knossos_jobs_ended", "knossos_job_duration_seconds", "knossos_queue_jobs"} <= names


class Asked:
    """Counts the commands that a client sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands = 0
        pack = redis.connection.AbstractConnection.pack_command
        packs = redis.connection.AbstractConnection.pack_commands

        def one(connection: Any, *arguments: Any) -> Any:
            self.commands += 1
            return pack(connection, *arguments)

        def many(connection: Any, commands: Any) -> Any:
            commands = list(commands)
            self.commands += len(commands)
            return packs(connection, commands)

        monkeypatch.setattr(redis.connection.AbstractConnection, "pack_command", one)
        monkeypatch.setattr(redis.connection.AbstractConnection, "pack_commands", many)


def test_ten_thousand_jobs_cost_as_many_questions_as_ten(
    client: FlaskClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(number: int) -> None:
        for _ in range(number):
            engine.submit(spec(limits=(Limit(key="all", most=20_000),)))

    def asked() -> int:
        before = meter.commands
        client.get("/metrics")
        overview.workers(engine), overview.failed(engine, 20)
        return meter.commands - before

    submit(30)
    meter = Asked(monkeypatch)
    asked()
    few = asked()
    # As 10,000 that wait would lie in Redis.
    head = engine.queue("default").key
    with engine.redis.pipeline(transaction=False) as pipeline:
        for number in range(10_000):
            pipeline.rpush(head, 1_000_000 + number)
        pipeline.execute()
    many = asked()
    assert samples(client.get("/metrics").text)["knossos_queue_jobs", "default", "waiting"] == 10_030
    assert many <= few


def test_a_worker_that_is_at_a_job_is_seen_with_it(engine: Engine, start_worker: StartWorker, tmp_path: Path) -> None:
    process = start_worker()
    record = engine.submit(spec(does="linger", payload={"until": str(tmp_path / "never")}))

    def busy() -> overview.WorkerState | None:
        return next((one for one in overview.workers(engine) if one.job is not None), None)

    worker = wait_for(busy, "the worker at its job")
    assert worker.job is not None
    assert (worker.pid, worker.job.ticket, worker.stops) == (process.popen.pid, record.ticket, False)
    assert worker.heartbeat_at is not None
    assert engine.cancel(record.ticket)
