"""Schedules and notices over HTTP: the API by field, the pages without scripts, and a notice's way to its receiver."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
import sys
import time
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Account
from knossos.accounts.tables import User
from knossos.accounts.tokens import Scope
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.notices.content import signing_key
from knossos.scripting.notices.states import NoticeState
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile
from knossos.settings import Settings
from knossos.web import create_app, third_party
from knossos.web.services import EXTENSION, Services
from tests.conftest import StartWorker
from tests.support.file_server import Answer, FileServer
from tests.support.mail_server import MailServer
from tests.support.processes import is_alive, wait_for
from tests.support.schedules import ScheduleBench
from tests.support.script_scenes import write_script, write_scripts

ORIGIN = {"Origin": "http://localhost"}
FORM_WITH_TITLE = {"fields": [{"type": "text", "name": "title", "label": "Title", "required": True}]}
NIGHTLY = {"kind": "script", "script": "tables/echo.py", "cron": "30 6 * * 1-5", "zone": "Europe/Berlin"}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, sqlite_template: Path) -> Settings:
    write_scripts(tmp_path / "bin")
    settings.data_path.mkdir(exist_ok=True)
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    granted = {"anonymous": ("SCRIPTING:EXECUTE:tables/*",)}
    more = {"server_side_scripting_bin_dirs": (str(tmp_path / "bin"),), "role_permissions": granted, "command": "sh",
            "calculation_command": ("true",), "calculation_open": True}  # fmt: skip
    # What the scripts' Python is made of.
    python = (sys.prefix, str(Path(sys.executable).resolve().parents[1]))
    return settings.model_copy(update={**more, "script_read_paths": python})


@pytest.fixture
def bench(settings: Settings, engine: Engine) -> ScheduleBench:
    return ScheduleBench(settings, Database(settings), engine)


@pytest.fixture
def dora(bench: ScheduleBench) -> Account:
    return bench.account("dora", email="dora@example.org")


@pytest.fixture
def client(settings: Settings, engine: Engine, dora: Account) -> FlaskClient:
    third_party.install()
    made = create_app(settings, engine).test_client()
    found: Services = made.application.extensions[EXTENSION]
    made.set_cookie(COOKIE_NAME, found.sessions.issue(dora))
    return made


def made(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/schedules", json={**NIGHTLY, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json or {})


def test_a_schedule_is_made_read_changed_run_and_removed(client: FlaskClient) -> None:
    one = made(client, arguments=["a b"], notices={"when": "failure", "webhook": "http://127.0.0.1:9/x"})
    assert one["words"] == "Monday to Friday at 06:30"
    assert one["notices"] == {"when": "failure", "mail": False, "webhook": "http://127.0.0.1:9/x"}
    address = f"/api/schedules/{one['id']}"
    assert client.get(address).json == one
    listed = client.get("/api/schedules").json or {}
    assert [found["id"] for found in listed["schedules"]] == [one["id"]]
    changed = client.put(address, json={"enabled": False}).json or {}
    assert (changed["enabled"], changed["next"], changed["cron"]) == (False, None, one["cron"])
    started = client.post(f"{address}/run")
    assert started.status_code == 202, started.text
    run = (started.json or {})["run_id"]
    assert (client.get(f"/api/runs/{run}").json or {})["state"] == "queued"
    assert client.post(f"{address}/run").status_code == 409
    (firing,) = (client.get(f"{address}/runs").json or {})["runs"]
    assert (firing["state"], firing["run_id"], firing["by_hand"]) == ("started", run, True)
    assert client.delete(address).status_code == 200
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"kind": "mail"}, "kind"),
        ({"script": "missing.py"}, None),
        ({"script": ""}, "script"),
        ({"arguments": "a"}, "arguments"),
        ({"arguments": ["a\0"]}, "arguments.0"),
        ({"path": "x"}, "path"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": None, "at": "yesterday"}, "at"),
        ({"cron": None, "at": "2020-01-01T00:00"}, "at"),
        ({"at": "2040-01-01T00:00"}, "at"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"enabled": "yes"}, "enabled"),
        ({"often": 1}, "often"),
        ({"notices": {"when": "always"}}, "notices.when"),
        ({"notices": {"when": "end"}}, "notices"),
        ({"notices": {"when": "end", "mail": True}}, "notices.mail"),
        ({"notices": {"when": "end", "webhook": "http://10.0.0.1/"}}, "notices.webhook"),
        ({"notices": {"when": "end", "webhook": "ftp://example.org/"}}, "notices.webhook"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(client: FlaskClient, fields: dict[str, Any], path: str | None) -> None:
    answer = client.post("/api/schedules", json={**NIGHTLY, **fields})
    assert answer.status_code in (400, 403, 404), answer.text
    if path is not None:
        assert answer.status_code == 400
        assert path in [one["path"] for one in (answer.json or {})["errors"]], answer.text
    assert (client.get("/api/schedules").json or {})["schedules"] == []


def test_who_is_not_logged_in_and_other_sites_are_refused(client: FlaskClient) -> None:
    stranger = client.application.test_client()
    assert stranger.get("/api/schedules").status_code == 401
    assert stranger.get("/schedules").status_code == 303
    assert client.post("/api/schedules", json=NIGHTLY, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/schedules/new", data={}, headers={"Origin": "http://evil.example"}).status_code == 403


def test_the_next_five_times_are_told_while_one_types(client: FlaskClient) -> None:
    told = client.get("/api/schedules/times?cron=30+6+*+*+*&zone=Europe/Berlin").json or {}
    assert told["words"] == "Every day at 06:30"
    assert len(told["times"]) == 5
    assert all("06:30" in one["local"] for one in told["times"])
    assert client.get("/api/schedules/times?cron=x").status_code == 400


def test_the_pages_make_change_and_remove_a_schedule_without_scripts(client: FlaskClient) -> None:
    page = client.get("/schedules/new?script=tables/echo.py&args=one&args=two")
    assert "one\ntwo" in page.text
    form = {**NIGHTLY, "repeats": "cron", "arguments": "one\ntwo", "when": "never", "name": "Night <work>"}
    wrong = client.post("/schedules/new", data={**form, "cron": "x"}, headers=ORIGIN)
    assert wrong.status_code == 400
    assert "expected five fields" in wrong.text
    for repeats, label in (("cron", "Cron expression"), ("at", "Day and time")):
        empty = client.post("/schedules/new", data={**form, "repeats": repeats, "cron": "", "at": ""}, headers=ORIGIN)
        assert f'<a href="#{repeats}">{label}: fill this in</a>' in empty.text
        assert f'id="wrong-{repeats}">fill this in<' in empty.text
        assert "expected either" not in empty.text
    address = client.post("/schedules/new", data=form, headers=ORIGIN).headers["Location"]
    assert "Monday to Friday at 06:30" in client.get("/schedules").text
    assert "Night &lt;work&gt;" in client.get(address).text
    assert client.post(address, data={**form, "cron": "0 * * * *"}, headers=ORIGIN).status_code == 303
    assert "Every hour at minute 0" in client.get(address).text
    run = client.post(f"{address}/run", headers=ORIGIN).headers["Location"]
    assert run.startswith("/runs/")
    for action, word in (("off", "Switch on"), ("on", "Switch off")):
        client.post(f"{address}/{action}", headers=ORIGIN)
        assert word in client.get("/schedules").text
    asked = client.post(f"{address}/delete", headers=ORIGIN)
    assert "Delete this schedule?" in asked.text
    assert client.get(address).status_code == 200
    client.post(f"{address}/delete", data={"confirmed": "yes"}, headers=ORIGIN)
    assert "Nothing is scheduled yet" in client.get("/schedules").text


def test_the_page_of_a_run_asks_for_a_notice_and_leads_to_a_schedule(client: FlaskClient, bench: ScheduleBench) -> None:
    one = made(client)
    run = (client.post(f"/api/schedules/{one['id']}/run").json or {})["run_id"]
    page = client.get(f"/runs/{run}").text
    assert "Tell me when it ends" in page
    assert "/schedules/new?script=tables/echo.py" in page
    form = {"when": "end", "webhook": "http://127.0.0.1:9/x"}
    assert client.post(f"/runs/{run}/notice", data=form, headers=ORIGIN).status_code == 303
    wanted = {"when": "end", "mail": False, "webhook": "http://127.0.0.1:9/x"}
    assert client.get(f"/api/runs/{run}/notice").json == wanted
    assert (client.delete(f"/api/runs/{run}/notice").json or {})["removed"] is True
    assert (client.get(f"/api/runs/{run}/notice").json or {})["when"] == "never"
    bench.made.firings._runs.end(run, Ending(RunOutcome.EXITED, 0), ())
    assert client.put(f"/api/runs/{run}/notice", json=wanted).status_code == 409
    assert "Tell me when it ends" not in client.get(f"/runs/{run}").text


def waiting(bench: ScheduleBench) -> list[tuple[str, str, str]]:
    with bench.database.reading() as session:
        return [(row.run_id or "", row.condition, row.url) for row in session.query(NoticeRow)]


HOOK = "http://127.0.0.1:9/x"


def test_a_notice_may_come_with_the_submission_of_a_script(client: FlaskClient, bench: ScheduleBench) -> None:
    sent = client.post(f"/api/run?notice=failure&notice_webhook={HOOK}", data=b"echo one")
    assert sent.status_code == 200, sent.text
    (run,) = bench.runs()
    assert waiting(bench) == [(run.id, "failure", HOOK)]
    # Who only says how is told of each end, and who says nothing of none.
    assert client.post(f"/api/run?notice_webhook={HOOK}", data=b"echo two").status_code == 200
    assert client.post("/api/run", data=b"echo three").status_code == 200
    assert sorted(when for _, when, _ in waiting(bench)) == ["end", "failure"]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("notice=always", "notice"),
        ("notice=end", "notice"),
        ("notice_mail=perhaps", "notice_mail"),
        ("notice_mail=true", "notice_mail"),
        ("notice_webhook=http://10.0.0.1/", "notice_webhook"),
        ("notice_webhook=file:///etc/passwd", "notice_webhook"),
    ],
)
def test_a_notice_that_cannot_be_keeps_the_script_from_being_run(
    client: FlaskClient, bench: ScheduleBench, query: str, path: str
) -> None:
    sent = client.post(f"/api/run?{query}", data=b"echo one")
    assert sent.status_code == 400, sent.text
    assert [one["path"] for one in (sent.json or {})["errors"]] == [path]
    assert bench.runs() == []
    assert waiting(bench) == []


def form_of(*fields: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"data": dict(fields), "content_type": "multipart/form-data", "headers": ORIGIN, **more}


def test_the_page_of_a_script_takes_a_notice_with_what_is_filled_in(client: FlaskClient, bench: ScheduleBench) -> None:
    assert "Tell me when it ends" in client.get("/scripts/tables/echo.py").text
    bad = form_of(("arguments.0", "kept"), (":notice", "end"), (":notice_webhook", "http://10.0.0.1/"))
    refused = client.post("/scripts/tables/echo.py", **bad)
    assert refused.status_code == 400
    assert 'href="#f-:notice_webhook"' in refused.text
    assert 'value="kept"' in refused.text
    assert bench.runs() == []
    good = form_of((":notice", "end"), (":notice_webhook", HOOK))
    assert client.post("/scripts/tables/echo.py", **good).status_code == 303
    (run,) = bench.runs()
    assert waiting(bench) == [(run.id, "end", HOOK)]


def test_what_is_typed_on_the_page_of_a_script_is_scheduled(client: FlaskClient, bench: ScheduleBench) -> None:
    filled = form_of(("arguments.0", "a b"), ("arguments.1", "c"), (":schedule", "1"))
    page = client.post("/scripts/tables/echo.py", **filled)
    assert page.status_code == 200, page.text
    assert "a b\nc" in page.text
    assert bench.runs() == []
    with_file = form_of((":schedule", "1"))
    with_file["data"]["files"] = (io.BytesIO(b"x"), "t.csv")
    assert "A schedule keeps no files" in client.post("/scripts/tables/echo.py", **with_file).text


def test_a_script_whose_form_has_to_be_filled_in_is_scheduled_with_its_values(
    client: FlaskClient, bench: ScheduleBench, settings: Settings
) -> None:
    folder = Path(settings.server_side_scripting_bin_dirs[0])
    write_script(folder, "tables/need.py", "print(1)\n", form=FORM_WITH_TITLE)
    missing = client.post("/scripts/tables/need.py", **form_of(("title", ""), (":schedule", "1")))
    assert missing.status_code == 400
    page = client.post("/scripts/tables/need.py", **form_of(("title", '"Deep" <water>'), (":schedule", "1")))
    assert "&lt;water&gt;" in page.text
    (hidden,) = re.findall(r'name="form" value="([^"]*)"', page.text)
    data = {"kind": "script", "script": "tables/need.py", "form": unescape(hidden), "repeats": "cron", "when": "never"}
    wrong = client.post("/schedules/new", data={**data, "cron": "x", "zone": "UTC"}, headers=ORIGIN)
    assert wrong.status_code == 400
    assert hidden in wrong.text
    for bad in ("{", "[1]", "[" * 5000, '{"title": 7, "other": 1}'):
        refused = client.post(
            "/schedules/new", data={**data, "form": bad, "cron": "0 * * * *", "zone": "UTC"}, headers=ORIGIN
        )
        assert refused.status_code == 400, bad[:20]
    made = client.post("/schedules/new", data={**data, "cron": "0 * * * *", "zone": "UTC"}, headers=ORIGIN)
    assert made.status_code == 303, made.text
    (one,) = (client.get("/api/schedules").json or {})["schedules"]
    assert one["form"] == {"title": '"Deep" <water>'}
    # Its page shows the values, and changing the time leaves them alone.
    address = made.headers["Location"]
    assert "&lt;water&gt;" in client.get(address).text
    client.post(address, data={**data, "cron": "5 * * * *", "zone": "UTC"}, headers=ORIGIN)
    (one,) = (client.get("/api/schedules").json or {})["schedules"]
    assert (one["form"], one["cron"]) == ({"title": '"Deep" <water>'}, "5 * * * *")
    # What was filled in is changed on the page of the script.
    (anew,) = re.findall(r'href="(/scripts/[^"]*schedule=[^"]*)"', client.get(address).text)
    page = client.get(unescape(anew)).text
    assert 'value="&#34;Deep&#34; &lt;water&gt;"' in page
    fields = (":of_schedule", one["id"]), (":schedule", "1")
    assert client.post("/scripts/tables/need.py", **form_of(("title", ""), *fields)).status_code == 400
    changed = client.post("/scripts/tables/need.py", **form_of(("title", "Shallow"), *fields))
    assert (changed.status_code, changed.location) == (303, address)
    (one,) = (client.get("/api/schedules").json or {})["schedules"]
    assert (one["form"], one["cron"]) == ({"title": "Shallow"}, "5 * * * *")
    assert bench.runs() == []


def test_the_input_of_a_calculation_is_uploaded_with_its_schedule(client: FlaskClient, bench: ScheduleBench) -> None:
    data = {"kind": "calculation", "repeats": "cron", "cron": "0 3 * * *", "zone": "UTC", "when": "never"}

    def sent(content: bytes) -> Any:
        form = {**data, "input_file": (io.BytesIO(content), "input.xml")}
        return client.post("/schedules/new", data=form, content_type="multipart/form-data", headers=ORIGIN)

    assert sent(b"<input>").status_code == 400
    assert "expected text in UTF-8" in sent(b"\xff\xfe").text
    content = b"<input><value>7</value></input>"
    assert sent(content).status_code == 303
    (one,) = (client.get("/api/schedules").json or {})["schedules"]
    assert one["calculation"] == hashlib.sha1(content, usedforsecurity=False).hexdigest()


def test_who_may_see_calculations_is_told_of_their_ends_and_nobody_else(
    client: FlaskClient, bench: ScheduleBench, settings: Settings, engine: Engine, dora: Account
) -> None:
    found: Services = client.application.extensions[EXTENSION]
    content = b"<input><value>8</value></input>"
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    run = found.scripting.calculations.post(sha1, content).run_id
    wanted = {"when": "end", "mail": False, "webhook": HOOK}
    assert client.put(f"/api/runs/{run}/notice", json=wanted).status_code == 200
    assert client.get(f"/api/runs/{run}/notice").json == wanted
    closed = create_app(settings.model_copy(update={"calculation_open": False}), engine).test_client()
    closed.set_cookie(COOKIE_NAME, closed.application.extensions[EXTENSION].sessions.issue(dora))
    assert closed.get(f"/api/runs/{run}/notice").status_code == 404


def test_a_token_needs_both_scopes_for_schedules(client: FlaskClient, dora: Account) -> None:
    stranger = client.application.test_client()
    tokens = client.application.extensions[EXTENSION].tokens
    for scopes, status in (([Scope.RUN], 403), ([Scope.SCRIPTS], 403), ([Scope.RUN, Scope.SCRIPTS], 201)):
        token = tokens.issue_api(dora.user_id, "name", scopes, None)
        told = {"Authorization": f"Bearer {token}"}
        answer = stranger.post("/api/schedules", json=NIGHTLY, headers=told)
        assert answer.status_code == status, answer.text
        assert stranger.get("/api/schedules", headers=told).status_code == (200 if status == 201 else 403)


def test_a_failure_is_told_signed_and_with_the_end_of_standard_error(
    client: FlaskClient, bench: ScheduleBench, dora: Account, settings: Settings, start_worker: StartWorker
) -> None:
    with FileServer() as server, MailServer() as mails:
        hook = server.handle("/hook", lambda _: Answer(204))
        settings = settings.model_copy(update={"smtp": f"smtp://127.0.0.1:{mails.port}", "mail_from": "k@example.org"})
        bench = ScheduleBench(settings, bench.database, bench.engine)
        wanted = {"when": "failure", "webhook": hook, "mail": True}
        schedule = bench.make(dora, **{**NIGHTLY, "name": "Night work", "notices": wanted})
        firing = bench.made.firings.run_now(dora, schedule.schedule_id)
        key = f"runs/{firing.run_id}/out/0"
        bench.made.schedules._storage.put_bytes(key, b"first\n" + b"x\n" * 100 + b"the last line\n")
        kept = KeptFile(0, FileRole.STDERR, "stderr", 220, key)
        runs = bench.made.firings._runs
        runs.begin(firing.run_id, 1)
        runs.end(firing.run_id, Ending(RunOutcome.EXITED, 3, None, "It ended with exit code 3."), [kept])
        start_worker(product=True, use=settings)
        wait_for(lambda: bool(server.asked("/hook") and mails.mails), "both notices")
        (request,) = server.asked("/hook")
        told = json.loads(request.body)
        assert (told["event"], told["failed"], told["schedule"]["name"]) == ("run.ended", True, "Night work")
        assert told["run"]["exit_code"] == 3
        assert told["run"]["stderr"].endswith("the last line")
        assert "first" not in told["run"]["stderr"]
        signed = request.headers["X-Knossos-Timestamp"].encode() + b"." + request.body
        mac = hmac.new(signing_key(settings, dora.user_id).encode(), signed, hashlib.sha256).hexdigest()
        assert request.headers["X-Knossos-Signature-256"] == f"sha256={mac}"
        (mail,) = mails.mails
        assert (mail["To"], mail["Subject"]) == ("dora@example.org", "Night work failed")
        assert "the last line" in mail.get_content()

        def all_sent() -> bool:
            with bench.database.reading() as session:
                return {row.state for row in session.query(NoticeRow)} == {NoticeState.SENT}

        wait_for(all_sent, "what came of them")


def test_a_worker_runs_what_is_due_by_itself_and_tells_of_it(
    client: FlaskClient, bench: ScheduleBench, dora: Account, settings: Settings, start_worker: StartWorker
) -> None:
    schedule = bench.make(dora, **NIGHTLY)
    bench.due(schedule, time.time() - 1)
    worker = start_worker(product=True)

    def well() -> bool:
        found = bench.firings(schedule)
        return bool(found) and found[0].ended_well

    wait_for(well, "the scheduled run")
    assert len(bench.firings(schedule)) == 1
    children = Path(f"/proc/{worker.popen.pid}/task/{worker.popen.pid}/children").read_text().split()
    assert children
    assert worker.stop() == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_two_workers_run_each_time_once_and_the_one_that_is_left_goes_on(
    bench: ScheduleBench, dora: Account, settings: Settings, start_worker: StartWorker
) -> None:
    schedules = [bench.make(dora, **NIGHTLY) for _ in range(4)]
    workers = [start_worker(product=True) for _ in range(2)]
    for schedule in schedules:
        bench.due(schedule, time.time() - 1)

    def all_well(times: int) -> bool:
        found = [bench.firings(schedule) for schedule in schedules]
        return all(len(one) >= times and all(firing.ended_well for firing in one) for one in found)

    wait_for(lambda: all_well(1), "the runs")
    pid = workers[0].popen.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    workers[0].kill()
    # Its companion is not left behind by a SIGKILL.
    wait_for(lambda: not any(is_alive(int(child)) for child in children), "the end of the companion")
    for schedule in schedules:
        bench.due(schedule, time.time() - 1)
    wait_for(lambda: all_well(2), "the runs of the worker that is left")
    assert [len(bench.firings(schedule)) for schedule in schedules] == [2] * 4
    assert len(bench.runs()) == 8


def test_a_schedule_goes_with_its_account(bench: ScheduleBench, dora: Account) -> None:
    schedule = bench.make(dora, **NIGHTLY)
    bench.due(schedule, time.time() - 1)
    with bench.database.session() as session:
        session.delete(session.get_one(User, dora.user_id))
    assert bench.made.firings.fire_due(time.time()) == 0
    assert bench.runs() == []
