"""Calls of the LinkAhead endpoints, and what stands in their answers."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from lxml import etree
from sqlalchemy import text
from werkzeug.test import TestResponse

from knossos.database import Database
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile, run_prefix
from tests.support.web import services_of

SAME_ORIGIN = {"Origin": "http://localhost"}


OTHER_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


#: MAX_CONTENT_LENGTH here.
MOST_BYTES = 2 * 1024 * 1024


def start(client: FlaskClient, call: str = "hello.sh", **more: Any) -> TestResponse:
    """Call a script without waiting for it."""
    return client.post("/scripting", headers={"Prefer": "respond-async", **more}, data={"call": call})


def parsed(answer: TestResponse) -> Any:
    assert answer.mimetype == "text/xml"
    return etree.fromstring(answer.data)


def error_of(answer: TestResponse) -> str:
    """The description of an error, whose code is the status."""
    error = parsed(answer).find("Error")
    assert int(error.get("code")) == answer.status_code
    return str(error.get("description"))


def rows(database: Database, table: str = "script_runs") -> int:
    with database.reading() as session:
        return session.scalar(text(f"select count(*) from {table}")) or 0


def nothing_is_left(client: FlaskClient, database: Database) -> bool:
    services = services_of(client)
    stored = [path for path in (services.settings.data_path / "storage").rglob("*") if path.is_file()]
    return not stored and rows(database) == 0 and services.engine.list_jobs() == []


def finish(client: FlaskClient, stdout: bytes = b"", *, shared: tuple[str, ...] = (), **ending: Any) -> str:
    """Say of the newest run that it has ended, as a worker would; the name of its SHARED_DIR."""
    scripting = services_of(client).scripting
    run = scripting.runs.history(None)[0]
    kept = []
    for number, (role, name, data) in enumerate(
        [(FileRole.STDOUT, "stdout", stdout), *((FileRole.SHARED, name, name.encode()) for name in shared)]
    ):
        key = f"{run_prefix(run.run_id)}/{number}"
        scripting.storage.put_bytes(key, data)
        kept.append(KeptFile(number, role, name, len(data), key))
    scripting.runs.end(run.run_id, Ending(**{"outcome": RunOutcome.EXITED, "exit_code": 0, **ending}), kept)
    return run.shared_name
