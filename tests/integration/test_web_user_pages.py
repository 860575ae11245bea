"""``/users``: operators look through accounts, add, change and remove them, with plain forms."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Account
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.people import add_account, with_cheap_passwords
from tests.support.web import services_of

ORIGIN = {"Origin": "http://localhost"}
LONG = "another battery staple"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database) -> Account:
    return add_account(database, "dora", email="dora@example.org")


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    """Olga's, who operates the server."""
    third_party.install()
    more = {"role_permissions": {"curators": ("SCRIPTING:EXECUTE:*",)}, "name": "The lab"}
    made = with_cheap_passwords(create_app(settings.model_copy(update=more), engine)).test_client()
    made.set_cookie(COOKIE_NAME, services_of(made).sessions.issue(add_account(database, "olga", "operator")))
    return made


PAGES = ["/users", "/users/new", "/users/dora", "/users/dora/remove"]


@pytest.mark.parametrize("path", PAGES)
def test_only_operators_see_users(client: FlaskClient, dora: Account, path: str) -> None:
    assert client.get(path).status_code == 200
    assert client.post(path, data={}).status_code in (403, 405), "a form that no page of ours has sent"
    other = client.application.test_client()
    assert (other.get(path).location or "").startswith("/login?next=/users")
    other.set_cookie(COOKIE_NAME, services_of(client).sessions.issue(dora))
    assert other.get(path).status_code == 403
    if path != "/users":
        assert other.post(path, data={}, headers=ORIGIN).status_code == 403


def test_users_are_found_by_name_and_address(client: FlaskClient, dora: Account) -> None:
    assert ">dora</a>" in client.get("/users").text
    assert ">dora</a>" in client.get("/users?q=example").text
    assert "No user passes" in client.get("/users?q=nobody").text


def test_a_user_is_added_with_a_password_or_invited(client: FlaskClient) -> None:
    form = {"name": "erik", "password": LONG, "roles": "curators"}
    assert client.post("/users/new", data=form, headers=ORIGIN).location == "/users/erik?done=added"
    assert services_of(client).accounts.get("erik").roles == {"curators"}
    invited = client.post("/users/new", data={"name": "nora", "email": "n@example.org"}, headers=ORIGIN)
    assert "/reset/" in invited.text
    for form, field in (
        ({"name": "bad name", "password": LONG}, "name"),
        ({"name": "x"}, "password"),
        ({"name": "x", "email": "nowhere"}, "email"),
    ):
        answer = client.post("/users/new", data=form, headers=ORIGIN)
        assert answer.status_code == 400
        assert f'id="{field}-error"' in answer.text


def test_a_user_is_changed(client: FlaskClient, dora: Account) -> None:
    def send(**form: str) -> str | None:
        return client.post("/users/dora", data=form, headers=ORIGIN).location

    assert send(what="roles", roles="curators", admin="1") == "/users/dora?done=roles"
    assert services_of(client).accounts.get("dora").roles == {"curators", "operator"}
    assert send(what="email", email="d@example.org") == "/users/dora?done=email"
    assert send(what="password", password=LONG) == "/users/dora?done=password"
    assert services_of(client).logins.log_in("dora", LONG, "").email == "d@example.org"
    assert send(what="disabled") == "/users/dora?done=disabled"
    assert services_of(client).accounts.get("dora").disabled
    assert send(what="enabled") == "/users/dora?done=enabled"
    assert send(what="logout") == "/users/dora?done=logout"
    assert "/reset/" in client.post("/users/dora", data={"what": "reset"}, headers=ORIGIN).text
    answer = client.post("/users/olga", data={"what": "roles"}, headers=ORIGIN)
    assert (answer.status_code, "ask another operator" in answer.text) == (400, True)
    assert client.post("/users/nobody", data={"what": "disabled"}, headers=ORIGIN).status_code == 404


def test_a_user_is_removed_when_that_was_asked(client: FlaskClient, dora: Account) -> None:
    assert "This cannot be undone" in client.get("/users/dora/remove").text
    assert services_of(client).accounts.find("dora") is not None
    assert client.post("/users/dora/remove", headers=ORIGIN).location == "/users?removed=dora"
    assert services_of(client).accounts.find("dora") is None
    assert client.post("/users/olga/remove", headers=ORIGIN).status_code == 400


def test_the_menu_leads_operators_there_and_has_the_name_of_the_site(client: FlaskClient, dora: Account) -> None:
    page = client.get("/").text
    assert 'href="/users"' in page
    assert "· The lab</title>" in page
    other = client.application.test_client()
    other.set_cookie(COOKIE_NAME, services_of(client).sessions.issue(dora))
    assert 'href="/users"' not in other.get("/").text
