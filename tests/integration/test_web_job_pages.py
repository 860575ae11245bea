"""Pages of people's own scripts over HTTP: who sees what, what a form sends, what is said where it cannot be sent."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.accounts import COOKIE_NAME, Account, Accounts
from knossos.database import Database
from knossos.homes.scripts import HomeScripts
from knossos.jobs import Engine
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.scripting.runs import Runs
from knossos.settings import Settings
from knossos.web import create_app, third_party
from knossos.web.job_views import place_in_line, script_text
from tests.support.people import add_account
from tests.support.scenes import PlayedJob
from tests.support.web import services_of

OWN = "http://localhost"


@pytest.fixture
def settings(settings: Settings, sqlite_template: Path) -> Settings:
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    more = {"command": "sh", "args": ("-s",), "max_running": 1, "max_script_bytes": 1000, "script_owner_runs": 60}
    return settings.model_copy(update=more)


@pytest.fixture
def people(settings: Settings) -> Iterator[dict[str, Account]]:
    database = Database(settings)
    names = (("dora",), ("emil",), ("olga", "operator"))
    yield {name: add_account(database, name, *roles) for name, *roles in names}
    database.close()


@pytest.fixture
def clients(settings: Settings, engine: Engine, people: dict[str, Account]) -> dict[str, FlaskClient]:
    third_party.install()
    app = create_app(settings, engine)
    found = {"": app.test_client()}
    for name, account in people.items():
        found[name] = app.test_client()
        found[name].set_cookie(COOKIE_NAME, services_of(found[""]).sessions.issue(account))
    return found


@pytest.fixture
def dora(clients: dict[str, FlaskClient]) -> FlaskClient:
    return clients["dora"]


def scripts_of(client: FlaskClient) -> HomeScripts:
    return services_of(client).home_scripts


def send(client: FlaskClient, script: bytes = b"echo 1\n") -> int:
    answer = client.post("/api/run", data=script)
    assert answer.status_code == 200, answer.text
    return int((answer.json or {})["job_id"])


def post(
    client: FlaskClient, path: str = "/jobs/new", origin: str = "http://localhost", **fields: object
) -> TestResponse:
    return client.post(path, data=fields, content_type="multipart/form-data", headers={"Origin": origin})


def run_id(client: FlaskClient, number: int) -> str:
    answer = client.get(f"/jobs/{number}")
    assert answer.status_code == 303, answer.text
    return answer.location.rpartition("/")[2]


def written(answer: TestResponse) -> str:
    """What the editor holds; the first line end is the template's."""
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", answer.text, re.DOTALL)
    assert found is not None
    return unescape(found[1])


def words(answer: TestResponse) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def begin(client: FlaskClient, engine: Engine, number: int) -> PlayedJob:
    """Begin a job as a worker does."""
    job = PlayedJob.of(engine, engine.find(number)).start()
    runs: Runs = services_of(client).scripting.runs
    runs.begin(run_id(client, number), number)
    return job


# --- the list --------------------------------------------------------------------------------------------


def test_ones_scripts_are_listed_with_titles_states_and_places_and_nobody_elses(
    clients: dict[str, FlaskClient], dora: FlaskClient, engine: Engine
) -> None:
    first, second, third = (send(dora, text) for text in (b"#!/bin/sh\n# One <b>\n", b"echo two\n", b"echo three\n"))
    emils = send(clients["emil"], b"echo emil\n")
    begin(dora, engine, first)
    said = words(dora.get("/jobs"))
    assert "1 running of at most 1, 3 waiting" in said
    assert f"# One <b> {first} Running" in said
    assert f"echo two {second} Waiting Next in line" in said
    # Everybody's next one comes before anybody's second: Emil's is before Dora's third.
    assert f"echo three {third} Waiting 2 before it" in said
    assert "emil" not in said
    assert said.index("echo three") < said.index("echo two") < said.index("# One")
    assert "<b>" not in re.sub(r"&lt;b&gt;", "", dora.get("/jobs").text)
    assert (dora.get(f"/api/jobs/{third}").json or {})["waiting_before"] == 2
    assert (clients["emil"].get(f"/api/jobs/{emils}").json or {})["waiting_before"] == 1
    assert "echo two" not in words(clients["olga"].get("/jobs"))
    everyones = words(clients["olga"].get("/jobs?of=everyone"))
    assert f"echo emil {emils} Waiting 1 before it emil" in everyones
    assert "# One <b>" in everyones
    assert "emil" not in words(clients["dora"].get("/jobs?of=everyone"))


def test_what_ended_says_how_and_one_that_was_cancelled_is_called_so(dora: FlaskClient, engine: Engine) -> None:
    number = send(dora)
    assert post(dora, f"/runs/{run_id(dora, number)}/cancel").status_code == 303
    assert f"echo 1 {number} Cancelled Cancelled" in words(dora.get("/jobs"))
    engine.redis.flushall()
    assert f"echo 1 {number} Cancelled" in words(dora.get("/jobs"))
    assert "<h1>echo 1</h1>" in dora.get(f"/runs/{run_id(dora, number)}").text
    assert "echo 1 Own script Cancelled" in words(dora.get("/runs"))


def test_a_long_list_comes_in_pages(dora: FlaskClient) -> None:
    numbers = [send(dora, b"echo %d\n" % count) for count in range(52)]
    page = dora.get("/jobs").text
    assert page.count("<tr data-job") == 50
    older = re.search(r'rel="next" href="([^"]*)"', page)
    assert older is not None
    second = dora.get(unescape(older[1]))
    assert re.findall(r"echo (\d+)</a>", second.text) == ["1", "0"]
    assert "Older" not in words(second)
    assert words(dora.get(f"/jobs?before={numbers[0]}")).count("There are no older scripts.") == 1
    for wrong in ("x", "0", "9" * 40):
        assert dora.get(f"/jobs?before={wrong}").status_code == 400


def test_the_part_that_changes_is_not_sent_again_where_nothing_has(dora: FlaskClient, engine: Engine) -> None:
    number = send(dora)
    part = dora.get("/jobs?part=list")
    assert "<html" not in part.text
    assert "data-list" in part.text
    unchanged = {"If-None-Match": part.headers["ETag"]}
    assert dora.get("/jobs?part=list", headers=unchanged).status_code == 304
    begin(dora, engine, number)
    assert dora.get("/jobs?part=list", headers=unchanged).status_code == 200


def test_an_empty_list_leads_to_the_editor_and_without_command_says_why_nothing_can_be_sent(
    settings: Settings, engine: Engine, clients: dict[str, FlaskClient], people: dict[str, Account]
) -> None:
    page = clients["dora"].get("/jobs")
    assert "You have not sent a script yet." in words(page)
    assert 'href="/jobs/new"' in page.text
    off = create_app(settings.model_copy(update={"command": ""}), engine).test_client()
    off.set_cookie(COOKIE_NAME, services_of(off).sessions.issue(people["dora"]))
    for path in ("/jobs", "/jobs/new"):
        assert "This server runs no scripts of people" in words(off.get(path))
        assert "conf/settings.py" not in words(off.get(path))
        assert 'href="/jobs/new"' not in off.get(path).text
        assert "<textarea" not in off.get(path).text
    assert post(off, script="echo").status_code == 404
    off.set_cookie(COOKIE_NAME, services_of(off).sessions.issue(people["olga"]))
    assert "conf/settings.py" in words(off.get("/jobs"))


# --- a new one -------------------------------------------------------------------------------------------


def test_the_editor_tells_how_many_run_at_once_of_all_and_of_one_person(settings: Settings, engine: Engine) -> None:
    third_party.install()
    for most, told in (
        (0, "1 script of all people; at most 60 of yours"),
        (3, "1 script of all people, 3 of one person"),
    ):
        app = create_app(settings.model_copy(update={"max_running_per_user": most}), engine)
        database = Database(settings)
        account = Accounts(database).find("dora") or add_account(database, "dora")
        database.close()
        client = app.test_client()
        client.set_cookie(COOKIE_NAME, services_of(client).sessions.issue(account))
        assert told in words(client.get("/jobs/new"))


def test_the_form_sends_what_was_written_with_the_ends_of_lines_that_scripts_have(dora: FlaskClient) -> None:
    answer = post(dora, script="echo 1\r\necho ü\r\n")
    assert answer.status_code == 303
    page = dora.get(answer.location, follow_redirects=True)
    assert page.request.path.startswith("/runs/")
    found = page.request.path
    assert dora.get(f"{found}/script").data == "echo 1\necho ü\n".encode()


def test_a_file_is_sent_byte_for_byte_instead_of_the_text(dora: FlaskClient) -> None:
    answer = post(dora, script="echo text", file=(io.BytesIO(b"\r\n\xff\n"), "x.sh"))
    number = int(answer.location.rpartition("/")[2])
    sent = dora.get(f"/runs/{run_id(dora, number)}/script")
    assert sent.data == b"\r\n\xff\n"
    assert sent.headers["Content-Disposition"] == f"attachment; filename=script-{number}.txt"
    # It cannot be edited without being changed, which is said.
    again = dora.get(f"/jobs/new?again={number}")
    assert (again.status_code, written(again)) == (400, "")
    assert "no text in UTF-8" in words(again)


def test_what_cannot_be_sent_is_shown_again_with_the_reason(dora: FlaskClient, settings: Settings) -> None:
    for script, status, reason in ((" \r\n", 400, "empty"), ("é<b>" * 300, 413, "at most 1,000 bytes")):
        answer = post(dora, script=script)
        assert answer.status_code == status
        assert written(answer) == script.replace("\r\n", "\n")
        assert reason in words(answer)
    assert post(dora, script="x" * 100_000).status_code == 413
    for _ in range(settings.script_owner_runs):
        send(dora)
    answer = post(dora, script="echo mine")
    assert (answer.status_code, written(answer)) == (429, "echo mine")


def test_without_a_login_what_was_written_is_not_lost_and_nothing_is_run(clients: dict[str, FlaskClient]) -> None:
    answer = post(clients[""], script="echo <mine>")
    assert (answer.status_code, written(answer)) == (200, "echo <mine>")
    assert "You are not logged in any more." in words(answer)
    assert scripts_of(clients[""]).counts() == (0, 0)
    for path in ("/jobs", "/jobs/new?file=x", "/jobs/1"):
        led = clients[""].get(path)
        assert led.status_code == 303
        assert led.location.startswith("/login?next=")


def test_pages_of_other_sites_send_and_end_nothing(dora: FlaskClient, engine: Engine) -> None:
    number = send(dora)
    begin(dora, engine, number)
    assert post(dora, origin="https://evil.example", script="echo").status_code == 403
    found = f"/runs/{run_id(dora, number)}/signal"
    assert post(dora, found, origin="https://evil.example", command="kill").status_code == 403
    assert scripts_of(dora).counts() == (1, 0)
    assert engine.redis.hget(f"knossos:task:{number}", "kill") is None


def test_an_earlier_script_is_taken_by_number_or_run_by_those_who_may_see_it(clients: dict[str, FlaskClient]) -> None:
    script = "\n\necho </textarea> &amp; ü\n"
    number = send(clients["dora"], script.encode())
    for which in (number, run_id(clients["dora"], number)):
        for name in ("dora", "olga"):
            page = clients[name].get(f"/jobs/new?again={which}")
            assert written(page) == script
            assert f"This is the script of job {number}." in words(page)
        other = clients["emil"].get(f"/jobs/new?again={which}")
        assert (other.status_code, written(other)) == (404, "")
        assert f"There is no job {which} (any more)." in words(other)
    assert clients["dora"].get("/jobs/new?again=../x").status_code == 404
    assert clients["emil"].get(f"/jobs/{number}").status_code == 404


def test_a_file_of_the_home_is_taken_and_what_is_no_script_is_refused(dora: FlaskClient) -> None:
    dora.put("/api/files/a b.sh", data=b"echo 1\n")
    dora.put("/api/files/large", data=b"x" * 1001)
    dora.put("/api/files/nul", data=b"a\0b")
    dora.post("/api/files/", json={"command": "mkdir", "name": "d"})
    page = dora.get("/jobs/new?file=/a%20b.sh")
    assert (page.status_code, written(page)) == (200, "echo 1\n")
    assert "This is /a b.sh of your home." in words(page)
    for path, status, word in (
        ("large", 400, "1,001 bytes"),
        ("nul", 400, "no text"),
        ("d", 400, "folder"),
        ("none", 404, "There is no"),
        ("../x", 403, ""),
    ):
        page = dora.get(f"/jobs/new?file={path}")
        assert (page.status_code, written(page)) == (status, ""), path
        assert re.search(f"{re.escape(path)}: .*{word}", words(page))


# --- one of them -----------------------------------------------------------------------------------------


def test_a_jobs_page_offers_what_can_be_done_now(
    clients: dict[str, FlaskClient], dora: FlaskClient, engine: Engine
) -> None:
    number, behind = send(dora, b"echo <1>\necho 2"), send(dora)
    page = f"/runs/{run_id(dora, number)}"

    def shown(client: FlaskClient) -> set[str]:
        forms = re.findall(r"<form[^>]*>", client.get(page).text)
        known = {"cancel", "SIGTERM", "SIGKILL"}
        return {name for name in known for form in forms if name in form and " hidden" not in form}

    assert shown(dora) == {"cancel"}
    assert '<a href="/jobs" aria-current="true">My scripts</a>' in dora.get(page).text
    assert "Next in line" in words(dora.get(page))
    assert dora.get(f"{page}/place").json == {"words": "Next in line"}
    assert dora.get(f"/runs/{run_id(dora, behind)}/place").json == {"words": "1 before it"}
    assert post(dora, f"{page}/signal", command="kill").status_code == 409
    begin(dora, engine, number)
    assert shown(dora) == shown(clients["olga"]) == {"SIGTERM", "SIGKILL"}
    assert dora.get(f"{page}/place").json == {"words": ""}
    said = words(dora.get(page))
    assert "15 B, 2 lines" in said
    assert "1 2 echo <1> echo 2" in said
    assert f"/jobs/new?again={page[6:]}" in dora.get(page).text
    for wrong in ("", "stop"):
        assert post(dora, f"{page}/signal", command=wrong).status_code == 400
    assert post(dora, f"{page}/signal", command="terminate").status_code == 303
    assert engine.redis.hget(f"knossos:task:{number}", "terminate") == b"1"
    for path in ("", "/place", "/script"):
        assert clients["emil"].get(page + path).status_code == 404
    assert post(clients["emil"], f"{page}/signal", command="kill").status_code == 404
    engine.cancel(number)
    services_of(dora).scripting.runs.end(page[6:], Ending(RunOutcome.SIGNALLED, signal=15), ())
    assert shown(dora) == set()
    assert post(dora, f"{page}/signal", command="kill").status_code == 409


def test_a_large_script_is_shown_up_to_a_whole_line() -> None:
    shown = script_text(b"one\ntwo\nthree\n", most=10)
    assert (shown.text, shown.lines, shown.cut) == ("one\ntwo", 2, True)
    assert script_text(b"x" * 30, most=10).text == "x" * 10
    whole = script_text(b"a\r\n\nb")
    assert (whole.text, whole.lines, whole.cut) == ("a\n\nb", 3, False)


def test_places_are_said_in_words() -> None:
    assert [place_in_line(count) for count in (None, 0, 1, 1234)] == [
        "",
        "Next in line",
        "1 before it",
        "1,234 before it",
    ]


def test_who_waits_for_ones_own_others_is_told_so(
    settings: Settings, engine: Engine, people: dict[str, Account]
) -> None:
    third_party.install()
    app = create_app(settings.model_copy(update={"max_running": 4, "max_running_per_user": 1}), engine)
    dora = app.test_client()
    dora.set_cookie(COOKIE_NAME, services_of(dora).sessions.issue(people["dora"]))
    first, second = send(dora), send(dora)
    assert words(dora.get("/jobs")).count("Next in line") == 1
    begin(dora, engine, first)
    said = "Waits until another script of the same person has ended"
    assert said in words(dora.get("/jobs"))
    page = f"/runs/{run_id(dora, second)}"
    assert said in words(dora.get(page))
    assert dora.get(f"{page}/place").json == {"words": said}


def test_one_asks_to_be_told_of_the_end_as_one_sends_a_script(dora: FlaskClient, people: dict[str, Account]) -> None:
    hook = "http://127.0.0.1:9/hook"
    answer = post(dora, script="echo 1", notice="end", notice_webhook=hook)
    assert answer.status_code == 303
    found = run_id(dora, int(answer.location.rpartition("/")[2]))
    wanted = services_of(dora).scheduling.notices.of_run(people["dora"], found)
    assert (wanted.when, wanted.webhook) == ("end", hook)
    wrong = post(dora, script="echo 2", notice="end")
    assert (wrong.status_code, written(wrong)) == (400, "echo 2")
    assert '<option value="end" selected>' in wrong.text
    assert "Tell me when it ends: expected a way to be told by" in words(wrong)
