"""Calls over the LinkAhead endpoints: what becomes a job, what is refused and leaves nothing."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Account
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.plan import RunOutcome
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.linkahead import (
    MOST_BYTES,
    error_of,
    finish,
    nothing_is_left,
    parsed,
    rows,
)
from tests.support.processes import wait_for
from tests.support.web import log_in, services_of

FORM = "application/x-www-form-urlencoded"


MULTIPART = "multipart/form-data; boundary=cut"


def part(field: str, data: bytes, filename: str | None = None) -> bytes:
    name = "" if filename is None else f'; filename="{filename}"'
    return b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (field.encode(), name.encode(), data)


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
