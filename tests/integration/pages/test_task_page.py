"""The page of one task: polling, cancelling, failures and what to do about them, the result, questions."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts.access import owner_of_account
from knossos.jobs import Engine, JobFailure, JobSpec, JobState
from knossos.settings import Settings
from knossos.web import create_app
from knossos.web.task_views import short_message
from tests.support import scenes
from tests.support.file_server import FileServer
from tests.support.pages import log_in
from tests.support.scenes import REPOSITORY, PlayedJob, free_worker

PICTURE = b"\x89PNG\r\n\x1a\n" + b"a picture"


def test_polling_tells_what_the_socket_would_and_goes_on_where_it_stopped(client: FlaskClient, engine: Engine) -> None:
    job = scenes.running(engine)
    first = messages(client, job)
    assert [one[0] for one in first][:2] == ["state", "state"]
    assert ["log_message", ["INFO: Downloading starlit-core.7z from downloads.example.org"]] in [m[:2] for m in first]
    assert messages(client, job, first[-1][2]) == []
    job.log("one more")
    job.succeed(REPOSITORY)
    rest = messages(client, job, first[-1][2])
    assert rest[0][:2] == ["log_message", ["INFO: one more"]]
    assert rest[-1][:2] == ["done", [True, {"state": "succeeded", "failure": None}]]


def messages(client: FlaskClient, job: PlayedJob, after: str = "0-0") -> list[Any]:
    answer = client.get(f"/api/tasks/{job.ticket}/events?token={job.token}&after={after}").json
    assert answer is not None
    found: list[Any] = answer["messages"]
    return found


def test_a_bad_place_to_go_on_from_is_a_400(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine)
    for after in ("x", "1", "", "1-1-1"):
        answer = client.get(f"/api/tasks/{job.ticket}/events?token={job.token}&after={after}")
        assert answer.status_code == 400


def test_a_task_is_cancelled_with_its_token_once(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine)
    path = f"/api/tasks/{job.ticket}/cancel"
    assert client.post(path).status_code == 404
    assert client.post(f"{path}?token={job.token}").status_code == 200
    assert engine.find(job.ticket).state is JobState.CANCELLED
    again = client.post(f"{path}?token={job.token}")
    assert (again.status_code, again.json["message"]) == (400, "The task has ended already.")  # type: ignore[index]


def test_a_failure_names_the_file_the_links_and_what_to_do(client: FlaskClient, engine: Engine) -> None:
    job = scenes.failed(engine)
    failure = client.get(f"/api/tasks/{job.ticket}?token={job.token}").json["failure"]  # type: ignore[index]
    (reason,) = failure["reasons"]
    assert reason["message"] == "compass.7z could not be downloaded from any of its 2 links."
    assert reason["facts"] == {
        "Mod": ["broken-compass"],
        "Package": ["Core"],
        "Links": [
            "https://downloads.example.org/compass/compass.7z: the server answers 404 (there is no such file)",
            "https://mirror.example.net/compass.7z is refused: its host leads to an address that is not public; "
            "the operator can allow it in ALLOWED_PRIVATE_NETWORKS",
        ],
    }
    assert (reason["advice"], "Check that the links open" in failure["advice"]) == ("", True)


def test_reasons_of_several_kinds_have_an_advice_each(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine).start()
    files = [
        {"file": "a.7z", "code": code, "message": "a.7z is bad"} for code in ("archive_damaged", "archive_encrypted")
    ]
    message = "2 of 2 files failed.\na.7z is bad\na.7z is bad"
    job.fail(JobFailure(code="conversion_failed", message=message, details={"files": files}))
    failure = client.get(f"/api/tasks/{job.ticket}?token={job.token}").json["failure"]  # type: ignore[index]
    assert failure["advice"] == ""
    assert ["Upload it anew" in one["advice"] for one in failure["reasons"]] == [True, False]
    assert "without a password" in failure["reasons"][1]["advice"]


@pytest.mark.parametrize(
    ("codes", "advice"),
    [
        (["address_refused"], "public addresses only"),
        (["unreachable", "link_failed"], "submit again later"),
        (["unreachable", "link_refused"], "Check that the links open"),
    ],
)
def test_what_to_do_about_links_depends_on_how_they_failed(
    client: FlaskClient, engine: Engine, codes: list[str], advice: str
) -> None:
    job = PlayedJob(engine).start()
    links = [{"url": "http://x/a", "reason": "http://x/a: no", "code": code} for code in codes]
    files = [{"file": "a.7z", "code": "download_failed", "message": "a.7z: no", "links": links}]
    job.fail(JobFailure(code="conversion_failed", message="a.7z: no", details={"files": files}))
    failure = client.get(f"/api/tasks/{job.ticket}?token={job.token}").json["failure"]  # type: ignore[index]
    assert advice in failure["advice"]
    assert failure["reasons"][0]["facts"]["Links"] == ["http://x/a: no"] * len(links)


def test_a_bomb_is_not_to_be_split(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine).start()
    files = [
        {"file": "a.7z", "code": "archive_too_big", "message": "a.7z: bomb", "limit": "ratio", "url": "http://x/a"}
    ]
    job.fail(JobFailure(code="conversion_failed", message="a.7z: bomb", details={"files": files}))
    failure = client.get(f"/api/tasks/{job.ticket}?token={job.token}").json["failure"]  # type: ignore[index]
    assert "nothing but zeros" in failure["advice"]
    assert failure["reasons"][0]["facts"]["Link"] == ["http://x/a"]


def test_the_list_says_of_a_failure_what_matters_first() -> None:
    def of(files: list[Any], message: str = "All.\nMore.") -> str:
        return short_message(JobFailure(code="conversion_failed", message=message, details={"files": files}))

    links = [{"url": "http://x/a", "reason": "http://x/a: the server answers 404"}, {"url": "http://y/a", "reason": ""}]
    assert of([{"file": "a.zip", "links": links}]) == "a.zip: the server answers 404; http://y/a"
    assert of([{"file": "a.zip", "message": "a.zip is bad\nlong"}] * 3) == "a.zip is bad (and 2 more)"
    assert of([]) == "All."
    assert of([], "") == ""


def test_a_description_is_given_back_as_it_was_sent_and_only_to_those_who_control_the_task(
    client: FlaskClient, engine: Engine
) -> None:
    text = '{"id" : "tiny",  "title": "Tiny \u00e4", "version": "3.7", "packages": [], "unknown": 1}'
    form = {"passwd": "key-of-the-tests", "data": text}
    task = client.post("/api/converter/request", data=form).json
    assert task is not None
    path = f"/api/tasks/{task['ticket']}/description"
    assert client.get(path).status_code == 404
    answer = client.get(f"{path}?token={task['token']}")
    assert (answer.text, answer.mimetype) == (text, "application/json")


def test_a_description_that_was_not_sent_as_text_is_given_back_as_it_was_understood(
    client: FlaskClient, engine: Engine
) -> None:
    request = {"mods": [{"id": "tiny"}], "warnings": ["x: this key is not known"]}
    made = engine.submit(JobSpec(function="f", kind="conversion", title="T", owner="o", payload={"request": request}))
    other = engine.submit(JobSpec(function="f", kind="webhook", title="T", owner="o", payload={"request": request}))
    answer = client.get(f"/api/tasks/{made.ticket}/description?token={made.token}")
    assert answer.json == {"mods": [{"id": "tiny"}]}
    assert client.get(f"/api/tasks/{other.ticket}/description?token={other.token}").status_code == 404


def test_what_a_task_is_at_fits_its_state(client: FlaskClient, engine: Engine) -> None:
    def stage() -> str:
        answer = client.get(f"/api/tasks/{job.ticket}?token={job.token}").json
        assert answer is not None
        assert answer["stage"] in client.get(f"/watch/{job.ticket}?token={job.token}").text
        return str(answer["stage"])

    job = PlayedJob(engine)
    seen = [stage()]
    with free_worker(engine):
        seen.append(stage())
    job.start()
    seen.append(stage())
    job.progress(0.5, "Reading a.7z")
    seen.append(stage())
    job.cancelled("Cancelled by dora.")
    seen.append(stage())
    assert seen == [
        "No worker is running; this begins when one is started.", "Waits for a free worker.",
        "A worker has started this task.", "Reading a.7z", "Cancelled by dora.",
    ]  # fmt: skip


def test_it_is_written_down_who_cancelled(client: FlaskClient, settings: Settings, engine: Engine) -> None:
    by_link, by_account = PlayedJob(engine), PlayedJob(engine, owner=owner_of_account("dora"))
    client.post(f"/api/tasks/{by_link.ticket}/cancel?token={by_link.token}")
    log_in(client, settings, "dora")
    client.post(f"/api/tasks/{by_account.ticket}/cancel", headers={"Origin": "http://localhost"})
    failures = [engine.find(job.ticket).failure for job in (by_link, by_account)]
    assert [failure.message for failure in failures if failure] == [
        "Cancelled on its page by somebody who has its link.",
        "Cancelled by dora.",
    ]


def test_who_names_an_event_that_never_was_is_told_everything_of_a_task_that_has_ended(
    client: FlaskClient, engine: Engine
) -> None:
    job = PlayedJob(engine).start()
    assert messages(client, job, "9999999999999-0") == []
    job.succeed({})
    assert messages(client, job, "9999999999999-0") == messages(client, job) != []
    assert messages(client, job, messages(client, job)[-1][2]) == []


def test_a_failure_of_another_kind_has_its_message_and_an_advice(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine).start()
    job.fail(JobFailure(code="timeout", message="The task took too long.", details={"files": "x", "mods": [1]}))
    failure = client.get(f"/api/tasks/{job.ticket}?token={job.token}").json["failure"]  # type: ignore[index]
    assert failure["message"] == "The task took too long."
    assert [reason["message"] for reason in failure["reasons"]] == [""]
    assert "longer than this server allows" in failure["advice"]


def test_the_result_is_a_file_named_after_the_mod(client: FlaskClient, engine: Engine) -> None:
    job = scenes.succeeded(engine)
    answer = client.get(f"/api/tasks/{job.ticket}/result?token={job.token}")
    assert answer.headers["Content-Disposition"] == "attachment; filename=Starlit-Passage-1.2.0.json"
    assert json.loads(answer.text) == REPOSITORY


def test_the_tree_has_the_sizes_of_files_in_archives_that_this_machine_knows(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    job = scenes.succeeded(engine)
    path = f"/api/tasks/{job.ticket}/tree?token={job.token}"
    assert core(client, path)["total_bytes"] is None
    scenes.remember_sizes(settings)
    known = core(client, path)
    assert [entry for entry, size in known["entries"]][:2] == ["mod.ini", "data/missions/starlit-01.fs2"]
    assert all(size > 0 for _, size in known["entries"])
    assert known["total_bytes"] == sum(size for _, size in known["entries"])


def core(client: FlaskClient, path: str) -> Any:
    answer = client.get(path).json
    assert answer is not None
    return answer["mods"][0]["packages"][0]


def test_a_task_without_a_result_says_so(client: FlaskClient, engine: Engine) -> None:
    failed, running = PlayedJob(engine).start(), PlayedJob(engine)
    failed.fail(JobFailure(code="x", message="It broke."))
    for job, expected in ((failed, 404), (running, 409)):
        for name in ("result", "tree"):
            answer = client.get(f"/api/tasks/{job.ticket}/{name}?token={job.token}")
            assert (answer.status_code, answer.json["error"]) == (expected, True)  # type: ignore[index]


def test_the_picture_of_a_question_comes_through_this_server_only_and_needs_the_token(
    client: FlaskClient, engine: Engine
) -> None:
    with FileServer() as hoster:
        hoster.file("/captcha.png", PICTURE)
        job = scenes.asking(engine, hoster.url("/captcha.png"))
        path = f"/api/tasks/{job.ticket}/captcha"
        assert client.get(path).status_code == 404
        answer = client.get(f"{path}?token={job.token}")
        assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/png", PICTURE)
        job.take_back("question-1")
        assert client.get(f"{path}?token={job.token}").status_code == 404


def test_the_picture_that_came_with_the_question_is_not_fetched_again(client: FlaskClient, engine: Engine) -> None:
    job = PlayedJob(engine).start()
    inline = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    job.ask("question-1", "http://127.0.0.1:9/another-code.png", inline=inline)
    answer = client.get(f"/api/tasks/{job.ticket}/captcha?token={job.token}")
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/png", PICTURE)


def test_what_is_no_picture_and_what_may_not_be_reached_is_not_passed_on(
    client: FlaskClient, settings: Settings, engine: Engine
) -> None:
    with FileServer() as hoster:
        hoster.file("/captcha.png", b"<svg><script>alert(1)</script></svg>")
        hoster.file("/huge.png", PICTURE + bytes(2_000_000))
        guarded = create_app(settings.model_copy(update={"allowed_private_networks": ()}), engine).test_client()
        for who, address in (
            (client, hoster.url("/captcha.png")),
            (client, hoster.url("/huge.png")),
            (client, "file:///etc/passwd"),
            (client, "data:text/html;base64,PGI+"),
            (guarded, hoster.url("/captcha.png")),
        ):
            job = scenes.asking(engine, address)
            answer = who.get(f"/api/tasks/{job.ticket}/captcha?token={job.token}")
            assert 400 <= answer.status_code < 500
            assert answer.mimetype == "application/json"


def test_an_answer_reaches_the_open_question_only(client: FlaskClient, engine: Engine) -> None:
    job = scenes.asking(engine, "https://hoster.example/captcha.png")
    path = f"/api/tasks/{job.ticket}/answer"
    assert client.post(path, data={"value": "abc"}).status_code == 404
    for value in ("", "  ", "x" * 1001):
        assert client.post(path, data={"value": value, "token": job.token}).status_code == 400
    assert client.post(path, data={"value": " abc ", "token": job.token}).status_code == 200
    assert engine.redis.lrange(f"knossos:answer:{job.ticket}:question-1", 0, -1) == [b"abc"]
    job.take_back("question-1")
    late = client.post(path, data={"value": "abc", "token": job.token})
    assert (late.status_code, late.json["message"]) == (400, "No question is open any more.")  # type: ignore[index]
