"""The operator's page: who may see it, what it shows, and what retrying and deleting a failed task does."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME
from knossos.accounts.audit import Audit
from knossos.database import Database
from knossos.jobs import Engine, JobFailure, JobNotFound, JobRecord, JobSpec, JobState
from knossos.jobs.retention import purge
from knossos.operating.disks import disks
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.conftest import StartWorker
from tests.support import scenes
from tests.support.people import session_of
from tests.support.processes import wait_for
from tests.support.redis_server import free_port
from tests.support.scenes import PlayedJob

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def client(settings: Settings, engine: Engine, sqlite_template: Path) -> Iterator[FlaskClient]:
    third_party.install()
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    with create_app(settings, engine).test_client() as made:
        made.set_cookie(COOKIE_NAME, session_of(settings, "olga", "operator"))
        yield made


def failed_job(engine: Engine, start_worker: StartWorker, kind: str, **more: object) -> JobRecord:
    record = engine.submit(
        JobSpec(function="tests.support.jobs.fail", kind=kind, title=f"A {kind}", owner="system", retries=0, **more)  # type: ignore[arg-type]
    )
    start_worker()
    return engine.wait(record.ticket, 45)


def test_the_page_is_for_operators_alone(client: FlaskClient, settings: Settings) -> None:
    assert client.get("/operator").status_code == 200
    client.set_cookie(COOKIE_NAME, session_of(settings, "dora"))
    for path in ("/operator", "/operator/live"):
        assert client.get(path).status_code == 403
    assert client.post("/operator/tasks/1/delete", headers=OURS).status_code == 403
    client.delete_cookie(COOKIE_NAME)
    answer = client.get("/operator")
    assert (answer.status_code, "/login" in answer.headers["Location"]) == (303, True)


def test_while_redis_is_away_it_says_so_and_shows_the_rest(client: FlaskClient, settings: Settings) -> None:
    away = settings.model_copy(update={"redis": f"redis://:a-secret@127.0.0.1:{free_port()}/0"})
    visitor = create_app(away, Engine(away, patience_seconds=0)).test_client()
    visitor.set_cookie(COOKIE_NAME, session_of(settings, "olga", "operator"))
    for path in ("/operator", "/operator/live"):
        answer = visitor.get(path)
        assert answer.status_code == 200
        assert "Redis does not answer" in answer.text
        assert str(settings.data_path) in answer.text
        assert "SQLite" in answer.text
        assert "No worker is there" not in answer.text
        assert "a-secret" not in answer.text


def test_a_redis_that_says_nothing_is_asked_once(client: FlaskClient, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = settings.model_copy(update={"redis": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"})
        visitor = create_app(mute, Engine(mute, patience_seconds=0)).test_client()
        visitor.set_cookie(COOKIE_NAME, session_of(settings, "olga", "operator"))
        answer = visitor.get("/operator")
        assert (answer.status_code, "Redis says nothing" in answer.text) == (200, True)
        silent.settimeout(0.5)
        connections = 0
        with contextlib.suppress(TimeoutError):
            while True:
                silent.accept()[0].close()
                connections += 1
        assert connections == 1


def test_another_site_cannot_delete_a_task(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine).start()
    job.fail(JobFailure(code="x", message="y"))
    answer = client.post(f"/operator/tasks/{job.ticket}/delete", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert engine.find(job.ticket).ticket == job.ticket


def test_it_shows_workers_queues_failures_room_and_versions(
    client: FlaskClient, engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    assert "No worker is there" in client.get("/operator").text
    failed = failed_job(engine, start_worker, "conversion")
    endless = {"until": str(tmp_path / "never")}
    spec = JobSpec(function="tests.support.jobs.linger", kind="test", title="Long work", owner="o", payload=endless)
    running = engine.submit(spec)
    page = wait_for(lambda: (said := client.get("/operator/live").text) and "Long work" in said and said, "the job")
    assert f"/watch/{running.ticket}" in page
    assert "It broke." in page
    assert f"/operator/tasks/{failed.ticket}/delete" in page
    assert f"/operator/tasks/{failed.ticket}/retry" not in page
    for name in ("Python", "Redis", "7-Zip", "bubblewrap", "SQLite"):
        assert name in page
    engine.cancel(running.ticket)


def test_a_failure_is_told_in_one_line_that_begins_with_what_matters(client: FlaskClient, engine: Engine) -> None:
    job = scenes.failed(engine)
    engine.redis.zadd(engine.queue("default").failed_job_registry.key, {str(job.ticket): 4e9})
    page = client.get("/operator/live").text
    assert "compass.7z: the server answers 404 (there is no such file)" in page
    assert "Open the links in a browser" not in page


def test_a_retry_makes_a_new_task_once_and_is_in_the_audit_log(
    client: FlaskClient, engine: Engine, settings: Settings, start_worker: StartWorker
) -> None:
    failed = failed_job(engine, start_worker, "mail", payload={"to": "nobody"})
    path = f"/operator/tasks/{failed.ticket}/retry"
    answer = client.post(path, headers=OURS)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/operator?done=retry")
    again = engine.find(failed.ticket).again
    assert again is not None
    assert engine.payload(again) == {"to": "nobody"}
    made = engine.wait(again, 45)
    assert (made.kind, made.title, made.owner, made.attempts) == ("mail", "A mail", "system", 1)
    assert client.post(path, headers=OURS).status_code == 400
    assert f"task {again}" in client.get("/operator").text
    (entry,) = Audit(Database(settings)).latest(subject=f"task:{failed.ticket}")
    assert (entry.actor, entry.action, entry.details) == ("olga", "task.retry", {"kind": "mail", "again": again})


def test_a_failed_task_that_cron_has_kept_for_operators_is_retried_and_deleted_as_before(
    client: FlaskClient, engine: Engine, start_worker: StartWorker
) -> None:
    failed = failed_job(engine, start_worker, "mail", payload={"to": "nobody"})
    purge(engine, (failed.ended_at or 0) + engine.settings.result_lifetime + 1)
    assert engine.find(failed.ticket, withheld=True).withheld
    path = f"/operator/tasks/{failed.ticket}"
    assert client.post(f"{path}/retry", headers=OURS).headers["Location"] == "/operator?done=retry"
    again = engine.find(failed.ticket, withheld=True).again
    assert again is not None
    assert engine.payload(again) == {"to": "nobody"}
    engine.wait(again, 45)
    assert client.post(f"{path}/delete", headers=OURS).headers["Location"] == "/operator?done=delete"
    with pytest.raises(JobNotFound):
        engine.find(failed.ticket, withheld=True)


def test_what_others_wait_for_or_may_begin_once_only_is_not_retried(
    client: FlaskClient, engine: Engine, start_worker: StartWorker
) -> None:
    for failed in (
        failed_job(engine, start_worker, "release"),
        failed_job(engine, start_worker, "mail", once=True),
    ):
        answer = client.post(f"/operator/tasks/{failed.ticket}/retry", headers=OURS)
        assert answer.status_code == 400
        assert "may not be started again" in answer.text
        assert engine.find(failed.ticket).again is None


def test_a_task_that_was_cancelled_is_not_in_the_way_of_those_that_failed(
    engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker()
    endless = {"until": str(tmp_path / "never")}
    spec = JobSpec(function="tests.support.jobs.linger", kind="test", title="Long work", owner="o", payload=endless)
    ticket = engine.submit(spec).ticket
    wait_for(lambda: engine.find(ticket).state is JobState.RUNNING, "the job")
    engine.cancel(ticket)
    engine.wait(ticket, 45)
    # The next job of the only worker: it is done with the one before.
    engine.wait(engine.submit(spec.model_copy(update={"function": "tests.support.jobs.fail"})).ticket, 45)
    (entry,) = wait_for(lambda: engine.redis.zrange(engine.queue("default").failed_job_registry.key, 0, -1), "failures")
    assert entry != str(ticket).encode()


def test_a_failed_task_is_deleted_and_one_that_has_not_failed_is_not(client: FlaskClient, engine: Engine) -> None:
    failed, waiting = PlayedJob(engine).start(), PlayedJob(engine)
    failed.fail(JobFailure(code="x", message="y"))
    assert client.post(f"/operator/tasks/{waiting.ticket}/delete", headers=OURS).status_code == 400
    path = f"/operator/tasks/{failed.ticket}/delete"
    assert client.post(path, headers=OURS).headers["Location"] == "/operator?done=delete"
    with pytest.raises(JobNotFound):
        engine.find(failed.ticket)
    assert client.post(path, headers=OURS).headers["Location"] == "/operator?done=gone"


def test_what_folders_hold_is_counted_aside_and_then_shown(engine: Engine) -> None:
    data = engine.settings.data_path
    data.mkdir(exist_ok=True)
    (data / "big").write_bytes(b"x" * 1_000_000)
    assert {disk.used for disk in disks(engine)} == {None}
    wait_for(lambda: all(disk.used is not None for disk in disks(engine)), "the count")
    (found,) = [disk for disk in disks(engine) if disk.name == "data"]
    assert found.used is not None
    assert found.used >= 1_000_000
