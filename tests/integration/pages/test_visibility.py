"""Who sees which tasks, and requests that no client library sends."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from knossos.accounts.access import owner_of_account
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.pages import log_in
from tests.support.scenes import REPOSITORY, PlayedJob


@pytest.mark.parametrize("environ", [{"QUERY_STRING": "q=\xff"}, {"REQUEST_METHOD": ""}], ids=["bytes", "method"])
@pytest.mark.parametrize("path", ["/", "/mods", "/api/tasks", "/login", "/health"])
def test_what_is_no_request_is_no_error_of_ours(client: FlaskClient, path: str, environ: dict[str, str]) -> None:
    assert client.get(path, environ_overrides=environ).status_code < 500


def test_a_stranger_gets_the_same_page_for_a_hidden_task_as_for_none(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine)
    hidden, missing = client.get(f"/watch/{job.ticket}"), client.get("/watch/999")
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.text.replace(f"task {job.ticket} ", "task 999 ") == missing.text
    assert client.get(f"/watch/{job.ticket}?token={job.token}").status_code == 200


def test_an_open_server_shows_a_task_but_gives_away_neither_token_nor_result(
    settings: Settings, engine: Engine
) -> None:
    job = PlayedJob(engine).start()
    job.succeed(REPOSITORY)
    opened = create_app(settings.model_copy(update={"open_watch": True}), engine).test_client()
    for name in ("", "/events"):
        assert opened.get(f"/api/tasks/{job.ticket}{name}").status_code == 200
    for name in ("/result", "/tree"):
        assert opened.get(f"/api/tasks/{job.ticket}{name}").status_code == 404
    assert opened.post(f"/api/tasks/{job.ticket}/cancel").status_code == 404
    assert job.token not in opened.get(f"/watch/{job.ticket}").text


def test_the_list_has_all_tasks_for_an_operator_ones_own_for_an_account_and_none_for_a_stranger(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    own, other = PlayedJob(engine, owner=owner_of_account("dora")), PlayedJob(engine)
    assert client.get("/api/tasks").status_code == 403
    assert "Log in" in client.get("/tasks").text
    log_in(client, settings, "dora")
    assert tickets(client) == [own.ticket]
    log_in(client, settings, "olga", "operator")
    assert tickets(client) == [other.ticket, own.ticket]
    assert own.token not in client.get("/api/tasks").text
    opened = create_app(settings.model_copy(update={"open_task_list": True}), engine).test_client()
    release = PlayedJob(engine, title="Release of a private mod", kind="release")
    assert tickets(opened) == [other.ticket, own.ticket]
    assert tickets(client) == [release.ticket, other.ticket, own.ticket]


def tickets(client: FlaskClient, query: str = "") -> list[int]:
    answer = client.get(f"/api/tasks{query}").json
    assert answer is not None
    return [task["ticket"] for task in answer["tasks"]]


def test_the_list_comes_in_pages_and_is_not_sent_again_unchanged(settings: Settings, engine: Engine) -> None:
    opened = create_app(settings.model_copy(update={"open_task_list": True}), engine).test_client()
    made = [PlayedJob(engine).ticket for _ in range(260)]
    first = opened.get("/api/tasks")
    assert first.json is not None
    assert (len(first.json["tasks"]), first.json["more"]) == (250, True)
    assert tickets(opened, f"?before={made[10]}") == list(reversed(made[:10]))
    again = {"If-None-Match": first.headers["ETag"]}
    assert opened.get("/api/tasks", headers=again).status_code == 304
    engine.cancel(made[-1])
    assert opened.get("/api/tasks", headers=again).status_code == 200
