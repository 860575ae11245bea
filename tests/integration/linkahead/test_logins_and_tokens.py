"""Logins of programs, and the tokens that runs of scripts have."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.accounts import COOKIE_NAME, Account
from knossos.jobs import Engine, JobState
from knossos.scripting.plan import TokenPlan
from tests.support.linkahead import (
    OTHER_SITE,
    SAME_ORIGIN,
    parsed,
    start,
)
from tests.support.people import PASSWORD
from tests.support.web import log_in, services_of

#: What the client looks for in the header of a login's answer.
COOKIE = re.compile(r"^SessionToken=([^;]*);.*$")


def login(client: FlaskClient, password: str = PASSWORD, **headers: str) -> TestResponse:
    return client.post("/login", data={"username": "dora", "password": password}, headers=headers)


def test_a_program_logs_in_says_who_it_is_and_logs_out(client: FlaskClient, dora: Account) -> None:
    answer = login(client)
    assert answer.status_code == 200
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert COOKIE.match(cookie)
    assert parsed(answer).find("UserInfo").get("username") == "dora"
    user = parsed(client.get("/Info")).find("UserInfo")
    assert (user.get("username"), user.get("realm")) == ("dora", "Knossos")
    assert [role.text for role in user.findall("Roles/Role")] == ["curators"]
    assert client.get("/logout").status_code == 200
    assert client.get_cookie(COOKIE_NAME) is None
    user = parsed(client.get("/Info")).find("UserInfo")
    assert (user.get("username"), user.get("realm")) == ("anonymous", "anonymous")
    assert [role.text for role in user.findall("Roles/Role")] == ["anonymous"]


def test_wrong_logins_of_programs_are_counted_with_those_of_pages(
    client: FlaskClient, dora: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        answer = login(client, "wrong-password")
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers
    locked = login(client)
    assert (locked.status_code, locked.mimetype) == (429, "text/xml")
    assert int(locked.headers["Retry-After"]) > 0
    assert "wrong-password" not in caplog.text
    for data in ({"username": ""}, {"username": "dora"}, {"username": "do\0ra", "password": "x"}):
        assert client.post("/login", data=data).status_code == 400


def test_no_page_of_another_site_logs_a_program_in_or_out(client: FlaskClient, dora: Account) -> None:
    for headers in (OTHER_SITE, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        assert login(client, **headers).status_code == 403
    log_in(client, dora)
    for headers in (OTHER_SITE, {"Sec-Fetch-Site": "cross-site"}, {"Accept": "text/html,*/*"}):
        answer = client.get("/logout", headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
    assert client.get("/logout", headers={"Sec-Fetch-Site": "none", "Accept": "text/html"}).status_code == 200


@pytest.fixture
def run_token(client: FlaskClient, dora: Account) -> str:
    """The token of a run of dora's that stands for her."""
    log_in(client, dora)
    run_id = parsed(start(client)).find("run").get("id")
    client.delete_cookie(COOKIE_NAME)
    return services_of(client).scripting.tokens.issue(TokenPlan(user_id=dora.user_id), run_id)


def token_with(client: FlaskClient, dora: Account, **plan: Any) -> str:
    run = services_of(client).scripting.runs.history(None)[0]
    return services_of(client).scripting.tokens.issue(TokenPlan(user_id=dora.user_id, **plan), run.run_id)


def test_a_script_acts_for_its_caller_here_and_on_pages(client: FlaskClient, run_token: str, engine: Engine) -> None:
    client.set_cookie(COOKIE_NAME, run_token)
    assert parsed(client.get("/Info")).find("UserInfo").get("username") == "dora"
    assert client.get("/api/info").json["username"] == "dora"  # type: ignore[index]
    ticket = int(parsed(start(client)).find("run").get("ticket"))
    assert engine.payload(ticket)["token"]["roles"] == ["table-keepers"]
    assert client.post(f"/api/tasks/{ticket}/cancel").status_code == 200
    assert engine.find(ticket).state is JobState.CANCELLED
    assert client.post(f"/api/tasks/{ticket}/cancel", headers=OTHER_SITE).status_code == 404


def test_a_script_makes_nothing_that_outlasts_it_in_its_callers_name(client: FlaskClient, run_token: str) -> None:
    client.set_cookie(COOKIE_NAME, run_token)
    data = {"name": "mine", "lifetime": "", "scopes": "read"}
    assert client.post("/account/tokens", data=data, headers=SAME_ORIGIN).status_code == 403


def test_a_token_with_roles_of_its_own_counts_for_scripts_only(
    client: FlaskClient, run_token: str, dora: Account, engine: Engine
) -> None:
    client.set_cookie(COOKIE_NAME, token_with(client, dora, roles=("administration",)))
    user = parsed(client.get("/Info")).find("UserInfo")
    assert user.get("username") == "dora"
    assert [role.text for role in user.findall("Roles/Role")] == ["administration"]
    assert client.get("/api/info").json["username"] is None  # type: ignore[index]
    ticket = int(parsed(start(client, "open.sh")).find("run").get("ticket"))
    assert engine.payload(ticket)["token"]["roles"] == ["administration", "anonymous"]


def test_one_request_is_one_use_of_a_token(client: FlaskClient, run_token: str, dora: Account) -> None:
    client.set_cookie(COOKIE_NAME, token_with(client, dora, max_replays=2))
    assert [client.get("/Info").status_code for _ in range(3)] == [200, 200, 401]


def test_a_script_that_logs_out_has_no_token_any_more(client: FlaskClient, run_token: str) -> None:
    client.set_cookie(COOKIE_NAME, run_token)
    assert client.delete("/logout").status_code == 200
    client.set_cookie(COOKIE_NAME, run_token)
    assert client.get("/Info").status_code == 401


def test_tokens_of_runs_are_in_no_log(client: FlaskClient, run_token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client.set_cookie(COOKIE_NAME, run_token)
    for path in ("/Info", "/scripting", "/login", "/Shared/x/y", "/nothing"):
        client.get(path)
    client.post("/scripting", data={"call": "missing.sh"})
    client.set_cookie(COOKIE_NAME, run_token + "x")
    client.get("/Info")
    assert run_token not in caplog.text
