"""Scripts that are sent to the script server, as far as nothing runs: turns, other people, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile, run_prefix
from knossos.scripting.runs import Runs
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage
from knossos.web import create_app
from tests.support.people import with_cheap_passwords
from tests.support.script_server import listed, log_in, refused


def send(client: FlaskClient, script: bytes = b"echo 1") -> int:
    answer = client.post("/api/run", data=script)
    assert answer.status_code == 200, answer.text
    return int((answer.json or {})["job_id"])


def test_one_users_second_script_waits_while_those_of_others_run(
    settings: Settings, engine: Engine, people: dict[str, Account]
) -> None:
    bounded = settings.model_copy(update={"max_running": 3, "max_running_per_user": 1})
    anyone = with_cheap_passwords(create_app(bounded, engine)).test_client()
    dora, emil = log_in(anyone, "dora"), log_in(anyone, "emil")
    first, second, third = (send(dora) for _ in range(3))
    other = send(emil)
    queue: Any = engine.redis.lrange(engine.queue("default").key, 0, -1)
    assert [int(ticket) for ticket in queue] == [first, other]
    told = [(dora.get(f"/api/jobs/{ticket}").json or {})["waiting_before"] for ticket in (first, second, third)]
    assert told == [0, 2, 3]
    assert (emil.get(f"/api/jobs/{other}").json or {})["waiting_before"] == 1


def test_a_place_in_the_queue_is_that_in_the_order_of_turns(dora: FlaskClient, anyone: FlaskClient) -> None:
    tickets = [send(dora) for _ in range(3)]
    emils = [send(log_in(anyone, "emil")) for _ in range(2)]
    olga = log_in(anyone, "olga")
    told = {ticket: (olga.get(f"/api/jobs/{ticket}").json or {})["waiting_before"] for ticket in tickets + emils}
    assert sorted(told, key=told.__getitem__) == [*tickets[:3], *emils]
    assert list(told.values()) == [0, 1, 2, 3, 4]


def test_a_script_waits_with_its_text_until_it_has_its_turn(dora: FlaskClient) -> None:
    first, second = send(dora, "echo 'ü'\n".encode()), send(dora)
    told = dora.get(f"/api/jobs/{first}").json
    assert told is not None
    assert {name: told[name] for name in ("job_id", "script", "user", "out", "err", "start", "end", "status")} == {
        "job_id": first,
        "script": "echo 'ü'\n",
        "user": "Dora",
        "out": "",
        "err": "",
        "start": None,
        "end": None,
        "status": "waiting",
    }
    assert (dora.get(f"/api/jobs/{second}").json or {})["waiting_before"] == 1
    assert dora.get("/api/jobs").json == [
        {"job_id": second, "status": "waiting", "user": "Dora"},
        {"job_id": first, "status": "waiting", "user": "Dora"},
    ]
    assert dora.get("/api/jobs?limit=1").json == [{"job_id": second, "status": "waiting", "user": "Dora"}]
    assert dora.get(f"/api/jobs?before={second}").json == [{"job_id": first, "status": "waiting", "user": "Dora"}]
    assert (dora.get("/api/info").json or {})["jobs_waiting"] == 2


def test_another_users_job_is_not_there_but_for_an_operator(anyone: FlaskClient, dora: FlaskClient) -> None:
    number = send(dora)
    emil, olga = log_in(anyone, "emil"), log_in(anyone, "olga")
    assert emil.get("/api/jobs").json == []
    missing = emil.get("/api/jobs/999999")
    for answer in (emil.get(f"/api/jobs/{number}"), emil.post(f"/api/jobs/{number}", json={"command": "kill"})):
        refused(answer, 404)
        assert answer.text.replace(str(number), "N") == missing.text.replace("999999", "N")
    assert olga.get("/api/jobs").json == [{"job_id": number, "status": "waiting", "user": "Dora"}]
    assert (olga.get(f"/api/jobs/{number}").json or {})["user"] == "Dora"


def test_a_job_that_does_not_run_gets_no_signal(dora: FlaskClient, engine: Engine) -> None:
    number = send(dora)
    refused(dora.post(f"/api/jobs/{number}", json={"command": "terminate"}), 409, "waits")
    engine.cancel(number)
    assert (dora.get(f"/api/jobs/{number}").json or {})["status"] == "failed"
    refused(dora.post(f"/api/jobs/{number}", json={"command": "kill"}), 409, "ended")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"command": "stop"}', b'{"command": null}', b'{"command": ["kill"]}']
)
def test_a_command_that_is_none_is_refused(dora: FlaskClient, body: bytes) -> None:
    refused(dora.post(f"/api/jobs/{send(dora)}", data=body), 400)


@pytest.mark.parametrize("path", ["999999", "x", "-1", "1.5", "9" * 30, "0"])
def test_a_job_that_is_not_there_is_404(dora: FlaskClient, path: str) -> None:
    refused(dora.get(f"/api/jobs/{path}"), 404)
    refused(dora.post(f"/api/jobs/{path}", json={"command": "kill"}), 404)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "before=-1", "limit=²", "before=" + "9" * 40])
def test_a_page_that_is_none_is_refused(dora: FlaskClient, query: str) -> None:
    refused(dora.get(f"/api/jobs?{query}"), 400)


def test_scripts_that_are_empty_too_large_or_too_many_are_refused(dora: FlaskClient, settings: Settings) -> None:
    refused(dora.post("/api/run", data=b" \n"), 400, "empty")
    refused(dora.post("/api/run", data=b"x" * 1001), 413)
    for _ in range(3):
        send(dora)
    refused(dora.post("/api/run", data=b"echo"), 429, "3 runs")
    assert len(dora.get("/api/jobs").json or ()) == 3
    assert len(list(Storage(settings).list_keys("runs"))) == 3


def test_without_an_interpreter_nothing_is_run(settings: Settings, engine: Engine, people: dict[str, Account]) -> None:
    for command, status in (("", 404), ("no-such-interpreter", 503), ("/etc/passwd", 503)):
        app = with_cheap_passwords(create_app(settings.model_copy(update={"command": command}), engine))
        client = log_in(app.test_client(), "dora")
        refused(client.post("/api/run", data=b"echo"), status)
        assert listed(client) == {}
    assert list(Storage(settings).list_keys("runs")) == []


def test_what_came_of_a_job_outlives_redis(
    dora: FlaskClient, engine: Engine, settings: Settings, database: Database
) -> None:
    storage = Storage(settings)
    runs = Runs(settings, database, storage, engine)
    good, bad, lost = (send(dora) for _ in range(3))
    for number, code in ((good, 0), (bad, 3)):
        run = runs.of_ticket(number)
        assert run is not None
        runs.begin(run.run_id, number)
        storage.put_bytes(f"{run_prefix(run.run_id)}/0", b"out\n")
        kept = KeptFile(0, FileRole.STDOUT, "stdout", 4, f"{run_prefix(run.run_id)}/0")
        runs.end(run.run_id, Ending(RunOutcome.EXITED, code), [kept])
    engine.redis.flushall()
    statuses = {one["job_id"]: one["status"] for one in dora.get("/api/jobs").json or ()}
    assert statuses == {good: "done", bad: "failed", lost: "failed"}
    told = dora.get(f"/api/jobs/{bad}").json or {}
    assert (told["out"], told["script"], told["exit_code"]) == ("out\n", "echo 1", 3)
    assert told["start"] < told["end"] or told["start"] == told["end"]
    assert (dora.get("/api/info").json or {})["jobs_waiting"] == 0
    with database.session() as session:
        for row in session.query(ScriptRun):
            row.expires_at = 1.0
    assert runs.purge() == 3
    assert dora.get("/api/jobs").json == []
    assert not list(storage.list_keys("runs"))
