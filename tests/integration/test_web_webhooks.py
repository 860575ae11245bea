"""``mod/webhooks`` over HTTP, as pages and scripts use it, and a delivery by a worker."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts.tokens import Scope, Tokens
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.tables import Member, Mod
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.file_server import Answer, FileServer
from tests.support.people import add_account
from tests.support.processes import Process, wait_for


class Caller:
    """Asks with a token."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self._headers = {"X-KN-TOKEN": token}

    def get(self, mid: str) -> tuple[int, dict[str, Any]]:
        found = self._client.get("/api/1/mod/webhooks", query_string={"mid": mid}, headers=self._headers)
        return found.status_code, found.get_json()

    def post(self, what: str, **options: Any) -> tuple[int, dict[str, Any]]:
        found = self._client.post(f"/api/1/mod/webhooks/{what}", headers=self._headers, **options)
        return found.status_code, found.get_json()

    def release(self, step: str, mod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found = self._client.post(f"/api/1/mod/release{step}", json=mod, headers=self._headers)
        return found.status_code, found.get_json()


def tried(caller: Caller) -> list[dict[str, Any]]:
    return [webhook for webhook in caller.get("tiny")[1]["webhooks"] if webhook["last_try_at"]]


@pytest.fixture
def callers(settings: Settings, engine: Engine, sqlite_template: Path) -> dict[str, Caller]:
    """An owner, a stranger, and the owner's token that may not manage."""
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    database = Database(settings)
    owner, stranger = (add_account(database, name).user_id for name in ("dora", "eve"))
    with database.session() as session:
        now = time.time()
        session.add(Mod(id="tiny", id_key="tiny", title="Tiny", type="mod", created_at=now, updated_at=now))
        session.flush()
        session.add(Member(mod_id="tiny", user_id=owner, role=0))
    tokens, client = Tokens(settings, database), create_app(settings, engine).test_client()
    given = {
        "owner": tokens.issue_login(owner),
        "stranger": tokens.issue_login(stranger),
        "uploader": tokens.issue_api(owner, "CI", [Scope.UPLOAD], None),
    }
    database.close()
    return {name: Caller(client, token) for name, token in given.items()}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def test_a_webhook_is_added_listed_and_removed_by_form_and_by_json(callers: dict[str, Caller]) -> None:
    owner = callers["owner"]
    url = "https://hooks.example.org/path?key=secret"
    status, made = owner.post("add", data={"mid": "tiny", "url": url, "events": "release,deletion"})
    assert (status, made["result"], made["webhook"]["events"]) == (200, True, ["release", "deletion"])
    assert len(made["secret"]) > 40
    status, other = owner.post("add", json={"mid": "tiny", "url": url, "format": "discord", "events": ["release"]})
    assert (status, other["webhook"]["format"]) == (200, "discord")
    status, found = owner.get("tiny")
    assert [webhook["id"] for webhook in found["webhooks"]] == [made["webhook"]["id"], other["webhook"]["id"]]
    assert found["webhooks"][0]["mid"] == "tiny"
    assert "secret" not in json.dumps(found)
    assert owner.post("remove", data={"id": str(made["webhook"]["id"])}) == (200, {"result": True})
    assert owner.post("remove", json={"id": other["webhook"]["id"]}) == (200, {"result": True})
    assert owner.get("tiny")[1]["webhooks"] == []
    assert owner.post("remove", json={"id": 1})[1]["reason"] == "webhook missing"


def test_those_who_may_not_and_what_is_wrong_get_the_documented_answers(callers: dict[str, Caller]) -> None:
    url = "https://hooks.example.org/"
    assert callers["uploader"].get("tiny")[0] == 403
    assert callers["stranger"].get("tiny")[1]["reason"] == "unauthorized"
    assert callers["owner"].get("")[1]["reason"] == "unauthorized"
    assert callers["owner"].get("nothing")[0] == 404
    for given, path in (
        ({"mid": "tiny"}, "url"),
        ({"mid": "tiny", "url": 5}, "url"),
        ({"mid": ["tiny"], "url": url}, "mid"),
        ({"mid": "tiny", "url": url, "events": "release"}, "events"),
        ({"mid": "tiny", "url": url, "events": [1]}, "events"),
        ({"mid": "tiny", "url": url, "format": "xml"}, "format"),
        ({"mid": "tiny", "url": "http://10.0.0.1/"}, "url"),
    ):
        status, found = callers["owner"].post("add", json=given)
        assert (status, found["result"], [error["path"] for error in found["errors"]]) == (400, False, [path])
    for number in (0, -1, True, "1", None, 2**40):
        assert callers["owner"].post("test", json={"id": number})[0] == 400
    assert callers["owner"].post("test", data={"id": "x"})[0] == 400
    assert callers["owner"].get("tiny")[1]["webhooks"] == []


def test_a_release_with_fields_that_are_wrong_is_told_of_but_no_try_is(
    callers: dict[str, Caller], engine: Engine
) -> None:
    callers["owner"].post("add", data={"mid": "tiny", "url": "https://hooks.example.org/"})
    for step in ("/preflight", "/dry_run", ""):
        status, found = callers["owner"].release(step, {"id": "tiny", "version": "1.x"})
        assert (status, found["result"]) == (200, False)
    (job,) = engine.list_jobs(kind="webhook")
    assert engine.payload(job.ticket)["notice"]["event"] == "failed_validation"


def test_a_worker_delivers_the_ping_and_writes_neither_address_nor_secret_down(
    callers: dict[str, Caller], server: FileServer, engine: Engine, start_worker: Callable[..., Process]
) -> None:
    url = server.handle("/hidden-path", lambda request: Answer(204))
    made = callers["owner"].post("add", data={"mid": "tiny", "url": f"{url}?key=hidden-key"})[1]
    worker = start_worker()
    assert callers["owner"].post("test", json={"id": made["webhook"]["id"]}) == (200, {"result": True})
    (shown,) = wait_for(lambda: tried(callers["owner"]), "a try")
    assert shown["last_result"] == "accepted with status 204"
    (request,) = server.asked("/hidden-path")
    assert request.headers["X-Knossos-Event"] == "ping"
    (job,) = engine.list_jobs(kind="webhook")
    written = worker.log + job.title + repr(engine.payload(job.ticket)) + repr(engine.events(job.ticket))
    for hidden in (made["secret"], "hidden-path", "hidden-key"):
        assert hidden not in written
