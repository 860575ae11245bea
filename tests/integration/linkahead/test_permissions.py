"""Who may call which script over the LinkAhead endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Account
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.linkahead import (
    OTHER_SITE,
    SAME_ORIGIN,
    error_of,
    nothing_is_left,
    parsed,
    start,
)
from tests.support.people import add_account
from tests.support.web import log_in, services_of


def test_a_stranger_is_asked_to_log_in_and_not_told_which_scripts_there_are(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    assert [start(client, name).status_code for name in ("hello.sh", "nothing.sh", "")] == [401, 401, 401]
    grants = {"role_permissions": {"anonymous": ("SCRIPTING:EXECUTE:open.sh", "SCRIPTING:EXECUTE:gone.sh")}}
    opened = create_app(settings.model_copy(update=grants), engine).test_client()
    assert [start(opened, name).status_code for name in ("hello.sh", "nothing.sh", "gone.sh", "open.sh")] == [
        401, 401, 404, 202,
    ]  # fmt: skip
    assert engine.list_jobs()[0].owner == "anonymous"


def test_operators_may_run_all_scripts(client: FlaskClient, database: Database) -> None:
    log_in(client, add_account(database, "olga", "operator"))
    assert [start(client, name).status_code for name in ("hello.sh", "open.sh", "tables/clean.sh")] == [202] * 3


def test_a_cookie_counts_for_a_program_and_for_our_pages_but_not_for_another_site(
    client: FlaskClient, dora: Account
) -> None:
    log_in(client, dora)
    assert start(client).status_code == 202
    assert start(client, **SAME_ORIGIN).status_code == 202
    for headers in (OTHER_SITE, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        assert start(client, **headers).status_code == 401


def test_a_cookie_that_is_not_good_any_more_is_said_to_be(client: FlaskClient, dora: Account) -> None:
    for cookie in ("nonsense", "knossos-run-nonsense"):
        client.set_cookie(COOKIE_NAME, cookie)
        assert client.get("/Info").status_code == 401
        assert start(client).status_code == 401


def test_no_more_calls_wait_than_there_are_seats(client: FlaskClient, dora: Account, database: Database) -> None:
    log_in(client, dora)
    services = services_of(client)
    services.seats._of_one = 0
    answer = client.post("/scripting", data={"call": "hello.sh"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "respond-async" in error_of(answer)
    assert nothing_is_left(client, database)
    assert start(client).status_code == 202


def test_a_script_that_is_described_wrongly_is_not_run(client: FlaskClient, dora: Account, scripts: Path) -> None:
    log_in(client, dora)
    (scripts / "hello.sh.json").write_text('{"network": "perhaps"}')
    answer = start(client)
    assert answer.status_code == 500
    assert "hello.sh.json: network" in error_of(answer)


def test_what_is_wrong_with_the_settings_is_for_the_log(
    client: FlaskClient, dora: Account, settings: Settings, caplog: pytest.LogCaptureFixture, database: Database
) -> None:
    log_in(client, dora)
    Path(settings.authtoken_config).write_text("- purpose: x\n")
    answer = start(client)
    assert answer.status_code == 503
    assert "tokens.yml" not in answer.text
    assert "tokens.yml: [0].purpose" in caplog.text
    assert nothing_is_left(client, database)


def test_a_script_gets_the_roles_of_its_entry(client: FlaskClient, dora: Account, engine: Engine) -> None:
    log_in(client, dora)
    ticket = parsed(start(client)).find("run").get("ticket")
    assert engine.payload(int(ticket))["token"]["roles"] == ["table-keepers"]
