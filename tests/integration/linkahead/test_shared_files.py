"""The files that a run has shared: for whom, and for how long."""

from __future__ import annotations

import os
import time

from flask.testing import FlaskClient
from sqlalchemy import text

from knossos.accounts import COOKIE_NAME, Account, Accounts
from knossos.database import Database
from tests.support.linkahead import (
    finish,
    start,
)
from tests.support.people import CHEAP, add_account
from tests.support.web import log_in, services_of


def test_what_a_script_shared_is_for_those_who_could_run_it(
    client: FlaskClient, dora: Account, database: Database
) -> None:
    log_in(client, dora)
    start(client)
    folder = finish(client, shared=("log/report.html", "data.bin", "t.csv"))
    page = client.get(f"/Shared/{folder}/log/report.html")
    assert (page.status_code, page.data, page.content_type) == (200, b"log/report.html", "text/html; charset=utf-8")
    assert page.headers["Content-Disposition"] == "inline; filename*=UTF-8''report.html"
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in page.headers
    file = client.get(f"/Shared/{folder}/data.bin", headers={"Range": "bytes=2-4"})
    assert (file.status_code, file.data) == (206, b"ta.")
    assert file.headers["Content-Disposition"].startswith("attachment")
    for missing in ("nothing", "log", "../data.bin", "stdout"):
        assert client.get(f"/Shared/{folder}/{missing}").status_code == 404
    for none in ("nothing", "%00", "a" * 32, "x" * 5000):
        assert client.get(f"/Shared/{none}/data.bin").status_code == 404
    client.delete_cookie(COOKIE_NAME)
    assert client.get(f"/Shared/{folder}/data.bin").status_code == 401
    log_in(client, add_account(database, "erik"))
    assert client.get(f"/Shared/{folder}/data.bin").status_code == 403
    Accounts(database, CHEAP).set_roles("erik", ["curators"], more_roles=["curators"])
    assert client.get(f"/Shared/{folder}/data.bin").status_code == 200


def test_shared_files_go_when_their_time_is_over(client: FlaskClient, dora: Account, database: Database) -> None:
    log_in(client, dora)
    start(client)
    folder = finish(client, shared=("a.txt",))
    with database.session() as session:
        session.execute(text("update script_runs set expires_at = :now"), {"now": time.time() - 1})
    assert client.get(f"/Shared/{folder}/a.txt").status_code == 404


def test_whose_run_it_was_sees_its_files_without_the_role(
    client: FlaskClient, dora: Account, database: Database
) -> None:
    log_in(client, dora)
    start(client)
    folder = finish(client, shared=("a.txt",))
    Accounts(database, CHEAP).set_roles("dora", [])
    assert client.get(f"/Shared/{folder}/a.txt").status_code == 200
    assert os.listdir(services_of(client).scripting.storage.folder or "") == ["runs"]
