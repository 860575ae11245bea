"""``login``, ``register`` and ``reset_password`` as the mod managers call them, and the token they get."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.accounts import COOKIE_NAME, Accounts
from knossos.accounts.tokens import Identity, Scope
from knossos.database import Database
from knossos.errors import AccessDenied
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from knossos.web.authentication import TOKEN_HEADER
from knossos.web.nebula.requests import caller
from knossos.web.services import services
from tests.support.people import CHEAP, PASSWORD, add_account, session_of, with_cheap_passwords

SAME_ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    made = Database(settings)
    made.migrate()
    add_account(made, "dora", email="dora@example.org")
    yield made
    made.close()


def new_client(settings: Settings, engine: Engine, **changes: Any) -> FlaskClient:
    return with_cheap_passwords(create_app(settings.model_copy(update=changes), engine)).test_client()


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    return new_client(settings, engine)


def post(client: FlaskClient, path: str, kind: str, **fields: str) -> TestResponse:
    """Send a form as one of the two generations of clients does."""
    if kind == "urlencoded":
        return client.post(f"/api/1/{path}", data=fields)
    head = "--xYz\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name="
    parts = "".join(f"{head}{name}\r\n\r\n{value}\r\n" for name, value in fields.items())
    content_type = 'multipart/form-data; boundary="xYz"'
    return client.post(f"/api/1/{path}", data=(parts + "--xYz--\r\n").encode(), content_type=content_type)


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_a_login_gives_a_token_and_a_wrong_one_a_refusal_that_is_no_error(client: FlaskClient, kind: str) -> None:
    answer = post(client, "login", kind, user="Dora", password=PASSWORD)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["result"] is True
    assert set(answer.json) == {"result", "token"}
    assert who(client, {TOKEN_HEADER: answer.json["token"]}).name == "dora"
    for name, password in (("dora", "wrong"), ("nobody", PASSWORD), ("", "")):
        wrong = post(client, "login", kind, user=name, password=password)
        assert (wrong.status_code, wrong.json["result"], wrong.json["reason"]) == (200, False, "invalid login")  # type: ignore[index]
    broken = post(client, "login", kind, user="dora")
    assert (broken.status_code, broken.json["result"]) == (400, False)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_who_registers_confirms_their_address_and_logs_in(
    client: FlaskClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    form = {"name": "ivan", "password": "längeres Wort", "email": "ivan@example.org"}
    with caplog.at_level(logging.WARNING):
        answer = post(client, "register", kind, **form)
    assert (answer.status_code, answer.json) == (200, {"result": True})
    waiting = post(client, "login", kind, user="ivan", password="längeres Wort").json
    assert waiting is not None
    assert (waiting["result"], waiting["reason"]) == (False, "not verified")
    [secret] = re.findall(r"/verify/(\S+)", caplog.text)
    with client.application.app_context():
        services().registration.verify(secret, "")
    logged_in = post(client, "login", kind, user="ivan", password="längeres Wort").json
    assert logged_in is not None
    assert logged_in["result"] is True


def test_registering_is_refused_with_a_reason(client: FlaskClient, settings: Settings, engine: Engine) -> None:
    form = {"name": "dora", "password": PASSWORD, "email": "new@example.org"}
    for changes, reason in (
        ({}, "already registered"),
        ({"name": "DORA"}, "already registered"),
        ({"name": "../x"}, "invalid name"),
        ({"name": "ivan", "password": "short"}, "invalid password"),
        ({"name": "ivan", "email": "nobody"}, "invalid email"),
    ):
        answer = post(client, "register", "multipart", **{**form, **changes})
        assert (answer.status_code, answer.json["result"], answer.json["reason"]) == (200, False, reason)  # type: ignore[index]
    closed = new_client(settings, engine, open_registration=False)
    answer = post(closed, "register", "multipart", **{**form, "name": "ivan"})
    assert (answer.status_code, answer.json["reason"]) == (200, "registration closed")  # type: ignore[index]


def test_a_reset_of_an_unknown_user_is_a_404(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer = post(client, "reset_password", "multipart", user="dora")
    assert (answer.status_code, answer.json) == (200, {"result": True})
    assert "/reset/" in caplog.text
    unknown = post(client, "reset_password", "urlencoded", user="nobody")
    assert (unknown.status_code, unknown.json["result"]) == (404, False)  # type: ignore[index]


def test_a_locked_account_is_told_when_to_try_again_by_both_logins(
    settings: Settings, engine: Engine, database: Database
) -> None:
    client = new_client(settings, engine, login_failures_per_account=2, trusted_proxies=1)
    for number in range(2):
        answer = client.post(
            "/api/1/login",
            data={"user": "dora", "password": "wrong"},
            headers={"X-Forwarded-For": f"203.0.113.9, 198.51.100.{number}"},
        )
        assert answer.json["reason"] == "invalid login"  # type: ignore[index]
    locked = post(client, "login", "urlencoded", user="dora", password=PASSWORD)
    assert locked.status_code == 200
    assert locked.json is not None
    assert (locked.json["result"], locked.json["reason"]) == (False, "too many attempts")
    assert 0 < locked.json["retry_after"] <= 900
    page = client.post("/login", data={"name": "dora", "password": PASSWORD}, headers=SAME_ORIGIN)
    assert page.status_code == 429
    assert 0 < int(page.headers["Retry-After"]) <= 900
    assert "Try again in 15 minutes." in page.text
    with client.application.app_context():
        entries = services().audit.latest()
        assert [(entry.action, entry.address) for entry in entries[:1]] == [("login.lock", "198.51.100.1")]


def test_an_address_that_nobody_trusts_is_not_believed(settings: Settings, engine: Engine, database: Database) -> None:
    client = new_client(settings, engine, login_failures_per_address=2)
    for number in range(3):
        answer = client.post(
            "/api/1/login",
            data={"user": f"nobody{number}", "password": "wrong"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        )
    assert answer.json["reason"] == "too many attempts"  # type: ignore[index]


def test_a_page_of_this_server_needs_no_token_and_another_site_gets_nothing(
    client: FlaskClient, settings: Settings
) -> None:
    client.set_cookie(COOKIE_NAME, session_of(settings, "dora"))
    visitor = who(client, SAME_ORIGIN)
    assert (visitor.name, visitor.scopes) == ("dora", frozenset(Scope))
    for headers in ({}, {"Origin": "https://evil.example"}, {TOKEN_HEADER: "wrong", **SAME_ORIGIN}):
        with pytest.raises(AccessDenied):
            who(client, headers)


def test_a_disabled_account_is_out_at_once(client: FlaskClient, settings: Settings, database: Database) -> None:
    client.set_cookie(COOKIE_NAME, session_of(settings, "dora"))
    token = post(client, "login", "multipart", user="dora", password=PASSWORD).json["token"]  # type: ignore[index]
    Accounts(database, CHEAP).disable("dora")
    for headers in (SAME_ORIGIN, {TOKEN_HEADER: token}):
        with pytest.raises(AccessDenied):
            who(client, headers)
    answer = post(client, "login", "multipart", user="dora", password=PASSWORD)
    assert answer.json["reason"] == "account disabled"  # type: ignore[index]
    page = client.post("/login", data={"name": "dora", "password": PASSWORD}, headers=SAME_ORIGIN)
    assert (page.status_code, "This account is disabled" in page.text) == (403, True)


def who(client: FlaskClient, headers: dict[str, str]) -> Identity:
    """Whom a handler takes the sender of a request for."""
    cookies = {}
    if cookie := client.get_cookie(COOKIE_NAME):
        cookies["Cookie"] = f"{COOKIE_NAME}={cookie.value}"
    with client.application.test_request_context("/api/1/x", method="POST", headers={**headers, **cookies}):
        return caller(Scope.RELEASE)
