"""What is old goes, what is not stays, and nothing is in the way of anything."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from knossos.accounts import COOKIE_NAME
from knossos.accounts.access import owner_of_account
from knossos.jobs import Engine, JobFailure, JobNotFound, JobSpec, JobState, keys
from knossos.jobs.retention import purge
from knossos.jobs.workspace import Workspace
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import session_of
from tests.support.processes import Process, wait_for, write_settings
from tests.support.scenes import PlayedJob

SPEC = JobSpec(function="tests.support.jobs.echo", kind="test", title="t", owner="key:a")


def test_a_result_stays_for_its_lifetime_and_then_goes(engine: Engine, start_worker: Callable[..., Process]) -> None:
    start_worker()
    ticket = engine.submit(SPEC).ticket
    wait_for(lambda: engine.find(ticket).state.finished, "the end")
    ended_at = engine.find(ticket).ended_at
    assert ended_at is not None
    lifetime = engine.settings.result_lifetime
    assert purge(engine, ended_at + lifetime - 1).removed == ()
    assert engine.result(ticket) == {}
    assert purge(engine, ended_at + lifetime + 1).removed == (ticket,)
    with pytest.raises(JobNotFound):
        engine.result(ticket)


def test_a_failed_job_stays_a_day_for_operators_and_for_nobody_else(
    settings: Settings, engine: Engine, sqlite_template: Path
) -> None:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    owner = owner_of_account("dora")
    job = PlayedJob(engine, kind="conversion", owner=owner).start()
    job.fail(JobFailure(code="x", message="It broke."))
    engine.redis.zadd(engine.queue("default").failed_job_registry.key, {str(job.ticket): 4e9})
    ended_at = engine.find(job.ticket).ended_at
    assert ended_at is not None
    for _ in range(2):
        assert purge(engine, ended_at + settings.result_lifetime + 1).removed == ()
    assert engine.redis.ttl(keys.task(job.ticket)) >= settings.failed_lifetime

    client = create_app(settings.model_copy(update={"open_watch": True}), engine).test_client()
    fields = {"ticket": str(job.ticket), "token": job.token}
    assert client.post("/api/converter/retrieve", data=fields).json == {
        "json": None, "success": False, "finished": True, "found": False,
    }  # fmt: skip
    address = f"/api/converter/get_status/{job.ticket}?token={job.token}"
    assert client.get(address).status_code == 404
    client.set_cookie(COOKIE_NAME, session_of(settings, "dora"))
    assert client.get(address).status_code == 404
    assert engine.list_jobs(owner) == engine.list_jobs() == engine.list_jobs(kind="conversion") == []

    client.set_cookie(COOKIE_NAME, session_of(settings, "olga", "operator"))
    assert client.get(address).json["state"] == "DONE"
    assert "It broke." in client.get("/operator").text
    assert client.get(f"/watch/{job.ticket}").status_code == 200

    assert purge(engine, ended_at + settings.failed_lifetime + 1).removed == (job.ticket,)
    assert not engine.redis.exists(keys.task(job.ticket), keys.events(job.ticket))


def test_an_unfinished_job_is_given_up_after_its_lifetime(engine: Engine) -> None:
    ticket = engine.submit(SPEC).ticket
    created = engine.find(ticket).created_at
    lifetime = engine.settings.task_lifetime
    assert purge(engine, created + lifetime - 1).expired == ()
    assert purge(engine, created + lifetime + 1).expired == (ticket,)
    record = engine.find(ticket)
    assert record.state is JobState.FAILED
    assert record.failure is not None
    assert record.failure.code == "expired"
    assert "24 hours" in record.failure.message


def test_an_ended_job_leaves_redis_by_itself_should_cron_never_run(engine: Engine) -> None:
    ticket = engine.submit(SPEC).ticket
    assert engine.redis.ttl(keys.task(ticket)) == -1
    engine.cancel(ticket)
    for key in (keys.task(ticket), keys.events(ticket), f"rq:job:{ticket}"):
        assert 0 < engine.redis.ttl(key) <= engine.keep_seconds


def test_keys_that_belong_to_no_job_go(engine: Engine) -> None:
    kept = engine.submit(SPEC).ticket
    engine.redis.zadd(keys.TASKS, {"4711": 4711})
    engine.redis.xadd(keys.events(4711), {"type": "log", "data": "{}"})
    engine.redis.set(keys.result(4711), b"x")
    engine.redis.rpush(keys.answer(4711, "q"), "x")
    assert purge(engine).stray_keys == 4
    assert [record.ticket for record in engine.list_jobs()] == [kept]
    assert engine.events(kept)


def test_a_job_of_rq_whose_record_is_gone_goes_too(engine: Engine) -> None:
    ticket = engine.submit(SPEC).ticket
    engine.cancel(ticket)
    engine.redis.delete(keys.task(ticket))
    purge(engine)
    assert not engine.redis.exists(f"rq:job:{ticket}", "rq:canceled:default", keys.events(ticket))


def test_two_purges_at_once_remove_everything_once(engine: Engine) -> None:
    tickets = [engine.submit(SPEC).ticket for _ in range(60)]
    for ticket in tickets:
        engine.cancel(ticket)
    later = time.time() + engine.settings.result_lifetime + 1
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(purge(engine, later))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {ticket for outcome in outcomes for ticket in outcome.removed} == set(tickets)
    assert engine.list_jobs() == []


def test_a_folder_goes_when_its_process_is_gone_and_not_before(engine: Engine, settings: Settings) -> None:
    held = Workspace(settings.work_folder, 1, "a" * 32)
    (held.open() / "file").write_text("x")
    orphan = settings.work_folder / "2-bbbb"
    orphan.mkdir()
    Path(f"{orphan}.lock").touch()
    assert purge(engine).folders == ("2-bbbb",)
    assert held.folder.is_dir()
    held.close()
    assert list(settings.work_folder.iterdir()) == []


def test_the_daily_command_says_what_it_removed_and_nothing_else(
    engine: Engine, settings: Settings, sqlite_template: Path, tmp_path: Path
) -> None:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    ticket = engine.submit(SPEC).ticket
    engine.cancel(ticket)
    engine.redis.zadd(keys.ENDED, {str(ticket): 0})
    environment = {"KNOSSOS_SETTINGS": str(write_settings(tmp_path / "settings.py", settings))}
    said = []
    for number in ("1", "2"):
        run = Process(["cron.py"], tmp_path / f"cron-{number}.log", environment)
        assert run.popen.wait(60) == 0, run.log
        said.append([line for line in run.log.splitlines() if " INFO cron: " not in line])
    assert said == [["removed 1 ended tasks"], ["nothing has expired"]]
