"""Logins of the script server, and who may do what without one."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos import __version__
from knossos.accounts import COOKIE_NAME, Account
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import PASSWORD, with_cheap_passwords
from tests.support.script_server import listed, refused

ORIGIN = {"Origin": "http://localhost"}


def test_info_says_who_one_is(anyone: FlaskClient, dora: FlaskClient) -> None:
    told = anyone.get("/api/info").json
    assert told is not None
    assert {name: told[name] for name in ("jobs_running", "jobs_waiting", "name", "username", "version")} == {
        "jobs_running": 0,
        "jobs_waiting": 0,
        "name": "The lab",
        "username": None,
        "version": __version__,
    }
    assert (dora.get("/api/info").json or {})["username"] == "Dora"


def test_a_login_is_the_session_of_all_protocols_until_the_logout(dora: FlaskClient) -> None:
    assert dora.get_cookie(COOKIE_NAME) is not None
    assert b'name="dora"' in dora.get("/Info").data.lower()
    assert dora.post("/api/logout").status_code == 200
    refused(dora.get("/api/jobs"), 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "dora", "password": "wrong"}, 401),
        ({"username": "nobody", "password": PASSWORD}, 401),
        ({"username": "dora"}, 400),
        ({"username": "dora", "password": 7}, 400),
        ({"username": ["dora"], "password": PASSWORD}, 400),
        ({"username": "do\0ra", "password": PASSWORD}, 400),
        ([], 400),
        ("x", 400),
        (None, 400),
    ],
)
def test_a_wrong_login_is_refused(anyone: FlaskClient, body: Any, status: int) -> None:
    refused(anyone.post("/api/login", json=body), status)
    assert anyone.get_cookie(COOKIE_NAME) is None


def test_tries_are_limited_as_everywhere(settings: Settings, engine: Engine, people: dict[str, Account]) -> None:
    app = create_app(settings.model_copy(update={"login_failures_per_account": 2}), engine)
    client = with_cheap_passwords(app).test_client()
    for status in (401, 401, 429):
        refused(client.post("/api/login", json={"username": "emil", "password": "wrong"}), status)
    answer = client.post("/api/login", json={"username": "emil", "password": PASSWORD})
    refused(answer, 429)
    assert int(answer.headers["Retry-After"]) > 0


ALL = [
    ("POST", "/api/logout"),
    ("POST", "/api/run"),
    ("GET", "/api/jobs"),
    ("GET", "/api/jobs/1"),
    ("POST", "/api/jobs/1"),
    ("GET", "/api/home"),
    ("GET", "/api/files/"),
    ("POST", "/api/files/"),
    ("GET", "/api/files/x"),
    ("PUT", "/api/files/x"),
    ("POST", "/api/files/x"),
    ("DELETE", "/api/files/x"),
]


@pytest.mark.parametrize(("method", "path"), ALL)
def test_everything_else_needs_a_login(anyone: FlaskClient, settings: Settings, method: str, path: str) -> None:
    refused(anyone.open(path, method=method, data=b"x"), 401)
    anyone.set_cookie(COOKIE_NAME, "nonsense")
    refused(anyone.open(path, method=method, data=b"x"), 401)
    assert not settings.homes_folder.exists()


@pytest.mark.parametrize(("method", "path"), [one for one in ALL if one[0] != "GET"])
def test_pages_of_other_sites_change_nothing(dora: FlaskClient, method: str, path: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        refused(dora.open(path, method=method, data=b"x", headers=headers), 403)
    refused(dora.post("/api/login", json={"username": "emil", "password": PASSWORD}, headers=headers), 403)
    assert listed(dora) == {}


def test_our_own_pages_may(dora: FlaskClient) -> None:
    assert dora.put("/api/files/a", data=b"x", headers=ORIGIN).status_code == 200
    refused(dora.put("/api/files/a", data=b"x", headers={**ORIGIN, "Sec-Fetch-Site": "same-site"}), 403)
