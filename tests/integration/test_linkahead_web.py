"""The LinkAhead endpoints over HTTP: who may call what, what is refused and leaves nothing, logins, shared files."""

from __future__ import annotations

import logging
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import etree
from sqlalchemy import text
from werkzeug.test import TestResponse

from knossos.accounts import COOKIE_NAME, Account, Accounts
from knossos.database import Database
from knossos.jobs import Engine, JobState
from knossos.scripting.plan import FileRole, RunOutcome, TokenPlan
from knossos.scripting.run_records import Ending, KeptFile, run_prefix
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import CHEAP, PASSWORD, add_account
from tests.support.processes import wait_for
from tests.support.web import log_in, services_of

SAME_ORIGIN = {"Origin": "http://localhost"}
OTHER_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
#: What the client looks for in the header of a login's answer.
COOKIE = re.compile(r"^SessionToken=([^;]*);.*$")
#: MAX_CONTENT_LENGTH here.
MOST_BYTES = 2 * 1024 * 1024
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with scripts; nothing here runs them."""
    folder = tmp_path / "bin"
    for name in ("hello.sh", "open.sh", "tables/clean.sh"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    (folder / "plain.txt").write_text("no program")
    return folder


@pytest.fixture
def settings(settings: Settings, scripts: Path, tmp_path: Path) -> Settings:
    file = tmp_path / "tokens.yml"
    file.write_text("- {purpose: 'SCRIPTING:EXECUTE:hello.sh', roles: [table-keepers]}\n")
    more = {
        "server_side_scripting_bin_dirs": (str(scripts),),
        "role_permissions": {"curators": ("SCRIPTING:EXECUTE:tables/*", "SCRIPTING:EXECUTE:hello.sh")},
        "authtoken_config": str(file),
        "max_content_length": MOST_BYTES,
        "login_failures_per_account": 3,
    }
    return settings.model_copy(update=more)


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database) -> Account:
    """Somebody whose roles let her run some scripts."""
    add_account(database, "dora")
    return Accounts(database, CHEAP).set_roles("dora", ["curators"], more_roles=["curators"])


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    made = create_app(settings, engine).test_client()
    services_of(made).accounts._passwords = CHEAP
    return made


def start(client: FlaskClient, call: str = "hello.sh", **more: Any) -> TestResponse:
    """Call a script without waiting for it."""
    return client.post("/scripting", headers={"Prefer": "respond-async", **more}, data={"call": call})


def parsed(answer: TestResponse) -> Any:
    assert answer.mimetype == "text/xml"
    return etree.fromstring(answer.data)


def error_of(answer: TestResponse) -> str:
    """The description of an error, whose code is the status."""
    error = parsed(answer).find("Error")
    assert int(error.get("code")) == answer.status_code
    return str(error.get("description"))


def rows(database: Database, table: str = "script_runs") -> int:
    with database.reading() as session:
        return session.scalar(text(f"select count(*) from {table}")) or 0


def nothing_is_left(client: FlaskClient, database: Database) -> bool:
    services = services_of(client)
    stored = [path for path in (services.settings.data_path / "storage").rglob("*") if path.is_file()]
    return not stored and rows(database) == 0 and services.engine.list_jobs() == []


def finish(client: FlaskClient, stdout: bytes = b"", *, shared: tuple[str, ...] = (), **ending: Any) -> str:
    """Say of the newest run that it has ended, as a worker would; the name of its SHARED_DIR."""
    scripting = services_of(client).scripting
    run = scripting.runs.history(None)[0]
    kept = []
    for number, (role, name, data) in enumerate(
        [(FileRole.STDOUT, "stdout", stdout), *((FileRole.SHARED, name, name.encode()) for name in shared)]
    ):
        key = f"{run_prefix(run.run_id)}/{number}"
        scripting.storage.put_bytes(key, data)
        kept.append(KeptFile(number, role, name, len(data), key))
    scripting.runs.end(run.run_id, Ending(**{"outcome": RunOutcome.EXITED, "exit_code": 0, **ending}), kept)
    return run.shared_name


MULTIPART = "multipart/form-data; boundary=cut"


def part(field: str, data: bytes, filename: str | None = None) -> bytes:
    name = "" if filename is None else f'; filename="{filename}"'
    return b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (field.encode(), name.encode(), data)


# --- calling -------------------------------------------------------------------------------------------


def test_a_call_becomes_a_job_of_its_caller(client: FlaskClient, dora: Account, engine: Engine) -> None:
    log_in(client, dora)
    data = {"call": "tables/clean.sh", "-p0": "x y", "-Owidth": "3", "-p1": (BytesIO(b"a;b\n"), "dir/t.csv")}
    answer = client.post("/scripting", data=data, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")
    run = parsed(answer).find("run")
    assert run.findtext("call") == "tables/clean.sh --width=3 x y .upload_files/t.csv"
    record = engine.find(int(run.get("ticket")))
    assert (record.kind, record.owner, record.token) == ("script", "account:dora", run.get("token"))
    payload = engine.payload(record.ticket)
    assert payload["arguments"] == ["--width=3", "x y", ".upload_files/t.csv"]
    assert payload["token"]["user_id"] == dora.user_id
    (file,) = payload["inputs"]
    assert (file["name"], file["size"]) == ("t.csv", 4)
    scripting = services_of(client).scripting
    assert b"".join(scripting.storage.read(file["key"])) == b"a;b\n"
    assert scripting.runs.get(run.get("id")).arguments == ("--width=3", "x y", ".upload_files/t.csv")
    # The page and the status are for whoever has the token.
    client.delete_cookie(COOKIE_NAME)
    assert answer.headers["Location"] == run.get("page")
    assert client.get(run.get("status")).json["state"] == "queued"  # type: ignore[index]


def test_who_waits_is_answered_when_the_run_has_ended(
    client: FlaskClient, dora: Account, engine: Engine, database: Database
) -> None:
    log_in(client, dora)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.post, "/scripting", data={"call": "hello.sh", "-p0": "x"})
        wait_for(lambda: engine.list_jobs() and rows(database), "the job")
        finish(
            client,
            b"a\x00\x1b[1mb\r\n\xff<&",
            outcome=RunOutcome.TIMEOUT,
            exit_code=None,
            signal=9,
            error="It took too long.",
            dropped_bytes=7,
        )
        engine.cancel(engine.list_jobs()[0].ticket)
        answer = waiting.result(30)
    script = parsed(answer).find("script")
    assert answer.status_code == 200
    assert (script.get("code"), script.get("outcome"), script.get("dropped-bytes")) == ("137", "timeout", "7")
    assert script.findtext("call") == "hello.sh x"
    assert (
        script.findtext("stdout")
        == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[1mb\r\n\N{REPLACEMENT CHARACTER}<&"
    )
    assert script.findtext("stderr").splitlines() == [
        "It took too long.",
        "[The output was too long: 7 bytes of it were dropped.]",
    ]


def test_a_run_that_is_cancelled_in_the_queue_is_answered_too(
    client: FlaskClient, dora: Account, engine: Engine, database: Database
) -> None:
    log_in(client, dora)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.post, "/scripting", data={"call": "hello.sh"})
        ticket = wait_for(engine.list_jobs, "the job")[0].ticket
        wait_for(lambda: services_of(client).scripting.runs.of_ticket(ticket), "its run")
        engine.cancel(ticket, "Not today.")
        script = parsed(waiting.result(30)).find("script")
    assert (script.get("code"), script.get("outcome"), script.findtext("stderr")) == ("-1", "cancelled", "Not today.\n")
    assert script.find("stdout").text is None


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ({}, 400, "call: expected the name of a script"),
        ({"call": ""}, 400, "call: expected the name of a script"),
        ({"call": "hello.sh", "-x": "1"}, 400, "-x: expected -p"),
        ({"call": "hello.sh", "-Oauth-token": "mine"}, 400, "-Oauth-token: the server gives"),
        ({"call": "hello.sh", "-p0": "a\0b"}, 400, "-p0: expected a text without NUL bytes"),
        ({"call": "hello.sh", "-p0": "x" * 200_000}, 400, "-p0: with it the arguments take more"),
        ({"call": "hello.sh", **{f"-p{n}": "x" for n in range(10_000)}}, 400, "-p1000: expected at most"),
        ({"call": "tables/missing.sh"}, 404, "There is no script"),
        ({"call": "../bin/hello.sh"}, 404, "There is no script"),
        ({"call": "/bin/sh"}, 404, "There is no script"),
        ({"call": "plain.txt"}, 404, "There is no script"),
        ({"call": "open.sh"}, 403, "dora may not run open.sh"),
    ],
)
@pytest.mark.parametrize("with_file", [False, True])
def test_a_call_that_is_refused_leaves_nothing(
    client: FlaskClient,
    dora: Account,
    database: Database,
    data: dict[str, Any],
    status: int,
    words: str,
    with_file: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    log_in(client, dora)
    if with_file:
        parts = [part(name, value.encode()) for name, value in data.items()]
        body = b"".join([*parts, part("file", b"x" * 300_000, "data.bin"), b"--cut--\r\n"])
        answer = client.post("/scripting", data=body, content_type=MULTIPART)
    else:
        answer = client.post("/scripting", data=data)
    assert answer.status_code == status
    assert words in error_of(answer)
    assert f"POST /scripting is refused: {words}" in caplog.text
    assert nothing_is_left(client, database)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("-p0", "../x"), ("-p1", "a/x")], "-p1: a file that is called 'x' came with the field '-p0' already"),
        ([("-p0", "..")], "-p0: expected a file with a name"),
        ([("-p0", ".bashrc")], "-p0: expected a file's name that does not begin with a dot"),
        ([("-p0", "a\x01b")], "-p0: expected a file's name without control characters"),
        ([("-p0", "x" * 300)], "-p0: expected a file's name of at most 255 bytes"),
        ([("-q", "a.txt")], "-q: expected -p"),
    ],
)
def test_files_with_names_that_cannot_be_are_refused(
    client: FlaskClient, dora: Account, database: Database, files: list[tuple[str, str]], words: str
) -> None:
    log_in(client, dora)
    parts = [part("call", b"hello.sh"), *(part(field, b"data", name) for field, name in files)]
    answer = client.post("/scripting", data=b"".join([*parts, b"--cut--\r\n"]), content_type=MULTIPART)
    assert (answer.status_code, error_of(answer)[: len(words)]) == (400, words)
    assert nothing_is_left(client, database)


def test_a_field_for_a_file_that_nobody_chose_is_no_argument(
    client: FlaskClient, dora: Account, engine: Engine
) -> None:
    log_in(client, dora)
    body = part("call", b"hello.sh") + part("-p0", b"", "") + part("-p1", b"x") + b"--cut--\r\n"
    answer = client.post("/scripting", data=body, content_type=MULTIPART, headers={"Prefer": "respond-async"})
    assert engine.payload(int(parsed(answer).find("run").get("ticket")))["arguments"] == ["x"]
    named = client.post("/scripting", data=part("call", b"hello.sh") + part("-p0", b"x", "") + b"--cut--\r\n",
                        content_type=MULTIPART)  # fmt: skip
    assert error_of(named) == "-p0: expected a file with a name"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"call": "hello.sh"}', "application/json", 400),
        (b"--cut\r\nContent-Disp", MULTIPART, 400),
        (part("call", b"hello.sh") + part("-p0", b"x", "a.txt"), MULTIPART, 400),
        (b"call=hello.sh", "multipart/form-data", 400),
        (b"\xff\xfe=1&call=hello.sh", FORM, 400),
        (b"%ff=1&call=hello.sh", FORM, 400),
        (b"&a" * 5000 + b"&call=hello.sh", FORM, 400),
        (b"call=hello.sh&x=" + b"x" * MOST_BYTES, FORM, 413),
        (part("call", b"hello.sh") + part("f", b"x" * MOST_BYTES, "f") + b"--cut--\r\n", MULTIPART, 413),
    ],
)
def test_a_body_that_is_no_form_or_too_long_is_refused(
    client: FlaskClient, dora: Account, database: Database, body: bytes, kind: str, status: int
) -> None:
    log_in(client, dora)
    answer = client.post("/scripting", data=body, content_type=kind)
    assert answer.status_code == status
    assert error_of(answer)
    assert nothing_is_left(client, database)


def test_what_is_no_call_at_all_is_refused_in_xml_too(client: FlaskClient) -> None:
    for answer in (client.get("/scripting"), client.post("/Info"), client.get("/Shared/x/")):
        assert answer.status_code in (404, 405)
        assert error_of(answer)


def test_nothing_stays_where_the_queue_does_not_answer(settings: Settings, database: Database, dora: Account) -> None:
    away = settings.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    client = create_app(away, Engine(away, patience_seconds=0)).test_client()
    log_in(client, dora)
    answer = client.post("/scripting", data={"call": "hello.sh", "-p0": (BytesIO(b"x"), "x")})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert error_of(answer)
    assert not [path for path in (settings.data_path / "storage").rglob("*") if path.is_file()]
    assert rows(database) == 0


# --- who may -------------------------------------------------------------------------------------------


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


# --- logins --------------------------------------------------------------------------------------------


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


# --- tokens of runs ------------------------------------------------------------------------------------


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


# --- shared files --------------------------------------------------------------------------------------


def test_what_a_script_shared_is_for_those_who_could_run_it(
    client: FlaskClient, dora: Account, database: Database
) -> None:
    log_in(client, dora)
    start(client)
    folder = finish(client, shared=("log/report.html", "data.bin", "t.csv"))
    page = client.get(f"/Shared/{folder}/log/report.html")
    assert (page.status_code, page.data, page.content_type) == (200, b"log/report.html", "text/html; charset=utf-8")
    assert page.headers["Content-Disposition"] == "inline; filename*=UTF-8''report.html"
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in page.headers
    file = client.get(f"/Shared/{folder}/data.bin", headers={"Range": "bytes=2-4"})
    assert (file.status_code, file.data) == (206, b"ta.")
    assert file.headers["Content-Disposition"].startswith("attachment")
    for missing in ("nothing", "log", "../data.bin", "stdout"):
        assert client.get(f"/Shared/{folder}/{missing}").status_code == 404
    for none in ("nothing", "%00", "a" * 32, "x" * 5000):
        assert client.get(f"/Shared/{none}/data.bin").status_code == 404
    client.delete_cookie(COOKIE_NAME)
    assert client.get(f"/Shared/{folder}/data.bin").status_code == 401
    log_in(client, add_account(database, "erik"))
    assert client.get(f"/Shared/{folder}/data.bin").status_code == 403
    Accounts(database, CHEAP).set_roles("erik", ["curators"], more_roles=["curators"])
    assert client.get(f"/Shared/{folder}/data.bin").status_code == 200


def test_shared_files_go_when_their_time_is_over(client: FlaskClient, dora: Account, database: Database) -> None:
    log_in(client, dora)
    start(client)
    folder = finish(client, shared=("a.txt",))
    with database.session() as session:
        session.execute(text("update script_runs set expires_at = :now"), {"now": time.time() - 1})
    assert client.get(f"/Shared/{folder}/a.txt").status_code == 404


def test_whose_run_it_was_sees_its_files_without_the_role(
    client: FlaskClient, dora: Account, database: Database
) -> None:
    log_in(client, dora)
    start(client)
    folder = finish(client, shared=("a.txt",))
    Accounts(database, CHEAP).set_roles("dora", [])
    assert client.get(f"/Shared/{folder}/a.txt").status_code == 200
    assert os.listdir(services_of(client).scripting.storage.folder or "") == ["runs"]
