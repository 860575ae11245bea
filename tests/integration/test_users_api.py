"""``/api/users``: operators add, change and remove accounts, and nothing of a removed one is left for a namesake."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Account
from knossos.accounts.tokens import Scope
from knossos.database import Database
from knossos.homes import Homes
from knossos.jobs import Engine
from knossos.publishing.tables import Member, Mod
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import new_run_id
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import PASSWORD, add_account, with_cheap_passwords
from tests.support.scenes import PlayedJob
from tests.support.web import log_in, services_of

LONG = "another battery staple"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database) -> Account:
    return add_account(database, "Dora", email="dora@example.org")


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    """Olga's, who operates the server."""
    made = with_cheap_passwords(create_app(settings, engine)).test_client()
    log_in(made, add_account(database, "olga", "operator"))
    return made


def actions(client: FlaskClient) -> list[str]:
    return [one.action for one in services_of(client).audit.latest(5, actor="olga")]


def test_only_operators_may_and_programs_with_the_scope(client: FlaskClient, dora: Account) -> None:
    other = client.application.test_client()
    asked = [("GET", "/api/users"), ("POST", "/api/users"), ("DELETE", "/api/users/dora"), ("PATCH", "/api/users/dora")]
    for method, path in asked:
        assert other.open(path, method=method, json={}).status_code == 401
    log_in(other, dora)
    for method, path in asked:
        assert other.open(path, method=method, json={}).status_code == 403
    olga = services_of(client).accounts.get("olga")
    tokens, program = services_of(client).tokens, client.application.test_client()
    good = tokens.issue_api(olga.user_id, "CI", [Scope.USERS], None)
    bad = tokens.issue_api(olga.user_id, "CI", set(Scope) - {Scope.USERS}, None)
    assert program.get("/api/users", headers={"Authorization": f"Bearer {good}"}).status_code == 200
    refused = program.get("/api/users", headers={"Authorization": f"Bearer {bad}"})
    assert (refused.status_code, "scope users" in refused.text) == (403, True)


def test_users_are_added_listed_in_pages_and_found(client: FlaskClient, dora: Account) -> None:
    for name in ("anna", "bert"):
        sent = {"name": name, "password": PASSWORD, "admin": name == "anna"}
        assert client.post("/api/users", json=sent).status_code == 200
    told = client.get("/api/users?limit=3").json
    assert told is not None
    assert [(one["name"], one["admin"]) for one in told["users"]] == [("anna", True), ("bert", False), ("Dora", False)]
    assert (told["total"], told["pages"]) == (4, 2)
    assert [one["name"] for one in (client.get("/api/users?limit=3&page=2").json or {})["users"]] == ["olga"]
    assert [one["name"] for one in (client.get("/api/users?q=EXAMPLE.org").json or {})["users"]] == ["Dora"]
    assert (client.get("/api/users?q=%25").json or {})["total"] == 0
    assert "user.add" in actions(client)


def test_an_invitation_is_a_link_where_there_is_no_mail(client: FlaskClient) -> None:
    told = client.post("/api/users", json={"name": "erik", "email": "erik@example.org"}).json
    assert told is not None
    assert not told["verified"]
    path = "/" + told["link"].split("/", 3)[3]
    answer = client.post(path, data={"password": LONG}, headers={"Origin": "http://localhost"})
    assert answer.status_code == 200
    assert services_of(client).logins.log_in("erik", LONG, "").verified


@pytest.mark.parametrize(
    ("sent", "field", "status"),
    [
        ({}, "name", 400),
        ({"name": "x"}, "password", 400),
        ({"name": "x", "password": "short"}, "password", 400),
        ({"name": "no name", "password": LONG}, "name", 400),
        ({"name": "DORA", "password": LONG}, "name", 409),
        ({"name": "x", "password": LONG, "email": "dora@EXAMPLE.org"}, "email", 409),
        ({"name": "x", "password": LONG, "roles": ["king"]}, "roles", 400),
        ({"name": "x", "password": LONG, "roles": ["operator"]}, "roles", 400),
        ({"name": "x", "password": LONG, "admin": "yes"}, "admin", 400),
        ({"name": "x", "password": LONG, "colour": "red"}, "colour", 400),
    ],
)
@pytest.mark.usefixtures("dora")
def test_what_is_wrong_is_named_and_nothing_is_made(
    client: FlaskClient, sent: dict[str, Any], field: str, status: int
) -> None:
    answer = client.post("/api/users", json=sent)
    assert answer.status_code == status, answer.text
    assert [one["path"] for one in (answer.json or {})["errors"]] == [field]
    assert services_of(client).accounts.count() == 2


def test_a_change_is_made_whole_or_not_at_all(client: FlaskClient, dora: Account) -> None:
    refused = client.patch("/api/users/dora", json={"admin": True, "roles": ["king"], "disabled": True})
    assert refused.status_code == 400
    assert services_of(client).accounts.get("dora") == dora
    changed = client.patch("/api/users/dora", json={"admin": True, "email": None, "password": LONG})
    assert changed.status_code == 200
    assert ((changed.json or {})["admin"], (changed.json or {})["email"]) == (True, None)
    assert services_of(client).sessions.read(services_of(client).sessions.issue(dora)) is None
    assert services_of(client).logins.log_in("dora", LONG, "").is_operator
    assert {"user.roles", "user.email", "user.password"} <= set(actions(client))


def test_nobody_shuts_out_themselves_and_the_last_operator_stays(client: FlaskClient, dora: Account) -> None:
    for sent in ({"admin": False}, {"disabled": True}):
        assert client.patch("/api/users/olga", json=sent).status_code == 409
    assert client.delete("/api/users/olga").status_code == 409
    client.patch("/api/users/dora", json={"admin": True})
    log_in(client, services_of(client).accounts.get("dora"))
    assert client.patch("/api/users/olga", json={"admin": False}).status_code == 200
    assert client.patch("/api/users/dora", json={"admin": False}).status_code == 409


def test_a_namesake_of_a_removed_user_finds_nothing(
    client: FlaskClient, database: Database, engine: Engine, settings: Settings, dora: Account
) -> None:
    token = services_of(client).tokens.issue_api(dora.user_id, "CI", list(Scope), None)
    session, homes, now = services_of(client).sessions.issue(dora), Homes(settings), time.time()
    with homes.open(dora.user_id) as home, home.receive("secret.txt", 1) as upload:
        upload.write(b"x")
    waiting = PlayedJob(engine, owner="account:dora")
    row = {"kind": RunKind.HOME, "name": "sh", "owner": "account:dora", "arguments": "[]", "expires_at": now + 1000}
    ended, open_ = new_run_id(), new_run_id()
    with database.session() as rows:
        rows.add(ScriptRun(id=ended, **row, created_at=now, ticket=900, outcome="exited", shared_name="aa"))
        rows.add(ScriptRun(id=open_, **row, created_at=now, ticket=waiting.ticket, shared_name="bb"))
        mod = {"type": "mod", "created_at": now, "updated_at": now}
        rows.add(Mod(id="alpha", id_key="alpha", title="Alpha", **mod))
        rows.flush()
        rows.add(Member(mod_id="alpha", user_id=dora.user_id, role=0))
    gone = client.delete("/api/users/DORA")
    assert gone.json == {"error": False, "runs": 2, "mods": ["alpha"]}
    assert client.get("/api/users/dora").status_code == 404
    assert client.delete("/api/users/dora").status_code == 404
    other = client.application.test_client()
    other.set_cookie(COOKIE_NAME, session)
    assert other.get("/api/jobs").status_code == 401
    assert other.get("/api/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    namesake = add_account(database, "dora")
    log_in(other, namesake)
    assert other.get("/api/jobs").json == []
    assert other.get("/api/files/").json == []
    assert (other.get("/api/tasks").json or {})["tasks"] == []
    assert other.get(f"/api/runs/{ended}").status_code == 404
    assert list(settings.homes_folder.glob(".removed/*/secret.txt")), "the clean-up removes it, a day later"
    with database.reading() as rows:
        assert [(one.user_id, one.role) for one in rows.query(Member)] == [
            (services_of(client).accounts.get("olga").user_id, 0)
        ]
    assert actions(client)[0] == "user.remove"


def test_ten_thousand_users_are_asked_for_a_page_with_a_few_statements(client: FlaskClient, dora: Account) -> None:
    from sqlalchemy import event, insert

    from knossos.accounts.tables import User

    database = services_of(client).database
    rows = [
        {"name": f"u{n}", "name_key": f"u{n}", "password_hash": "x", "created_at": 1.0, "sessions_valid_from": 1.0}
        for n in range(10_000)
    ]
    with database.session() as session:
        session.execute(insert(User), rows)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    told = client.get("/api/users?q=u99&limit=50").json or {}
    assert (told["total"], len(told["users"])) == (111, 50)
    assert len([one for one in statements if one.startswith("SELECT")]) < 10
