"""Pages of runs: who sees them, how output and files are given."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account
from knossos.jobs import Engine, JobState
from knossos.scripting.access import caller_of
from knossos.scripting.calls import Started
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile
from knossos.web.services import EXTENSION
from tests.support.scenes import PlayedJob
from tests.support.script_pages import SAME_ORIGIN, scripting_of, text_of
from tests.support.web import log_in


def begun(client: FlaskClient, account: Account | None, name: str = "tables/echo.py") -> tuple[Started, PlayedJob]:
    """A run that a worker, which is the test, has begun."""
    scripting = scripting_of(client)
    caller = caller_of(account)
    with client.application.app_context():
        started = scripting.start(scripting.catalogue.find(name), caller, ("a", "b"))
    job = PlayedJob.of(client.application.extensions[EXTENSION].engine, started.record).start()
    scripting.runs.begin(started.run.run_id, started.record.ticket)
    return started, job


def end(client: FlaskClient, started: Started, ending: Ending, *files: tuple[FileRole, str, bytes]) -> None:
    scripting = scripting_of(client)
    kept = []
    for number, (role, name, data) in enumerate(files):
        key = f"runs/{started.run.run_id}/out/{number}"
        scripting.storage.put_bytes(key, data)
        kept.append(KeptFile(number, role, name, len(data), key))
    scripting.runs.end(started.run.run_id, ending, kept)


def test_a_run_is_its_owners_the_operators_and_whose_link_has_its_token(
    client: FlaskClient, dora: Account, otto: Account, olga: Account
) -> None:
    started, _ = begun(client, dora)
    end(client, started, Ending(RunOutcome.EXITED, 0), (FileRole.STDOUT, "stdout", b"said"))
    base = f"/runs/{started.run.run_id}"
    paths = [base, f"{base}/files/0", f"/api{base}"]
    token = f"?token={started.record.token}"
    for path in paths:
        assert client.get(path).status_code == 404
        assert client.get(f"{path}?token=x").status_code == 404
        assert client.get(path + token).status_code == 200
    log_in(client, otto)
    assert [client.get(path).status_code for path in paths] == [404] * 3
    for account in (dora, olga):
        log_in(client, account)
        assert [client.get(path).status_code for path in paths] == [200] * 3
    for wrong in ("x", "0" * 36, started.run.run_id.upper()):
        assert client.get(f"/runs/{wrong}").status_code == 404


def test_a_run_that_ended_shows_how_what_it_wrote_and_what_it_left(client: FlaskClient, dora: Account) -> None:
    log_in(client, dora)
    started, _ = begun(client, dora)
    ending = Ending(RunOutcome.SIGNALLED, None, 11, "It was ended by the signal SIGSEGV.", dropped_bytes=5_000_000)
    files = (
        (FileRole.STDOUT, "stdout", b"\x1b[32mgreen\x1b[0m \x1b]0;t\x07<script>x</script>"),
        (FileRole.STDERR, "stderr", b"oh"),
        (FileRole.SHARED, "plots/\xc3\xa9 a.html".encode().decode(), b"<script>alert(1)</script>"),
    )
    end(client, started, ending, *files)
    page = client.get(f"/runs/{started.run.run_id}")
    words = text_of(page)
    for expected in ("Failed", "Signal SIGSEGV", "It was ended by the signal SIGSEGV.", "5.00 MB more were written"):
        assert expected in words
    assert "green &lt;script&gt;x&lt;/script&gt;" in page.text
    assert 'http-equiv="refresh"' not in page.text
    assert "no-store" in page.headers["Cache-Control"]


def test_files_of_a_run_are_downloads_whatever_they_are(client: FlaskClient, dora: Account) -> None:
    log_in(client, dora)
    started, _ = begun(client, dora)
    end(
        client,
        started,
        Ending(RunOutcome.EXITED, 0),
        (FileRole.STDOUT, "stdout", b"0123456789"),
        (FileRole.SHARED, "sub/\u65e5 page.html", b"<script>alert(1)</script>"),
    )
    base = f"/runs/{started.run.run_id}/files"
    answer = client.get(f"{base}/1")
    assert answer.data == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%E6%97%A5%20page.html"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers
    part = client.get(f"{base}/0", headers={"Range": "bytes=-3"})
    assert (part.status_code, part.data, part.headers["Content-Type"]) == (206, b"789", "text/plain; charset=utf-8")
    assert client.get(f"{base}/2").status_code == 404


def test_html_output_is_a_page_of_its_own_that_can_do_nothing_while_it_runs_and_after(
    client: FlaskClient, dora: Account
) -> None:
    log_in(client, dora)
    started, job = begun(client, dora, "tables/web.py")
    path = f"/runs/{started.run.run_id}/output.html"
    job.write("output", {"stream": "stdout", "text": '<div class="alert alert-'})
    job.write("output", {"stream": "stderr", "text": "not this"})
    job.write("output", {"stream": "stdout", "text": 'danger">first</div>'})
    answer = client.get(path)
    assert '<div class="alert alert-danger">first</div></body>' in answer.text
    assert ".alert-danger {" in answer.text
    assert "not this" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    for rule in ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "frame-ancestors 'self'"):
        assert rule in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    page = client.get(f"/runs/{started.run.run_id}")
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    assert "frame-src 'none'" in client.get("/scripts").headers["Content-Security-Policy"]
    assert 'http-equiv="refresh"' in page.text
    end(client, started, Ending(RunOutcome.EXITED, 0), (FileRole.STDOUT, "stdout", b"<p>the end</p>"))
    assert "<p>the end</p></body>" in client.get(path).text
    plain, _ = begun(client, dora)
    assert client.get(f"/runs/{plain.run.run_id}/output.html").status_code == 404


def test_a_run_is_cancelled_once_and_its_page_comes_again(client: FlaskClient, dora: Account, engine: Engine) -> None:
    scripting = scripting_of(client)
    with client.application.app_context():
        started = scripting.start(scripting.catalogue.find("tables/echo.py"), caller_of(None))
    path, token = f"/runs/{started.run.run_id}/cancel", started.record.token
    assert client.post(path, headers=SAME_ORIGIN).status_code == 404
    answer = client.post(path, data={"token": token}, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.location) == (303, f"/runs/{started.run.run_id}?token={token}")
    assert engine.find(started.record.ticket).state is JobState.CANCELLED
    assert client.post(path, data={"token": token}, headers=SAME_ORIGIN).status_code == 400
    assert "This run was cancelled" in text_of(client.get(answer.location))


def test_the_history_has_ones_own_runs_in_pages_and_everyones_for_operators(
    client: FlaskClient, dora: Account, olga: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knossos.web.run_pages.PAGE", 2)
    assert client.get("/runs").location == "/login?next=/runs"
    for account in (dora, dora, olga, dora):
        begun(client, account)
    log_in(client, dora)
    page = client.get("/runs?of=everyone").text
    assert page.count("<tr>") == 3, "the head and two runs"
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older is not None
    page = client.get(unescape(older[1])).text
    assert page.count("<tr>") == 2
    assert 'rel="next"' not in page
    log_in(client, olga)
    assert client.get("/runs").text.count("<tr>") == 2
    assert "dora" in text_of(client.get("/runs?of=everyone"))


def test_programs_are_told_of_a_run_and_of_where_its_events_are(client: FlaskClient, dora: Account) -> None:
    started, job = begun(client, dora, "tables/web.py")
    about = client.get(f"/api/runs/{started.run.run_id}?token={started.record.token}").get_json()
    assert (about["state"], about["outcome"], about["output"]) == ("running", None, "html")
    assert about["events"] == f"/api/tasks/{job.ticket}/events"
    assert about["socket"].endswith(f"/ws/inter/{job.ticket}")
    end(client, started, Ending(RunOutcome.EXITED, 3, error="It ended with exit code 3."))
    about = client.get(f"/api/runs/{started.run.run_id}?token={started.record.token}").get_json()
    assert (about["state"], about["outcome"], about["exit_code"]) == ("failed", "exited", 3)


def test_the_page_of_the_task_leads_to_that_of_the_run(client: FlaskClient, dora: Account, otto: Account) -> None:
    started, _ = begun(client, dora)
    watch, token = f"/watch/{started.record.ticket}", started.record.token
    assert client.get(watch).status_code == 404
    assert client.get(f"{watch}?token={token}").location == f"/runs/{started.run.run_id}?token={token}"
    log_in(client, dora)
    assert client.get(watch).location == f"/runs/{started.run.run_id}"
    row = client.get("/api/tasks").get_json()["tasks"][0]
    assert row["kindName"] == "Script"


def test_a_page_that_asks_for_events_gets_much_output_in_several_answers(client: FlaskClient, dora: Account) -> None:
    started, job = begun(client, dora)
    for number in range(5):
        job.write("output", {"stream": "stdout", "text": f"{number}" * 400_000})
    after, said, answers = "0-0", "", 0
    while True:
        path = f"/api/tasks/{job.ticket}/events?after={after}&token={started.record.token}"
        answer = client.get(path).get_json()
        answers += 1
        said += "".join(args[1][0] for event, args, _ in answer["messages"] if event == "output")
        after = answer["messages"][-1][2]
        if not answer["more"]:
            break
    assert (said, answers) == ("01234", 3)
