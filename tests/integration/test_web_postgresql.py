"""Requests with what PostgreSQL does not hold: NUL in texts, halves of surrogate pairs, numbers beyond a column's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, third_party
from knossos.web.services import EXTENSION, Services
from tests.support.people import add_account
from tests.support.postgres import Postgres

HUGE = 10**12


@pytest.fixture
def client(settings: Settings, engine: Engine, postgres: Postgres, tmp_path: Path) -> Iterator[FlaskClient]:
    """The browser of an operator."""
    third_party.install()
    with_postgres = settings.model_copy(update={"database": postgres.new_database()})
    app = create_app(with_postgres, engine)
    services: Services = app.extensions[EXTENSION]
    olga = add_account(services.database, "olga", "operator")
    client = app.test_client()
    client.set_cookie(COOKIE_NAME, services.sessions.issue(olga))
    yield client
    services.database.close()


def test_no_request_breaks_on_what_postgresql_does_not_hold(client: FlaskClient) -> None:
    pages = ["/audit", "/audit?actor=%00", f"/audit?before={HUGE}", f"/audit?before=-{HUGE}", "/mods?q=%00"]
    api = {
        "login": {"user": "a\0", "password": "x"},
        "reset_password": {"user": "a\0"},
        "upload/check": {"checksum": "a\0"},
        "track": {"counter": "downloads", "mid": "a\0"},
        "mod/webhooks/add": {"mid": "a\0", "url": "https://example.org/"},
    }
    forms = {
        "/login": {"name": "a\0", "password": "x"},
        "/reset": {"name": "a\0@example.org"},
        f"/account/tokens/{HUGE}/revoke": {},
        **{f"/api/1/{path}": form for path, form in api.items()},
    }
    found = {page: client.get(page).status_code for page in [*pages, "/api/1/mod/webhooks?mid=%00"]}
    origin = {"Origin": "http://localhost"}
    found |= {path: client.post(path, data=form, headers=origin).status_code for path, form in forms.items()}
    half = {"mid": "\ud800", "url": "https://example.org/"}
    found["half"] = client.post("/api/1/mod/webhooks/add", json=half, headers=origin).status_code
    assert found.pop("/audit") == 200
    assert {path: status for path, status in found.items() if status >= 500} == {}
    assert found[f"/account/tokens/{HUGE}/revoke"] == 404
    assert [found[f"/api/1/{path}"] for path in api] == [400, 400, 400, 400, 400]
