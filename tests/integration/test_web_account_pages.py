"""Pages of accounts over HTTP: registering, a new password, tokens, the audit log, and who may see what."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account
from knossos.accounts.mail_links import MailLinks, Purpose
from knossos.accounts.tokens import Scope
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.people import PASSWORD, add_account, with_cheap_passwords
from tests.support.web import log_in, services_of

SAME_ORIGIN = {"Origin": "http://localhost"}
NEW = "another battery staple"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database) -> Account:
    return add_account(database, "dora", email="dora@example.org")


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    third_party.install()
    return with_cheap_passwords(create_app(settings, engine)).test_client()


def link(settings: Settings, database: Database, account: Account, purpose: Purpose) -> str:
    """The path of the link that a mail would hold."""
    return "/" + MailLinks(settings, database).issue(account.user_id, purpose).split("/", 3)[3]


# --- who may ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/register",
        "/reset",
        "/reset/x",
        "/verify/x",
        "/account/password",
        "/account/tokens",
        "/account/tokens/1/revoke",
    ],
)
def test_no_other_site_sends_a_form_in_a_visitors_name(client: FlaskClient, dora: Account, path: str) -> None:
    log_in(client, dora)
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(path, data={"name": "x"}, headers=headers).status_code == 403
    assert client.post(path, data={"name": "x"}, headers=SAME_ORIGIN).status_code != 403 or path == "/account/password"


def test_a_stranger_is_led_to_the_login_and_back(client: FlaskClient) -> None:
    assert client.get("/account").location == "/login?next=/account"
    assert client.get("/audit?actor=x").location == "/login?next=/audit?actor%3Dx"
    came_from = SAME_ORIGIN | {"Referer": "http://localhost/account"}
    assert client.post("/account/tokens", data={}, headers=came_from).location == "/login?next=/account"
    came_from["Referer"] = "http://[::"
    assert client.post("/account/tokens", data={}, headers=came_from).location == "/login?next=/"


def test_pages_of_accounts_are_kept_by_no_cache(client: FlaskClient, dora: Account) -> None:
    log_in(client, dora)
    for path in ("/account", "/register", "/reset", "/reset/x", "/verify/x"):
        assert client.get(path).headers["Cache-Control"] == "no-store"


# --- an account, and back into it ------------------------------------------------------------------------


def test_somebody_registers_opens_the_account_by_mail_and_logs_in(
    client: FlaskClient, settings: Settings, database: Database
) -> None:
    form = {"name": "erik", "email": "erik@example.org", "password": NEW}
    answer = client.post("/register", data=form, headers=SAME_ORIGIN)
    assert answer.status_code == 200
    assert "erik@example.org" in answer.text
    account = services_of(client).accounts.get("erik")
    assert not account.verified
    path = link(settings, database, account, Purpose.VERIFY)
    assert "Open the account" in client.get(path).text
    assert not services_of(client).accounts.get("erik").verified, "a program that only looks changes nothing"
    assert "Your account is open" in client.post(path, headers=SAME_ORIGIN).text
    assert client.post(path, headers=SAME_ORIGIN).status_code == 404
    again = client.post("/login", data={"name": "erik", "password": NEW, "next": "/account"}, headers=SAME_ORIGIN)
    assert again.location == "/account"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "not a name"}, "name"),
        ({"name": "DORA"}, "name"),
        ({"email": "nowhere"}, "email"),
        ({"password": "short"}, "password"),
    ],
    ids=["bad name", "taken name", "no address", "short password"],
)
@pytest.mark.usefixtures("dora")
def test_a_form_that_is_refused_keeps_what_was_typed_and_names_the_field(
    client: FlaskClient, changes: dict[str, str], field: str
) -> None:
    form = {"name": "erik", "email": "erik@example.org", "password": NEW, **changes}
    answer = client.post("/register", data=form, headers=SAME_ORIGIN)
    assert answer.status_code == 400
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"[^>]*aria-describedby="{field}-error', answer.text)
    assert re.findall(r'id="([a-z]+)-error"', answer.text) == [field]
    for name in ("name", "email"):
        assert f'value="{form[name]}"' in answer.text
    assert form["password"] not in answer.text


@pytest.mark.usefixtures("dora")
def test_registering_tells_nobody_whether_an_address_has_an_account(client: FlaskClient) -> None:
    pages = [
        client.post("/register", data={"name": name, "email": email, "password": NEW}, headers=SAME_ORIGIN)
        for name, email in (("erik", "DORA@example.org"), ("fred", "fred@example.org"))
    ]
    assert [page.status_code for page in pages] == [200, 200]
    texts = [page.text.replace("DORA@", "X@").replace("fred@", "X@") for page in pages]
    assert texts[0] == texts[1]


def test_a_server_on_which_only_the_operator_makes_accounts_says_so(settings: Settings, engine: Engine) -> None:
    closed = create_app(settings.model_copy(update={"open_registration": False}), engine).test_client()
    page = closed.get("/register")
    assert "<form" not in page.text.partition("<main")[2]
    form = {"name": "erik", "email": "erik@example.org", "password": NEW}
    assert closed.post("/register", data=form, headers=SAME_ORIGIN).status_code == 403


@pytest.mark.usefixtures("dora")
def test_a_forgotten_password_is_asked_for_in_the_same_words_for_everybody(client: FlaskClient) -> None:
    pages = [
        client.post("/reset", data={"name": name}, headers=SAME_ORIGIN)
        for name in ("dora", "nobody", "dora@example.org", "nobody@example.org")
        for _ in range(4)  # only three of them are sent a mail
    ]
    assert {(page.status_code, page.text) for page in pages} == {(200, pages[0].text)}
    assert client.post("/reset", data={"name": " "}, headers=SAME_ORIGIN).status_code == 400


def test_a_new_password_is_chosen_by_a_link_once(
    client: FlaskClient, settings: Settings, database: Database, dora: Account
) -> None:
    path = link(settings, database, dora, Purpose.RESET)
    assert "dora" in client.get(path).text
    short = client.post(path, data={"password": "short"}, headers=SAME_ORIGIN)
    assert (short.status_code, 'id="password-error"' in short.text) == (400, True)
    assert client.post(path, data={"password": NEW}, headers=SAME_ORIGIN).status_code == 200
    assert client.get(path).status_code == 404
    assert client.post(path, data={"password": NEW}, headers=SAME_ORIGIN).status_code == 404
    login = {"name": "dora", "password": NEW}
    assert client.post("/login", data=login, headers=SAME_ORIGIN).status_code == 303


# --- the account -----------------------------------------------------------------------------------------


def test_a_password_is_changed_by_the_old_one_and_other_sessions_end(client: FlaskClient, dora: Account) -> None:
    elsewhere = client.application.test_client()
    for browser in (client, elsewhere):
        log_in(browser, dora)
    wrong = client.post("/account/password", data={"current": "no", "password": NEW}, headers=SAME_ORIGIN)
    assert (wrong.status_code, 'id="current-error"' in wrong.text) == (403, True)
    short = client.post("/account/password", data={"current": PASSWORD, "password": "x"}, headers=SAME_ORIGIN)
    assert (short.status_code, 'id="password-error"' in short.text) == (400, True)
    done = client.post("/account/password", data={"current": PASSWORD, "password": NEW}, headers=SAME_ORIGIN)
    assert (done.status_code, done.location) == (303, "/account?done=password")
    assert "Your password is changed." in client.get(done.location).text
    assert elsewhere.get("/account").status_code == 303


def test_a_token_is_shown_once_works_and_is_revoked(client: FlaskClient, dora: Account) -> None:
    log_in(client, dora)
    form = {"name": "Nightly", "lifetime": "30", "scopes": ["read", "upload"]}
    made = client.post("/account/tokens", data=form, headers=SAME_ORIGIN)
    assert made.status_code == 201
    found = re.search(r'data-copy="([^"]+)"', made.text)
    assert found is not None
    identity = services_of(client).tokens.check(found[1])
    assert (identity.name, identity.scopes) == ("dora", frozenset({Scope.READ, Scope.UPLOAD}))
    page = client.get("/account").text
    assert "Nightly" in page
    assert found[1] not in page
    assert "last used" in page
    (token,) = services_of(client).tokens.list_tokens(dora.user_id)
    gone = client.post(f"/account/tokens/{token.token_id}/revoke", headers=SAME_ORIGIN)
    assert gone.location == "/account?done=revoked"
    assert services_of(client).tokens.list_tokens(dora.user_id) == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": " "}, "token-name-error"),
        ({"scopes": []}, "scopes-error"),
        ({"scopes": ["everything"]}, "scopes-error"),
        ({"lifetime": "7"}, "lifetime-error"),
    ],
    ids=["no name", "no scope", "unknown scope", "another lifetime"],
)
def test_a_token_that_cannot_be_made_says_why(
    client: FlaskClient, dora: Account, changes: dict[str, object], error: str
) -> None:
    log_in(client, dora)
    form = {"name": "Nightly", "lifetime": "30", "scopes": ["read"], **changes}
    answer = client.post("/account/tokens", data=form, headers=SAME_ORIGIN)
    assert answer.status_code == 400
    assert re.findall(r'id="([a-z-]+-error)"', answer.text) == [error]
    assert services_of(client).tokens.list_tokens(dora.user_id) == []


def test_nobody_revokes_the_token_of_somebody_else(client: FlaskClient, database: Database, dora: Account) -> None:
    other = add_account(database, "erik")
    services_of(client).tokens.issue_api(other.user_id, "Nightly", ["read"], None)
    (token,) = services_of(client).tokens.list_tokens(other.user_id)
    log_in(client, dora)
    for number in (token.token_id, 10**30):
        assert client.post(f"/account/tokens/{number}/revoke", headers=SAME_ORIGIN).status_code == 404
    assert len(services_of(client).tokens.list_tokens(other.user_id)) == 1


# --- the audit log ---------------------------------------------------------------------------------------


def test_the_audit_log_is_for_operators_and_comes_in_pages(
    client: FlaskClient, database: Database, dora: Account
) -> None:
    log_in(client, dora)
    assert client.get("/audit").status_code == 403
    log_in(client, add_account(database, "olga", "operator"))
    for number in range(150):
        details = {"reason": "<b>", "number": number}
        services_of(client).audit.write(actor="erik", action="test", subject=f"mod:m {number}", details=details)
    first = client.get("/audit?actor=erik").text
    assert first.count("<tr>") == 101
    assert "reason: &lt;b&gt;; number: 149" in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = client.get(older[1].replace("&amp;", "&")).text
    assert second.count("<tr>") == 51
    assert 'rel="next"' not in second
    assert client.get("/audit?subject=mod:m").text.count("<tr>") == 101
    assert client.get("/audit?subject=mod:m+7").text.count("<tr>") == 2
    assert "No entry passes the filter" in client.get(f"/audit?actor=%22%3E%00&before={10**40}").text
    assert client.get("/audit?before=x").status_code == 200
