"""Webhooks: one try as a job function over a real socket, and the whole way through the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knossos.errors import InvalidInput
from knossos.jobs import Engine, JobNotFound, JobRecord, JobSpec, JobState
from knossos.outgoing import AddressRefused, AnswerTooSlow, BadRedirect, BrokenAnswer, UnreachableHost
from knossos.outgoing.webhook import WebhookFailed, check_webhook_url
from knossos.packaging.webhook import notify, webhook_spec
from knossos.settings import Settings
from tests.support.downloads import NotingReporter
from tests.support.file_server import Answer, Drip, FileServer, Refuse, Reset, Silent
from tests.support.processes import Process, wait_for

JSON = {"Content-Type": "application/json"}


class NotingContext(NotingReporter):
    """What a job function is given, as far as a webhook needs it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.attempt, self.attempts = 2, 5
        self.forgotten: list[int] = []
        self.engine: Any = self

    def forget(self, ticket: int) -> None:
        self.forgotten.append(ticket)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> NotingContext:
    settings = Settings(
        data_path=tmp_path, allowed_private_networks=("127.0.0.0/8",), read_timeout_seconds=1.5, webhook_tries=5
    )
    return NotingContext(settings)


def run(context: Any, url: str) -> dict[str, Any]:
    return notify(context, {"url": url, "ticket": 17})


def test_the_url_is_told_the_ticket_in_a_form(server: FileServer, context: NotingContext) -> None:
    url = server.handle("/hook", lambda request: Answer(200, JSON, b'{"ok": true}'))
    assert run(context, url + "?key=1") == {"status": 200, "cancelled": False}
    (request,) = server.asked("/hook")
    assert (request.method, request.query, request.form) == ("POST", "key=1", {"ticket": "17"})
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert context.forgotten == []
    assert [line.split(":")[0] for line in context.lines] == ["INFO", "INFO"]
    assert "Try 2 of 5" in context.lines[0]


def test_the_answer_cancelled_makes_the_server_forget_the_ticket(server: FileServer, context: NotingContext) -> None:
    url = server.handle("/hook", lambda request: Answer(200, JSON, b'{"cancelled": true}'))
    assert run(context, url) == {"status": 200, "cancelled": True}
    assert context.forgotten == [17]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"thanks",
        b"true",
        b'["cancelled"]',
        b'{"cancelled": "true"}',
        b'{"cancelled": 1}',
        b"[" * 50_000,
        b'{"cancelled": true}' + b" " * 70_000,
        b"\xff\xfe",
    ],
)
def test_any_other_answer_forgets_nothing_and_is_good(
    server: FileServer, context: NotingContext, answer: bytes
) -> None:
    url = server.handle("/hook", lambda request: Answer(204 if not answer else 200, JSON, answer))
    assert run(context, url)["cancelled"] is False
    assert context.forgotten == []


@pytest.mark.parametrize("fault", [Silent(after=2), Reset(after=2), Drip(piece=1, pause=0.02)])
def test_an_accepted_webhook_whose_answer_breaks_is_not_sent_again(
    server: FileServer, context: NotingContext, fault: Any
) -> None:
    url = server.file("/hook", b'{"cancelled": true}' + b" " * 1000, always=fault)
    assert run(context, url) == {"status": 200, "cancelled": False}
    assert any("could not be read" in line for line in context.lines)


@pytest.mark.parametrize(
    ("setup", "error"),
    [
        (lambda server: server.status("/hook", 500), WebhookFailed),
        (lambda server: server.status("/hook", 404), WebhookFailed),
        (lambda server: server.file("/hook", b"", always=Silent()), AnswerTooSlow),
        (lambda server: server.file("/hook", b"", always=Drip(piece=1, pause=0.02, head=True)), AnswerTooSlow),
        (lambda server: server.handle("/hook", lambda r: Answer(302, {"Location": "/hook"})), BadRedirect),
        (lambda server: server.file("/hook", b"", headers={f"x-{n}": "x" * 9000 for n in range(20)}), BrokenAnswer),
        (lambda server: "http://127.0.0.9:9/hook", UnreachableHost),
    ],
)
def test_a_try_that_fails_is_logged_and_left_to_the_engine(
    server: FileServer, context: NotingContext, setup: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        run(context, setup(server))
    assert context.lines[-1] == f"WARNING: It failed: {caught.value}"
    assert caught.value.retryable is (error is not BadRedirect)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "HTTP://LOCALHOST:1/x", "http://2130706433/", "http://[::1]/", "file:///etc/passwd"]
)
def test_a_private_address_is_refused_for_good(tmp_path: Path, url: str) -> None:
    context = NotingContext(Settings(data_path=tmp_path))
    with pytest.raises(AddressRefused) as caught:
        run(context, url)
    assert caught.value.retryable is False


def test_a_redirect_to_a_private_address_is_refused(server: FileServer, context: NotingContext) -> None:
    with pytest.raises(AddressRefused):
        run(context, server.redirect("/hook", "http://169.254.169.254/", 307))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://localhost/x",
        "http://0.0.0.0/",
        "http://u:p@example.org/",
        "http://127.0.0.1./",
        "http://[::1%25lo]/",
        "http://8.8.8.8%40127.0.0.1/",
        "http://8.8.8.8:0/",
        "https://example.org/" + "x" * 2000,
    ],
)
def test_a_bad_webhook_is_refused_when_it_comes_in(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_webhook_url(url, Settings(data_path=tmp_path))
    assert [error["path"] for error in caught.value.errors] == ["webhook"]


def test_a_good_webhook_is_taken_without_asking_a_name_server(tmp_path: Path) -> None:
    check_webhook_url("https://hooks.invalid/knossos?key=1", Settings(data_path=tmp_path))
    check_webhook_url("http://127.0.0.1:9/", Settings(data_path=tmp_path, allowed_private_networks=("127.0.0.0/8",)))


@pytest.mark.parametrize(("tries", "delays"), [(1, ()), (3, (10, 60)), (7, (10, 60, 300, 900, 900, 900))])
def test_the_job_is_tried_as_often_as_the_settings_say(tmp_path: Path, tries: int, delays: tuple[int, ...]) -> None:
    spec = webhook_spec("https://example.org/secret", "key:0", Settings(data_path=tmp_path, webhook_tries=tries))
    assert (spec.retries, spec.retry_delays_seconds) == (tries - 1, delays)
    assert spec.title == "Webhook of example.org"
    assert spec.payload == {"url": "https://example.org/secret"}
    assert spec.owner == "key:0"


# --- through the engine -------------------------------------------------------------------------------


def first_job(function: str, **payload: Any) -> JobSpec:
    return JobSpec(
        function=f"tests.support.jobs.{function}", kind="test", title="A", owner="key:a", payload=payload, retries=0
    )


def webhook_job(engine: Engine) -> JobRecord | None:
    """The follow-up, once it has ended."""
    found = engine.list_jobs(kind="webhook")
    return found[0] if found and found[0].state.finished else None


@pytest.mark.parametrize("function", ["echo", "fail"])
def test_the_end_of_a_task_good_or_bad_is_told_and_told_again_until_it_is_accepted(
    server: FileServer, engine: Engine, settings: Settings, start_worker: Callable[..., Process], function: str
) -> None:
    url = server.file("/hook", b"ok", faults=[Refuse(500)])
    spec = webhook_spec(url, "key:a", settings).model_copy(update={"retry_delays_seconds": (1, 1), "retries": 2})
    ticket = engine.submit(first_job(function), then=spec).ticket
    start_worker()
    record = wait_for(lambda: webhook_job(engine), "the webhook's end")
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
    assert [request.form for request in server.asked("/hook")] == [{"ticket": str(ticket)}] * 2
    lines = [event.data["text"] for event in engine.events(record.ticket) if event.type == "log"]
    assert lines[0].startswith("Try 1 of 3")
    assert "answers 500" in lines[1]
    assert lines[2].startswith("Try 2 of 3")


def test_a_webhook_that_is_refused_ends_at_once_and_one_that_cancels_makes_the_task_forgotten(
    server: FileServer, engine: Engine, settings: Settings, start_worker: Callable[..., Process]
) -> None:
    start_worker()
    refused = engine.submit(first_job("echo"), then=webhook_spec("http://10.0.0.1/", "key:a", settings)).ticket
    record = wait_for(lambda: webhook_job(engine), "the webhook's end")
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert record.failure is not None
    assert record.failure.code == "address_refused"
    assert engine.find(refused).state is JobState.SUCCEEDED
    engine.forget(record.ticket)
    url = server.handle("/hook", lambda request: Answer(200, JSON, b'{"cancelled": true}'))
    ticket = engine.submit(first_job("echo"), then=webhook_spec(url, "key:a", settings)).ticket
    wait_for(lambda: webhook_job(engine), "the webhook's end")
    with pytest.raises(JobNotFound):
        engine.find(ticket)
