"""Logins and logouts of people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Accounts
from knossos.database import Database
from knossos.settings import Settings
from tests.support.people import CHEAP, add_account


@pytest.fixture
def accounts(client: FlaskClient, settings: Settings) -> Iterator[Accounts]:
    database = Database(settings)
    add_account(database, "dora")
    yield Accounts(database, CHEAP)
    database.close()


FORM = {"name": "dora", "password": "correct horse", "next": "/tasks"}


SAME_ORIGIN = {"Origin": "http://localhost"}


@pytest.mark.usefixtures("accounts")
def test_a_login_sets_a_cookie_that_scripts_cannot_read_and_a_logout_takes_it_away(client: FlaskClient) -> None:
    answer = client.post("/login", data=FORM, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.location) == (303, "/tasks")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE_NAME}=")
    for word in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert word in cookie
    assert "Secure" not in cookie
    assert "dora" in client.get("/tasks").text
    assert client.post("/logout", headers=SAME_ORIGIN).status_code == 303
    assert client.get_cookie(COOKIE_NAME) is None
    secure = client.post("/login", data=FORM, headers={"Origin": "https://localhost"}, base_url="https://localhost")
    assert "Secure" in secure.headers["Set-Cookie"]


@pytest.mark.usefixtures("accounts")
def test_a_wrong_password_and_an_unknown_name_are_told_in_the_same_words(client: FlaskClient) -> None:
    pages = []
    for name in ("dora", "nobody"):
        answer = client.post("/login", data={**FORM, "name": name, "password": "wrong"}, headers=SAME_ORIGIN)
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
        pages.append(answer.text.replace(name, "NAME"))
    assert pages[0] == pages[1]
    assert "The name or the password is wrong." in pages[0]
    assert client.post("/login", data={}, headers=SAME_ORIGIN).status_code == 400


@pytest.mark.usefixtures("accounts")
def test_no_other_site_logs_a_visitor_in_or_out(client: FlaskClient) -> None:
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/login", "/logout"):
            answer = client.post(path, data=FORM, headers=headers)
            assert answer.status_code == 403
            assert "Set-Cookie" not in answer.headers


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil", "x", ""])
def test_a_login_leads_nowhere_else(client: FlaskClient, target: str) -> None:
    answer = client.post("/login", data={**FORM, "next": target}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.location) == (303, "/")
