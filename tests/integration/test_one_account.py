"""One account, one session: however somebody logs in, all protocols know them, and a logout ends it for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.accounts import COOKIE_NAME, Account
from knossos.accounts.administration import By, Change
from knossos.accounts.audit import Actor
from knossos.accounts.sessions import expire
from knossos.accounts.tokens import Scope, Tokens
from knossos.database import Database
from knossos.jobs import Engine, JobState, keys
from knossos.scripting.plan import RunKind, TokenPlan
from knossos.scripting.run_records import new_run_id
from knossos.scripting.tables import ScriptRun
from knossos.scripting.tokens import RunTokens
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.live import live_server
from tests.support.people import PASSWORD, add_account, with_cheap_passwords
from tests.support.scenes import PlayedJob
from tests.support.web import services_of

ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    script = tmp_path / "bin" / "hello.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    more = {"command": "sh", "args": ("-s",), "server_side_scripting_bin_dirs": (str(script.parent),)}
    return settings.model_copy(update={**more, "role_permissions": {"curators": ("SCRIPTING:EXECUTE:*",)}})


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database, client: FlaskClient) -> Account:
    add_account(database, "dora")
    return services_of(client).accounts.set_roles("dora", ["curators"], more_roles=["curators"])


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    third_party.install()
    return with_cheap_passwords(create_app(settings, engine)).test_client()


def again(client: FlaskClient) -> FlaskClient:
    """Somebody else's browser."""
    return client.application.test_client()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# --- logging in, and out ---------------------------------------------------------------------------------


def on_the_page(client: FlaskClient) -> TestResponse:
    return client.post("/login", data={"name": "dora", "password": PASSWORD}, headers=ORIGIN)


def over_the_api(client: FlaskClient) -> TestResponse:
    return client.post("/api/login", json={"username": "dora", "password": PASSWORD})


def with_linkahead(client: FlaskClient) -> TestResponse:
    return client.post("/login", data={"username": "dora", "password": PASSWORD})


LogIn = Callable[[FlaskClient], TestResponse]
LOGINS = [on_the_page, over_the_api, with_linkahead]


def is_known(client: FlaskClient, headers: dict[str, str] | None = None) -> dict[str, bool]:
    """Where the client counts as dora."""
    sent = headers or {}
    linkahead = client.get("/Info", headers=sent)
    return {
        "api": client.get("/api/jobs", headers=sent).status_code == 200,
        "info": (client.get("/api/info", headers=sent).json or {}).get("username") == "dora",
        "linkahead": linkahead.status_code == 200 and b'name="dora"' in linkahead.data,
    }


def is_on_pages(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


EVERYWHERE = {"api": True, "info": True, "linkahead": True}
NOWHERE = dict.fromkeys(EVERYWHERE, False)


@pytest.mark.usefixtures("dora")
@pytest.mark.parametrize("log_in", LOGINS)
def test_a_login_of_any_kind_is_known_everywhere(client: FlaskClient, log_in: LogIn) -> None:
    assert log_in(client).status_code in (200, 303)
    assert is_known(client) == EVERYWHERE
    assert is_on_pages(client)
    session = client.get_cookie(COOKIE_NAME)
    assert session is not None
    other = again(client)
    assert is_known(other) == NOWHERE
    assert is_known(other, bearer(session.value)) == EVERYWHERE, "a program may send the session as a bearer token"
    assert not is_on_pages(other)


LOGOUTS: dict[str, Callable[[FlaskClient], TestResponse]] = {
    "page": lambda client: client.post("/logout", headers=ORIGIN),
    "api": lambda client: client.post("/api/logout"),
    "linkahead": lambda client: client.get("/logout"),
}


@pytest.mark.parametrize("ending", ["password", "disabled", "removed"])
@pytest.mark.parametrize("log_in", LOGINS)
def test_what_an_operator_does_to_an_account_ends_its_logins_everywhere(
    client: FlaskClient, dora: Account, log_in: LogIn, ending: str
) -> None:
    log_in(client)
    session, key = client.get_cookie(COOKIE_NAME), token_of(client, dora, Scope.SCRIPTS)
    assert session is not None
    by, services = By(Actor("olga", ""), None), services_of(client)
    if ending == "removed":
        services.departure.remove("dora", by)
        add_account(services.database, "dora")
    else:
        change = Change(password="another battery staple") if ending == "password" else Change(disabled=True)
        services.administration.change("dora", change, by)
    for headers in ({}, bearer(session.value)):
        assert is_known(client, headers) == NOWHERE
    assert not is_on_pages(client)
    assert client.get("/api/jobs", headers=bearer(key)).status_code in (401, 403)


@pytest.mark.usefixtures("dora")
@pytest.mark.parametrize("log_out", list(LOGOUTS))
@pytest.mark.parametrize("log_in", LOGINS)
def test_a_logout_ends_the_session_wherever_its_cookie_was_copied_to(
    client: FlaskClient, log_in: LogIn, log_out: str
) -> None:
    log_in(client)
    cookie = client.get_cookie(COOKIE_NAME)
    assert cookie is not None
    copy, elsewhere = again(client), again(client)
    copy.set_cookie(COOKIE_NAME, cookie.value)
    log_in(elsewhere)
    assert LOGOUTS[log_out](client).status_code in (200, 303)
    for one in (client, copy):
        assert is_known(one) == NOWHERE
        assert not is_on_pages(one)
    assert is_known(again(client), bearer(cookie.value)) == NOWHERE
    assert is_known(elsewhere) == EVERYWHERE, "another login of the same account goes on"
    log_in(client)
    assert is_known(client) == EVERYWHERE


@pytest.mark.usefixtures("dora")
def test_a_session_that_is_sent_as_a_bearer_token_ends_with_the_logout_that_it_asks_for(client: FlaskClient) -> None:
    over_the_api(client)
    cookie = client.get_cookie(COOKIE_NAME)
    assert cookie is not None
    program = again(client)
    assert program.post("/api/logout", headers=bearer(cookie.value)).status_code == 200
    assert is_known(program, bearer(cookie.value)) == NOWHERE
    assert is_known(client) == NOWHERE


@pytest.mark.usefixtures("dora")
def test_all_other_logins_end_by_a_button_of_the_account(client: FlaskClient) -> None:
    lost = again(client)
    on_the_page(lost)
    on_the_page(client)
    assert client.post("/account/logout", headers=ORIGIN).location == "/account?done=logout"
    assert is_known(lost) == NOWHERE
    assert is_known(client) == EVERYWHERE
    assert [one.action for one in services_of(client).audit.latest(1)] == ["user.logout"]


@pytest.mark.usefixtures("dora")
def test_ended_sessions_are_forgotten_when_they_would_have_ended_by_themselves(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    over_the_api(client)
    client.post("/api/logout")
    with database.session() as session:
        assert expire(session) == 0
    later = time.time() + services_of(client).settings.session_lifetime + 1
    monkeypatch.setattr("knossos.accounts.sessions.time.time", lambda: later)
    with database.session() as session:
        assert expire(session) == 1


# --- tokens of the account -------------------------------------------------------------------------------


def token_of(client: FlaskClient, account: Account, *scopes: Scope) -> str:
    return services_of(client).tokens.issue_api(account.user_id, "CI", scopes, None)


def add_run(database: Database, owner: str = "account:dora", kind: RunKind = RunKind.SCRIPT) -> str:
    run_id, now = new_run_id(), time.time()
    row = {"id": run_id, "kind": kind, "name": "hello.sh", "owner": owner, "arguments": "[]", "created_at": now}
    ended = {"ended_at": now, "outcome": "exited", "exit_code": 0} if kind is RunKind.HOME else {}
    with database.session() as session:
        session.add(ScriptRun(**row, **ended, expires_at=now + 1000, shared_name=run_id.replace("-", "")))
    return run_id


USES = [
    (Scope.SCRIPTS, "GET", "/api/jobs", {}),
    (Scope.SCRIPTS, "POST", "/api/run", {"data": b"echo 1"}),
    (Scope.HOME, "GET", "/api/files/", {}),
    (Scope.HOME, "PUT", "/api/files/x", {"data": b"x"}),
    (Scope.HOME, "POST", "/api/files/", {"json": {"command": "mkdir", "name": "d"}}),
    (Scope.RUN, "POST", "/scripting", {"data": {"call": "hello.sh"}, "headers": {"Prefer": "respond-async"}}),
    (Scope.READ, "GET", "/api/tasks", {}),
]


@pytest.mark.parametrize("header", ["Authorization", "X-KN-TOKEN"])
@pytest.mark.parametrize(("scope", "method", "path", "sent"), USES)
def test_a_token_does_what_its_scope_says_and_nothing_else(
    client: FlaskClient, dora: Account, scope: Scope, method: str, path: str, sent: dict[str, object], header: str
) -> None:
    word = "Bearer " if header == "Authorization" else ""
    more = sent.get("headers", {})
    assert isinstance(more, dict)

    def ask(token: str) -> TestResponse:
        return client.open(path, method=method, **{**sent, "headers": {**more, header: word + token}})

    assert ask(token_of(client, dora, scope)).status_code in (200, 202)
    refused = ask(token_of(client, dora, *(set(Scope) - {scope})))
    assert refused.status_code == 403
    assert f"scope {scope}" in refused.text
    assert ask("nonsense").status_code == 401


@pytest.mark.parametrize(("kind", "scope"), [(RunKind.SCRIPT, Scope.RUN), (RunKind.HOME, Scope.SCRIPTS)])
def test_a_token_sees_the_runs_of_its_owner_of_the_kind_that_its_scope_is_for(
    client: FlaskClient, database: Database, dora: Account, kind: RunKind, scope: Scope
) -> None:
    mine, other = add_run(database, kind=kind), add_run(database, owner="account:emil", kind=kind)
    good, bad = token_of(client, dora, scope), token_of(client, dora, *(set(Scope) - {scope}))
    assert client.get(f"/api/runs/{mine}", headers=bearer(good)).status_code == 200
    refused = client.get(f"/api/runs/{mine}", headers=bearer(bad))
    assert refused.status_code == 403
    assert f"scope {scope}" in refused.text
    for token in (good, bad):
        assert client.get(f"/api/runs/{other}", headers=bearer(token)).status_code == 404
    assert client.get(f"/api/runs/{mine}", headers=bearer("nonsense")).status_code == 401


def test_linkahead_clients_have_the_token_in_their_cookie(client: FlaskClient, dora: Account) -> None:
    client.set_cookie(COOKIE_NAME, token_of(client, dora, Scope.RUN))
    answer = client.post("/scripting", data={"call": "hello.sh"}, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert not is_on_pages(client), "a token opens no pages, where it could make other tokens"
    client.set_cookie(COOKIE_NAME, token_of(client, dora, Scope.READ))
    assert client.post("/scripting", data={"call": "hello.sh"}).status_code == 403


def test_a_token_opens_no_page_and_makes_no_token(client: FlaskClient, dora: Account) -> None:
    token = bearer(token_of(client, dora, *Scope))
    assert client.get("/account", headers=token).status_code == 303
    form = {"name": "x", "lifetime": "", "scopes": "read"}
    assert client.post("/account/tokens", data=form, headers={**ORIGIN, **token}).location.startswith("/login")
    assert len(services_of(client).tokens.list_tokens(dora.user_id)) == 1


def test_a_header_for_a_server_before_this_one_is_none_of_ours(client: FlaskClient, dora: Account) -> None:
    over_the_api(client)
    assert client.get("/api/jobs", headers={"Authorization": "Basic ZG9yYTp4"}).status_code == 200


def test_a_token_that_was_revoked_or_whose_account_is_disabled_ends_at_once(client: FlaskClient, dora: Account) -> None:
    headers = bearer(token_of(client, dora, Scope.SCRIPTS))
    assert client.get("/api/jobs", headers=headers).status_code == 200
    services_of(client).accounts.disable("dora")
    assert client.get("/api/jobs", headers=headers).status_code == 401


def test_the_account_page_offers_the_scopes_and_those_of_operators_to_operators(
    client: FlaskClient, database: Database, dora: Account
) -> None:
    on_the_page(client)
    page = client.get("/account").text
    assert all(f'value="{scope}"' in page for scope in set(Scope) - {Scope.USERS})
    assert 'value="users"' not in page
    operator = again(client)
    olga = add_account(database, "olga", "operator")
    operator.set_cookie(COOKIE_NAME, services_of(client).sessions.issue(olga))
    assert 'value="users"' in operator.get("/account").text


def test_a_token_that_was_given_for_looking_ends_no_task_and_answers_no_question(
    client: FlaskClient, settings: Settings, engine: Engine, dora: Account
) -> None:
    job = PlayedJob(engine, owner="account:dora").start()
    job.ask("q1", "https://example.org/captcha.png")
    looking, ending = (
        bearer(token_of(client, dora, Scope.READ)),
        bearer(token_of(client, dora, Scope.RELEASE, Scope.READ)),
    )
    address = f"/api/tasks/{job.ticket}"
    assert client.get(address, headers=looking).status_code == 200
    for path, sent in (("cancel", {}), ("answer", {"value": "abc"})):
        refused = client.post(f"{address}/{path}", data=sent, headers=looking)
        assert (refused.status_code, "scope release" in refused.text) == (403, True)

    async def work() -> None:
        async with live_server(settings) as server:
            watcher = await server.watch(job.ticket, headers=looking, room="inter")
            watcher.connection.write_message('["captcha_response", ["abc"]]')
            await watcher.until_line("This token was given for looking only; it answers no question.")
            watcher.connection.write_message('["cancel", []]')
            await watcher.until_line("Only those who have the task's token may cancel it.")

    asyncio.run(asyncio.wait_for(work(), 60))
    assert engine.find(job.ticket).state is JobState.RUNNING
    assert not engine.redis.exists(keys.answer(job.ticket, "q1"))
    assert client.post(f"{address}/answer", data={"value": "abc"}, headers=ending).status_code == 200
    assert client.post(f"{address}/cancel", headers=ending).status_code == 200
    # Whoever has the task's own token needs no other.
    other = PlayedJob(engine, owner="account:dora").start()
    assert client.post(f"/api/tasks/{other.ticket}/cancel?token={other.token}", headers=looking).status_code == 200


# --- tokens of runs --------------------------------------------------------------------------------------


def test_the_token_of_a_run_sees_runs_and_does_nothing_that_outlasts_its_own(
    client: FlaskClient, settings: Settings, database: Database, dora: Account
) -> None:
    run_id = add_run(database)
    token = RunTokens(settings, database).issue(TokenPlan(user_id=dora.user_id), run_id)
    with database.session() as session:
        session.get_one(ScriptRun, run_id).ticket = PlayedJob(services_of(client).engine).start().ticket
    assert client.get(f"/api/runs/{run_id}", headers=bearer(token)).status_code == 200
    assert client.get("/Info", headers=bearer(token)).status_code == 200
    for method, path in (("GET", "/api/jobs"), ("POST", "/api/run"), ("PUT", "/api/files/x"), ("GET", "/api/files/")):
        answer = client.open(path, method=method, data=b"x", headers=bearer(token))
        assert answer.status_code == 403, answer.text
        assert "script" in answer.text


PERSONAL = [
    *("/home/", "/home/secret.txt", "/account", "/jobs", "/jobs/new", "/schedules", "/schedules/new", "/runs"),
    *("/audit", "/operator", "/operator/live", "/users"),
]


@pytest.mark.parametrize("path", PERSONAL)
def test_a_script_does_not_see_the_pages_that_are_its_callers_alone(
    client: FlaskClient, settings: Settings, database: Database, path: str
) -> None:
    olga = add_account(database, "olga", "operator")
    client.set_cookie(COOKIE_NAME, services_of(client).sessions.issue(olga))
    assert client.put("/api/files/secret.txt", data=b"hush").status_code == 200
    assert client.get(path).status_code == 200
    token = RunTokens(settings, database).issue(TokenPlan(user_id=olga.user_id), add_run(database, "account:olga"))
    client.set_cookie(COOKIE_NAME, token)
    answer = client.get(path)
    assert (answer.status_code, "hush" in answer.text) == (403, False)


def test_tokens_and_sessions_watch_what_they_may_see(
    client: FlaskClient, settings: Settings, engine: Engine, database: Database, dora: Account
) -> None:
    job = PlayedJob(engine, kind="script", owner="account:dora").start()
    run_id = add_run(database)
    with database.session() as session:
        session.get_one(ScriptRun, run_id).ticket = job.ticket
    job.log("hello")
    run_token = RunTokens(settings, database).issue(TokenPlan(user_id=dora.user_id), run_id)
    session_text = services_of(client).sessions.issue(dora)
    emil = add_account(database, "emil")
    tokens = Tokens(settings, database)
    may = {
        "token": bearer(token_of(client, dora, Scope.RUN)),
        "run": bearer(run_token),
        "run in the cookie": {"Cookie": f"{COOKIE_NAME}={run_token}"},
        "session": bearer(session_text),
    }
    may_not = {
        "another scope": bearer(token_of(client, dora, Scope.READ, Scope.SCRIPTS)),
        "somebody else": bearer(tokens.issue_api(emil.user_id, "CI", [Scope.RUN], None)),
        "nonsense": bearer("nonsense"),
        "another scheme": {"Authorization": f"Basic {session_text}"},
    }

    async def work() -> None:
        async with live_server(settings) as server:
            for name, headers in may.items():
                watcher = await server.watch(job.ticket, headers=headers)
                assert await watcher.next() == ["log_message", ["INFO: hello"]], name
            for name, headers in may_not.items():
                stranger = await server.watch(job.ticket, headers=headers)
                assert await stranger.next() == ["task_status", ["missing"]], name

    asyncio.run(asyncio.wait_for(work(), 60))


def test_whoever_has_logged_out_cancels_nothing_by_a_socket_that_is_still_open(
    client: FlaskClient, settings: Settings, engine: Engine, dora: Account
) -> None:
    job = PlayedJob(engine, owner="account:dora").start()
    on_the_page(client)
    cookie = client.get_cookie(COOKIE_NAME)
    assert cookie is not None

    async def work() -> None:
        async with live_server(settings) as server:
            headers = {"Cookie": f"{COOKIE_NAME}={cookie.value}"}
            watcher = await server.watch(job.ticket, headers=headers, room="inter")
            job.log("hello")
            await watcher.until_line("hello")
            assert client.post("/logout", headers=ORIGIN).status_code == 303
            watcher.connection.write_message('["cancel", []]')
            await watcher.until_line("You may not do that any more. Log in, and open the page again.")

    asyncio.run(asyncio.wait_for(work(), 60))
    assert engine.find(job.ticket).state is JobState.RUNNING
