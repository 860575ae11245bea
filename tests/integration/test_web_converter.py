"""The converter's HTTP protocol over the real engine and a real Redis."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from knossos.accounts import COOKIE_NAME
from knossos.accounts.access import owner_of_account, owner_of_key
from knossos.jobs import Engine, JobFailure, JobState
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import session_of
from tests.support.scenes import REPOSITORY, PlayedJob

KEY = "key-of-the-tests"
MOD: dict[str, Any] = {"id": "tiny", "title": "Tiny", "version": "3.7", "packages": []}
SAME_ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def client(settings: Settings, engine: Engine) -> Iterator[FlaskClient]:
    with create_app(settings, engine).test_client() as made:
        yield made


def client_with(settings: Settings, engine: Engine, **changes: Any) -> FlaskClient:
    return create_app(settings.model_copy(update=changes), engine).test_client()


def submit(client: FlaskClient, data: Any = MOD, key: str = KEY, **more: str) -> TestResponse:
    text = data if isinstance(data, str) else json.dumps(data)
    return client.post("/api/converter/request", data={"passwd": key, "data": text, **more})


def log_in(client: FlaskClient, settings: Settings, name: str, *roles: str) -> None:
    client.set_cookie(COOKIE_NAME, session_of(settings, name, *roles))


def test_a_request_is_answered_with_a_ticket_and_a_token_of_thirty_letters_and_digits(
    client: FlaskClient, engine: Engine
) -> None:
    answer = submit(client)
    assert answer.status_code == 200
    assert answer.json is not None
    assert set(answer.json) == {"ticket", "token"}
    assert len(answer.json["token"]) == 30
    assert answer.json["token"].isalnum()
    record = engine.find(answer.json["ticket"])
    assert (record.kind, record.title, record.owner) == ("conversion", "Tiny 3.7", owner_of_key(KEY))
    payload = engine.payload(record.ticket)
    assert payload["mirror_url"] == "http://localhost/mirror"
    assert payload["request"]["mods"][0]["version"] == "3.7"


def test_an_unknown_key_is_refused_with_the_old_text_and_nothing_is_queued(client: FlaskClient, engine: Engine) -> None:
    for key in ("wrong", "", KEY + "x", "schlüssel", "\ud800"[:0] + "\0"):
        answer = submit(client, key=key)
        assert (answer.status_code, answer.text) == (403, "Access denied")
    assert engine.list_jobs() == []


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,", "[" * 100_000, "9" * 5000, "NaN", "\0"])
def test_what_is_no_json_is_answered_in_the_shape_that_old_clients_know(
    client: FlaskClient, engine: Engine, text: str
) -> None:
    answer = submit(client, text)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["ticket"] is None
    assert answer.json["token"] is None
    assert answer.json["error"] is True
    assert answer.json["message"]
    assert engine.list_jobs() == []


@pytest.mark.parametrize(
    ("description", "path"),
    [
        ({"mods": [{**MOD, "version": "next week"}]}, "mods.0.version"),
        ({**MOD, "id": ".."}, "id"),
        ({"mods": [MOD], "includes": ["../conf/settings.py"]}, "includes"),
        ([MOD], ""),
        ("text", ""),
        ({"mods": []}, "mods"),
    ],
)
def test_what_breaks_the_schema_is_refused_with_its_path_and_nothing_is_queued(
    client: FlaskClient, engine: Engine, description: Any, path: str
) -> None:
    answer = submit(client, json.dumps(description))
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["error"] is True
    assert answer.json["ticket"] is None
    assert any(error["path"].startswith(path) for error in answer.json["errors"])
    assert all(error["message"] for error in answer.json["errors"])
    assert engine.list_jobs() == []


def test_a_description_that_is_too_large_is_refused_with_the_limits_name(settings: Settings, engine: Engine) -> None:
    client = client_with(settings, engine, max_description_bytes=1000)
    for size in (1001, 500_000):
        answer = submit(client, "x" * size)
        assert answer.status_code == 413
        assert answer.json is not None
        assert answer.json["error"] is True
        assert "MAX_DESCRIPTION_BYTES" in answer.json["message"]
    assert engine.list_jobs() == []


def test_a_description_near_the_limit_passes_however_it_is_encoded(settings: Settings, engine: Engine) -> None:
    description = json.dumps({**MOD, "description": "ö" * 700_000}, ensure_ascii=False)
    client = client_with(settings, engine, max_description_bytes=len(description.encode()))
    assert submit(client, description).json["ticket"]  # type: ignore[index]
    boundary, body = encode_multipart({"passwd": KEY, "data": description})
    content_type = f"multipart/form-data; boundary={boundary}"
    answer = client.post("/api/converter/request", data=body, content_type=content_type)
    assert answer.json["ticket"]  # type: ignore[index]


def test_a_webhook_becomes_a_task_that_follows_this_one(client: FlaskClient, engine: Engine) -> None:
    answer = submit(client, webhook=" http://127.0.0.1:8000/hook?secret=1 ")
    assert answer.json is not None
    follower, first = engine.list_jobs()
    assert (first.ticket, first.kind) == (answer.json["ticket"], "conversion")
    assert (follower.kind, follower.owner) == ("webhook", first.owner)
    payload = engine.payload(follower.ticket)
    assert (payload["url"], payload["ticket"]) == ("http://127.0.0.1:8000/hook?secret=1", first.ticket)
    assert retrieve(client, follower.ticket, follower.token).json["found"] is False  # type: ignore[index]


@pytest.mark.parametrize(
    "webhook",
    [
        "HTTP://LOCALHOST/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://[::1]/",
        "file:///etc/passwd",
        "x",
        "http://",
    ],
)
def test_a_webhook_that_may_not_be_reached_is_refused_with_its_path_and_nothing_is_queued(
    settings: Settings, engine: Engine, webhook: str
) -> None:
    guarded = client_with(settings, engine, allowed_private_networks=())
    answer = submit(guarded, webhook=webhook)
    assert answer.json is not None
    assert answer.json["error"] is True
    assert [error["path"] for error in answer.json["errors"]] == ["webhook"]
    assert engine.list_jobs() == []


def test_the_mirrors_address_is_the_settings_one_where_they_name_it(settings: Settings, engine: Engine) -> None:
    for changes, expected in (
        ({"mirror_url": "https://mirror.example/mods"}, "https://mirror.example/mods"),
        ({"public_url": "https://knossos.example"}, "https://knossos.example/mirror"),
    ):
        answer = submit(client_with(settings, engine, **changes))
        assert answer.json is not None
        assert engine.payload(answer.json["ticket"])["mirror_url"] == expected


def test_states_are_told_in_the_old_words(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine)
    assert status(client, job) == {"state": "WAITING", "time": engine.find(job.ticket).changed_at}
    job.start()
    assert status(client, job)["state"] == "WORKING"
    job.succeed(REPOSITORY)
    done = status(client, job)
    assert done["state"] == "DONE"
    assert isinstance(done["runtime"], float)
    failed, cancelled = PlayedJob(engine).start(), PlayedJob(engine)
    failed.fail(JobFailure(code="broken", message="It broke."))
    engine.cancel(cancelled.ticket)
    assert [status(client, one)["state"] for one in (failed, cancelled)] == ["DONE", "DONE"]
    assert status(client, cancelled)["runtime"] == 0.0


def status(client: FlaskClient, job: PlayedJob) -> dict[str, Any]:
    answer = client.get(f"/api/converter/get_status/{job.ticket}?token={job.token}")
    assert answer.status_code == 200
    assert isinstance(answer.json, dict)
    return answer.json


def test_a_status_answers_to_the_token_the_owner_and_an_operator_and_to_nobody_else(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    job = PlayedJob(engine, owner=owner_of_account("dora"))
    path = f"/api/converter/get_status/{job.ticket}"
    strange = [client.get(path), client.get(f"{path}?token=wrong"), client.get(f"{path}?token=%C3%A4")]
    missing = client.get("/api/converter/get_status/999")
    assert [answer.status_code for answer in [*strange, missing]] == [404] * 4
    assert strange[0].text.replace(str(job.ticket), "999") == missing.text, "a stranger learns that it exists"
    for name, roles, expected in (("dora", (), 200), ("other", (), 404), ("boss", ("operator",), 200)):
        log_in(client, settings, name, *roles)
        assert client.get(path).status_code == expected, name


def test_an_open_server_shows_a_status_to_whoever_knows_the_ticket(settings: Settings, engine: Engine) -> None:
    job = PlayedJob(engine)
    opened = client_with(settings, engine, open_watch=True)
    assert opened.get(f"/api/converter/get_status/{job.ticket}").status_code == 200


@pytest.mark.parametrize("ticket", ["999", "x", "-1", "1" * 5000, "1.5", "%00"])
def test_an_unknown_ticket_is_a_404_in_json(client: FlaskClient, ticket: str) -> None:
    answer = client.get(f"/api/converter/get_status/{ticket}")
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["error"] is True


def retrieve(client: FlaskClient, ticket: object, token: str) -> TestResponse:
    return client.post("/api/converter/retrieve", data={"ticket": str(ticket), "token": token})


def test_a_result_can_be_fetched_again_and_again(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine)
    waiting = {"json": None, "success": False, "finished": False, "found": True}
    assert retrieve(client, job.ticket, job.token).json == waiting
    job.start()
    assert retrieve(client, job.ticket, job.token).json == waiting
    job.succeed(REPOSITORY)
    for _ in range(2):
        answer = retrieve(client, job.ticket, job.token).json
        assert answer is not None
        assert (answer["success"], answer["finished"]) == (True, True)
        assert json.loads(answer["json"]) == REPOSITORY


def test_a_failed_and_a_cancelled_task_have_no_result(client: FlaskClient, engine: Engine) -> None:
    failed, cancelled = PlayedJob(engine).start(), PlayedJob(engine)
    failed.fail(JobFailure(code="broken", message="It broke."))
    engine.cancel(cancelled.ticket)
    for job in (failed, cancelled):
        answer = retrieve(client, job.ticket, job.token).json
        assert answer is not None
        assert (answer["json"], answer["success"], answer["finished"]) == (None, False, True)


def test_retrieving_with_a_wrong_token_is_refused_with_the_old_text(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    job = PlayedJob(engine, owner=owner_of_account("dora")).start()
    job.succeed(REPOSITORY)
    for token in ("", "wrong", job.token[:-1], "ä"):
        answer = retrieve(client, job.ticket, token)
        assert (answer.status_code, answer.text) == (403, "Failed to validate token!")
    opened = client_with(settings, engine, open_watch=True)
    assert retrieve(opened, job.ticket, "").status_code == 403, "an open server shows the status, not the result"


@pytest.mark.parametrize("ticket", ["999", "x", "", "-1", "1" * 5000, "\u0663", "1.0"])
def test_retrieving_what_does_not_exist_says_so(client: FlaskClient, ticket: str) -> None:
    answer = retrieve(client, ticket, "any")
    assert answer.json == {"json": None, "success": False, "finished": True, "found": False}


def test_only_an_operator_lists_all_tasks_unless_the_settings_open_the_list(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    job = PlayedJob(engine)
    assert client.get("/api/list_tasks").status_code == 403
    log_in(client, settings, "dora")
    assert client.get("/api/list_tasks").status_code == 403
    opened = client_with(settings, engine, open_task_list=True)
    log_in(client, settings, "boss", "operator")
    for allowed in (client, opened):
        answer = allowed.get("/api/list_tasks").json
        assert answer is not None
        assert answer[str(job.ticket)]["state"] == "WAITING"
        assert job.token not in json.dumps(answer)


def test_the_list_has_all_tasks_however_many(settings: Settings, engine: Engine) -> None:
    tickets = {str(PlayedJob(engine).ticket) for _ in range(620)}
    answer = client_with(settings, engine, open_task_list=True).get("/api/list_tasks").json
    assert answer is not None
    assert set(answer) == tickets


def test_a_visitor_who_is_logged_in_submits_without_a_key(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    log_in(client, settings, "dora")
    answer = client.post("/api/converter/request", data={"data": json.dumps(MOD)}, headers=SAME_ORIGIN)
    assert answer.json is not None
    assert engine.find(answer.json["ticket"]).owner == owner_of_account("dora")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_no_other_site_submits_or_cancels_in_a_visitors_name(
    client: FlaskClient, settings: Settings, engine: Engine, headers: dict[str, str]
) -> None:
    log_in(client, settings, "dora")
    answer = client.post("/api/converter/request", data={"data": json.dumps(MOD)}, headers=headers)
    assert (answer.status_code, answer.text) == (403, "Access denied")
    job = PlayedJob(engine, owner=owner_of_account("dora"))
    assert client.post(f"/api/tasks/{job.ticket}/cancel", headers=headers).status_code == 404
    assert engine.find(job.ticket).state is JobState.QUEUED


def test_a_proxy_that_is_trusted_says_what_address_the_visitor_used(settings: Settings, engine: Engine) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "knossos.example", "X-Forwarded-For": "1.2.3.4"}
    data = {"passwd": KEY, "data": json.dumps(MOD)}
    for proxies, expected in ((0, "http://localhost/mirror"), (1, "https://knossos.example/mirror")):
        client = client_with(settings, engine, trusted_proxies=proxies)
        answer = client.post("/api/converter/request", data=data, headers=forwarded)
        assert answer.json is not None
        assert engine.payload(answer.json["ticket"])["mirror_url"] == expected


def test_when_redis_is_gone_the_answer_is_a_503_in_json(settings: Settings) -> None:
    gone = Engine(settings.model_copy(update={"redis": "redis://127.0.0.1:1/0"}), patience_seconds=0)
    answer = submit(create_app(settings, gone).test_client())
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["error"] is True
    assert "127.0.0.1" not in answer.text


def test_a_client_that_knows_only_the_address_is_told_where_the_websockets_are(
    settings: Settings, engine: Engine
) -> None:
    session_of(settings, "dora")  # makes the tables
    told = client_with(settings, engine, ws_listen=("127.0.0.1", 9999)).get("/api/info").get_json()
    assert told["ws_url"] == "ws://localhost:9999"
    assert told["username"] is None
    assert told["version"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"id": "\\ud800", "title": "x", "version": "1.0.0", "packages": []}', "id"),
        ('"\\ud800"', ""),
        ('{"id": "a", "id": "b", "title": "x", "version": "1.0.0", "packages": []}', "id"),
    ],
)
def test_json_that_no_two_programs_read_alike_is_refused_with_its_places(
    client: FlaskClient, text: str, path: str
) -> None:
    answer = submit(client, text).json
    assert answer is not None
    assert (answer["ticket"], answer["error"]) == (None, True)
    assert [error["path"] for error in answer["errors"]] == [path]


def test_a_description_may_come_as_a_file_of_the_form(client: FlaskClient, settings: Settings, engine: Engine) -> None:
    def send(text: bytes) -> TestResponse:
        boundary, body = encode_multipart({"passwd": KEY, "data": FileStorage(io.BytesIO(text), "mod.json")})
        kind = f"multipart/form-data; boundary={boundary}"
        return client.post("/api/converter/request", data=body, content_type=kind)

    text = json.dumps(MOD).encode()
    answer = send(text).json
    assert answer is not None
    assert engine.payload(answer["ticket"])["description"] == text.decode()
    assert send(b"{nope").json["error"] is True  # type: ignore[index]
    assert send(b" " * (settings.max_description_bytes + 1)).status_code == 413
