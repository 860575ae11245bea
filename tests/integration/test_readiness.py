"""/health, /ready and `worker.py --check`; and one id that is in the logs of all processes that a request reaches."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from knossos import tracing
from knossos.database import Database
from knossos.jobs import Engine, JobSpec
from knossos.publishing.blobs import Blobs
from knossos.settings import ROOT, Settings
from knossos.storage import Storage
from knossos.web import create_app
from tests.conftest import StartWorker
from tests.support.live import live_server
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import free_port
from tests.support.scenes import PlayedJob

FINE = {"redis": "ok", "database": "ok", "schema": "ok", "storage": "ok"}


@pytest.fixture
def with_tables(settings: Settings) -> Settings:
    database = Database(settings)
    database.migrate()
    database.close()
    return settings


def test_a_server_is_ready_when_all_that_it_needs_is_there(with_tables: Settings, engine: Engine) -> None:
    client = create_app(with_tables, engine).test_client()
    answer = client.get("/ready")
    assert (answer.status_code, answer.json) == (200, {"ready": True, "parts": FINE})
    assert client.get("/health").status_code == 200


def test_what_is_missing_is_named_without_addresses(with_tables: Settings) -> None:
    blocked = with_tables.data_path / "no-folder"
    blocked.write_text("a file")
    away = {"redis": f"redis://:hidden@127.0.0.1:{free_port()}/0", "storage": str(blocked)}
    settings = with_tables.model_copy(update=away)
    answer = create_app(settings, Engine(settings, patience_seconds=0)).test_client().get("/ready")
    wrong = {"redis": "does not answer", "storage": "does not answer"}
    assert (answer.status_code, answer.json) == (503, {"ready": False, "parts": FINE | wrong})


def test_a_storage_that_is_not_mounted_is_not_ready(with_tables: Settings, engine: Engine, tmp_path: Path) -> None:
    storage, picture = Path(with_tables.storage_url), tmp_path / "picture"
    database = Database(with_tables)
    blobs = Blobs(database, Storage(with_tables))
    for content in (b"one", b"two", b"three"):
        picture.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        blobs.adopt(picture, sha256=sha256, size=len(content), content_type="image/png", owner_id=None)
        picture.unlink()
    client = create_app(with_tables, engine).test_client()
    assert client.get("/ready").status_code == 200
    storage.rename(tmp_path / "elsewhere")
    for _ in range(2):  # what the first look does must not satisfy the second
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert answer.json is not None
        assert answer.json["parts"]["storage"].endswith("is what STORAGE names mounted?")
    storage.mkdir()  # what was mounted over
    assert client.get("/ready").status_code == 503
    storage.rmdir()
    (tmp_path / "elsewhere").rename(storage)
    assert client.get("/ready").status_code == 200
    database.close()


def test_tables_that_are_too_old_are_not_ready(settings: Settings, engine: Engine) -> None:
    database = Database(settings)
    database.migrate("0001")
    database.close()
    answer = create_app(settings, engine).test_client().get("/ready")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["parts"]["schema"].startswith("the tables are at 0001 and should be at 0")


def test_the_websocket_server_says_how_it_is_and_how_many_watch(with_tables: Settings, engine: Engine) -> None:
    async def work() -> None:
        async with live_server(with_tables) as server:
            job = PlayedJob(engine).start()
            job.log("hello")
            client = await server.watch(job.ticket, job.token)
            await client.until_line("hello")
            assert client.connection.headers["X-Request-ID"]

            def get(path: str, **headers: str) -> requests.Response:
                return requests.get(f"http://127.0.0.1:{server.port}{path}", headers=headers, timeout=30)

            ready = await asyncio.to_thread(get, "/ready")
            assert (ready.status_code, ready.json()["parts"]) == (
                200,
                {"redis": "ok", "database": "ok", "schema": "ok"},
            )
            figures = await asyncio.to_thread(get, "/metrics")
            found = {
                sample.name: sample.value
                for family in text_string_to_metric_families(figures.text)
                for sample in family.samples
            }
            assert (found["knossos_watchers"], found["knossos_watched_tasks"]) == (1, 1)
            assert found["process_resident_memory_bytes"] > 0
            proxied = {"X-Forwarded-For": "127.0.0.1"}
            assert (await asyncio.to_thread(lambda: get("/metrics", **proxied))).status_code == 403
            client.close()

    asyncio.run(work())


def test_a_worker_is_checked_by_its_signs_of_life(
    tmp_path: Path, with_tables: Settings, start_worker: StartWorker
) -> None:
    file = write_settings(tmp_path / "settings.py", with_tables)

    def check() -> tuple[int, dict[str, str]]:
        process = Process(["worker.py", "--check"], tmp_path / "check.log", {"KNOSSOS_SETTINGS": str(file)})
        code = process.popen.wait(60)
        return code, json.loads(process.log.splitlines()[-1])["parts"]

    code, parts = check()
    assert code == 3
    assert (tmp_path / "check.log").read_text().count("\n") == 1  # no library says how it asks
    assert parts.pop("worker").startswith("no worker of ")
    assert parts == FINE | {"room": "ok", "7-Zip": "ok"}
    worker = start_worker()
    wait_for(lambda: "waits for tasks" in worker.log, "the worker")
    assert check() == (0, FINE | {"room": "ok", "7-Zip": "ok", "worker": "ok"})


def test_an_id_is_taken_from_a_trusted_proxy_only_and_always_answered(with_tables: Settings, engine: Engine) -> None:
    asked = {"X-Request-ID": "from-outside"}
    made = create_app(with_tables, engine).test_client().get("/health", headers=asked).headers["X-Request-ID"]
    assert made != "from-outside"
    behind = create_app(with_tables.model_copy(update={"trusted_proxies": 1}), engine).test_client()
    assert behind.get("/health", headers=asked).headers["X-Request-ID"] == "from-outside"
    bad = behind.get("/health", headers={"X-Request-ID": "two words"}).headers["X-Request-ID"]
    assert bad != "two words"
    assert behind.get("/no/such/page", headers=asked).headers["X-Request-ID"] == "from-outside"


def test_one_id_goes_from_the_request_through_the_worker_to_the_watcher(
    with_tables: Settings, engine: Engine, start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_tables.model_copy(update={"trusted_proxies": 1, "api_keys": ("key-of-the-tests",)})
    client = create_app(settings, engine).test_client()
    # Addresses that are refused, so that its task ends at once.
    mod = re.sub(r"(?<=https://)[a-z.]+", "10.0.0.1", (ROOT / "static" / "example_mod.json").read_text())
    answer = client.post(
        "/api/converter/request",
        data={"passwd": "key-of-the-tests", "data": mod},
        headers={"X-Request-ID": "the-whole-way"},
    )
    ticket = answer.get_json(force=True)["ticket"]
    assert engine.find(ticket).request == "the-whole-way"
    worker = start_worker(product=True, use=with_tables.model_copy(update={"log_format": "json"}))
    engine.wait(ticket, 45)
    wait_for(lambda: "has left this worker" in worker.log, "the worker's last word")
    lines = [json.loads(line) for line in worker.log.splitlines()]
    told = [line for line in lines if line.get("ticket") == str(ticket)]
    assert {line["message"] for line in told} >= {f"task {ticket} starts", f"task {ticket} has left this worker"}
    assert {line["request"] for line in told} == {"the-whole-way"}

    async def watch() -> None:
        async with live_server(with_tables) as server:
            client = await server.watch(ticket, engine.find(ticket).token)
            await client.until_closed()

    with caplog.at_level(logging.DEBUG, logger="knossos.live"):
        asyncio.run(watch())
    (let_in,) = [record for record in caplog.records if record.getMessage() == "a watcher is let in"]
    assert (let_in.ticket, let_in.job_request) == (ticket, "the-whole-way")  # type: ignore[attr-defined]


def test_what_a_job_submits_has_the_id_of_the_request_behind_it(engine: Engine, start_worker: StartWorker) -> None:
    with tracing.at_request("behind-it"):
        record = engine.submit(JobSpec(function="tests.support.jobs.submit_another", kind="t", title="t", owner="o"))
    start_worker()
    engine.wait(record.ticket, 45)
    assert engine.find(engine.result(record.ticket)).request == "behind-it"
