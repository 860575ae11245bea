"""Headers of every answer, errors, the log, static files, health."""

from __future__ import annotations

import logging
import re

import pytest
from flask.testing import FlaskClient

from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.scenes import PlayedJob


@pytest.mark.parametrize("path", ["/", "/converter", "/tasks", "/login", "/nothing", "/api/nothing", "/api/health"])
def test_every_answer_has_the_strict_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy.split("; ")
    assert "unsafe" not in policy
    assert "connect-src 'self' ws://localhost:8085" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/mods", "/converter", "/tasks", "/login", "/register", "/reset", "/nothing"])
def test_pages_hold_no_inline_script_or_style_and_name_no_other_server(client: FlaskClient, path: str) -> None:
    text = client.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', text)


def test_errors_are_json_for_programs_and_a_page_for_people(client: FlaskClient) -> None:
    for path, kind in (("/api/x", "application/json"), ("/x", "text/html")):
        assert client.get(path).mimetype == kind
        assert "entered the URL manually" not in client.get(path).text
    wrong_method = client.get("/api/converter/request")
    assert wrong_method.status_code == 405
    assert wrong_method.json["error"] is True  # type: ignore[index]
    assert "POST" in wrong_method.headers["Allow"]


def test_what_nobody_foresaw_says_nothing_of_the_inside(
    client: FlaskClient, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(ticket: int, **how: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(engine, "find", explode)
    for path in ("/watch/1", "/api/tasks/1"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


def test_the_log_has_a_line_for_each_request_and_never_a_token(
    client: FlaskClient, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    job = PlayedJob(engine)
    with caplog.at_level(logging.DEBUG, "knossos"):
        client.get(f"/watch/{job.ticket}?token={job.token}")
        client.post("/drop/1/secret-token/0")
    assert "GET /watch/<ticket:ticket> ticket=1 200" in caplog.text
    assert job.token not in caplog.text
    assert "secret-token" not in caplog.text


@pytest.mark.parametrize("host", ["x;script-src *", "a b", "<b>", "evil.example/", "x,y"])
def test_a_host_that_is_no_host_name_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert host not in answer.headers["Content-Security-Policy"]


def test_static_files_stay_in_the_browser_until_they_change(client: FlaskClient) -> None:
    page = client.get("/converter").text
    for path in re.findall(r'(?:src|href)="(/(?:static|third_party)/[^"]+)"', page):
        answer = client.get(path, buffered=True)
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["Cache-Control"]
        again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]}, buffered=True)
        assert again.status_code == 304
        old = client.get(re.sub(r"/[0-9a-f]{12}/", "/other/", path), buffered=True)
        assert "immutable" not in old.headers["Cache-Control"]
    for path in ("/static/x/../../conf/settings.py", "/static/x/%2e%2e/Makefile", "/third_party/x/../Makefile"):
        assert client.get(path).status_code == 404


def test_health_is_redis_health(client: FlaskClient, settings: Settings) -> None:
    assert client.get("/api/health").status_code == 200
    gone = settings.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    assert create_app(gone, Engine(gone, patience_seconds=0)).test_client().get("/api/health").status_code == 503
