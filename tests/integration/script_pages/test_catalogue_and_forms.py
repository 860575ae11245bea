"""Pages of scripts: which there are, what a form may send, what is left of it."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.accounts import Account
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.settings import Settings
from knossos.web import create_app, third_party
from knossos.web.services import EXTENSION
from tests.support.script_pages import SAME_ORIGIN, scripting_of, text_of
from tests.support.script_scenes import write_script
from tests.support.web import log_in


def send(client: FlaskClient, path: str, *fields: tuple[str, Any], **headers: str) -> TestResponse:
    data: dict[str, list[Any]] = {}
    for name, value in fields:
        data.setdefault(name, []).append((io.BytesIO(value[1]), value[0]) if isinstance(value, tuple) else value)
    return client.post(
        path, data=data or {"x": ""}, content_type="multipart/form-data", headers={**SAME_ORIGIN, **headers}
    )


FILLED = (
    ("title", 'A "quoted" <b>title</b>'),
    ("table", ("folder/t.csv", b"a\n")),
    ("folder", "/x"),
    ("samples.0", ""),
    ("samples.0.name", "one"),
    ("samples.0.volume", "2.5"),
)


def test_a_visitor_sees_in_menu_and_list_what_they_may_run(client: FlaskClient, dora: Account, otto: Account) -> None:
    assert 'href="/scripts"' in client.get("/login").text
    assert "Run a script" in text_of(client.get("/"))
    page = client.get("/scripts")
    assert "Check a table" in page.text
    assert "Measure samples" not in page.text
    assert "The weather" not in page.text
    log_in(client, dora)
    page = text_of(client.get("/scripts"))
    assert "Measure samples Reads a table. measure.py" in page
    assert "Called over HTTP The weather POST /task/weather?city=…" in page
    found = text_of(client.get("/scripts?q=READS+samples"))
    assert "Measure samples" in found
    assert "Check a table" not in found
    assert "No script passes this search." in text_of(client.get("/scripts?q=nothing"))


def test_without_scripts_an_operator_is_told_how_to_add_one_and_a_stranger_to_log_in(
    settings: Settings, engine: Engine, database: Database, olga: Account, otto: Account
) -> None:
    for folders, words in (
        ((), "Name a folder in the settings"),
        ((str(settings.data_path),), "Put an executable into"),
    ):
        bare = settings.model_copy(
            update={"server_side_scripting_bin_dirs": folders, "runners_dir": None, "role_permissions": {}}
        )
        third_party.install()
        client = create_app(bare, engine).test_client()
        assert 'href="/scripts"' not in client.get("/login").text
        assert "Log in" in text_of(client.get("/scripts")).partition("nothing to run here")[2]
        log_in(client, otto)
        assert "nothing here that you may run yet" in text_of(client.get("/scripts"))
        log_in(client, olga)
        assert words in text_of(client.get("/scripts"))


def test_whoever_may_not_run_a_script_does_not_get_its_page(client: FlaskClient, otto: Account) -> None:
    answer = client.get("/scripts/measure.py")
    assert (answer.status_code, answer.location) == (303, "/login?next=/scripts/measure.py")
    log_in(client, otto)
    assert client.get("/scripts/measure.py").status_code == 403
    assert send(client, "/scripts/measure.py", *FILLED).status_code == 403
    for missing in ("tables/none.py", "tables/../measure.py", "tables", "tables/.hidden", "tables/web.py.json"):
        assert client.get(f"/scripts/{missing}").status_code in (403, 404)


def test_a_script_with_a_broken_file_beside_it_is_not_offered(
    client: FlaskClient, olga: Account, tmp_path: Path
) -> None:
    write_script(tmp_path / "bin", "bad.py", "", form={"fields": [{"type": "text", "name": "a", "max_length": 0}]})
    log_in(client, olga)
    assert "bad.py" not in client.get("/scripts").text
    answer = client.get("/scripts/bad.py")
    assert answer.status_code == 500
    assert "This script is not set up rightly: bad.py.json: form.fields.0.max_length" in text_of(answer)


def test_a_form_becomes_form_json_with_its_files_and_the_run_is_the_next_page(
    client: FlaskClient, dora: Account, engine: Engine
) -> None:
    log_in(client, dora)
    answer = send(client, "/scripts/measure.py", *FILLED)
    assert answer.status_code == 303, text_of(answer)
    run = scripting_of(client).runs.get(answer.location.rpartition("/")[2])
    assert (run.name, run.owner, run.arguments) == ("measure.py", "account:dora", (".upload_files/form.json",))
    assert run.ticket is not None
    inputs = {file["name"]: file["key"] for file in engine.payload(run.ticket)["inputs"]}
    assert set(inputs) == {"t.csv", "form.json"}
    storage = scripting_of(client).storage
    assert b"".join(storage.read(inputs["t.csv"])) == b"a\n"
    assert json.loads(b"".join(storage.read(inputs["form.json"]))) == {
        "title": 'A "quoted" <b>title</b>',
        "table": "t.csv",
        "code": None,
        "kind": None,
        "day": None,
        "folder": "/x",
        "samples": [{"name": "one", "volume": 2.5, "cold": False, "tags": []}],
    }


def test_a_form_begins_with_what_an_earlier_run_had_while_it_is_the_same_form(
    client: FlaskClient, dora: Account, settings: Settings
) -> None:
    log_in(client, dora)
    run_id = send(client, "/scripts/measure.py", *FILLED, ("samples.1.name", "two"), ("samples.1.volume", "3")).location
    run_id = run_id.rpartition("/")[2]
    scripting_of(client).runs.end(run_id, Ending(RunOutcome.EXITED, 0), ())
    assert f"/scripts/measure.py?again={run_id}" in client.get(f"/runs/{run_id}").text
    again = client.get(f"/scripts/measure.py?again={run_id}").text
    assert 'value="A &#34;quoted&#34; &lt;b&gt;title&lt;/b&gt;"' in again
    for value in ("one", "2.5", "two", "3"):
        assert f'value="{value}"' in again
    other = run_id[:-1] + ("0" if run_id[-1] != "0" else "1")
    assert 'value="two"' not in client.get(f"/scripts/measure.py?again={other}").text
    form = {"submit": "Measure", "fields": [{"type": "text", "name": "samples"}]}
    write_script(Path(settings.server_side_scripting_bin_dirs[0]), "measure.py", "", title="Other", form=form)
    changed = client.get(f"/scripts/measure.py?again={run_id}")
    assert "two" not in text_of(changed)
    assert 'value="two"' not in changed.text
    scripting_of(client).runs.remove(run_id, "Removed.")
    assert not list(scripting_of(client).storage.list_keys("runs"))


def test_what_is_wrong_is_said_at_its_field_with_what_was_typed_and_nothing_is_kept(
    client: FlaskClient, dora: Account, settings: Settings
) -> None:
    log_in(client, dora)
    answer = send(client, "/scripts/measure.py", *FILLED[:4], ("samples.0.name", "<one>"), ("samples.0.volume", "x"))
    assert answer.status_code == 400
    assert 'value="A &#34;quoted&#34; &lt;b&gt;title&lt;/b&gt;"' in answer.text
    assert 'value="&lt;one&gt;"' in answer.text
    assert re.search(
        r'name="samples\.0\.volume" required aria-invalid="true"\s+aria-describedby="f-samples\.0\.volume-error"',
        answer.text,
    )
    assert "Expected a number, such as 2.5." in answer.text
    assert "Choose t.csv again" in answer.text
    # Above the form it is said of which field: "Fill this in" alone could be any.
    assert '<a href="#f-samples.0.volume">Samples: Sample 1: Volume: Expected a number' in answer.text
    nothing_is_left(client, settings)


def nothing_is_left(client: FlaskClient, settings: Settings) -> None:
    scripting = scripting_of(client)
    assert scripting.runs.history(None) == []
    assert list(scripting.storage.list_keys("runs")) == []
    assert scripting.storage.folder is not None
    assert list((scripting.storage.folder / "incoming").glob("*")) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".hidden", "does not begin with a dot"),
        ("x" * 300 + ".csv", "at most 255 bytes"),
        ("form.json", "Expected a file whose name ends in .csv."),
        ("t.txt", "Expected a file whose name ends in .csv."),
    ],
)
def test_a_file_with_a_name_that_cannot_be_is_refused_at_its_field(
    client: FlaskClient, dora: Account, settings: Settings, name: str, reason: str
) -> None:
    log_in(client, dora)
    answer = send(client, "/scripts/measure.py", FILLED[0], ("table", (name, b"x")), *FILLED[2:])
    assert answer.status_code == 400
    assert reason in text_of(answer)
    nothing_is_left(client, settings)


def test_rows_come_and_go_by_buttons_and_start_nothing(client: FlaskClient, dora: Account, settings: Settings) -> None:
    log_in(client, dora)
    answer = send(client, "/scripts/measure.py", *FILLED, (":add", "samples"))
    assert answer.status_code == 200
    assert 'name="samples.1.name"' in answer.text
    answer = send(client, "/scripts/measure.py", *FILLED, ("samples.1", ""), (":remove", "samples.0"))
    assert answer.status_code == 200
    assert 'name="samples.0.name"' in answer.text
    assert 'value="one"' not in answer.text
    nothing_is_left(client, settings)


def test_a_script_without_a_form_is_given_arguments_and_files_and_the_same_once_more(
    client: FlaskClient, settings: Settings
) -> None:
    sent = [("arguments.0", "--x"), ("arguments.1", "b c"), ("named.0.name", "size"), ("named.0.value", "3")]
    files = [("files", ("a.txt", b"a")), ("files", ("b.txt", b"b")), ("other", ("c.txt", b"c"))]
    answer = send(client, "/scripts/tables/echo.py", *sent, *files)
    assert answer.status_code == 303, text_of(answer)
    # Nobody is logged in, so the link has the token.
    run_id, _, token = answer.location.removeprefix("/runs/").partition("?token=")
    run = scripting_of(client).runs.get(run_id)
    assert (run.owner, run.arguments) == ("anonymous", ("--size=3", "--x", "b c"))
    assert run.ticket is not None
    payload = client.application.extensions[EXTENSION].engine.payload(run.ticket)
    assert [file["name"] for file in payload["inputs"]] == ["a.txt", "b.txt"]
    again = client.get(f"/scripts/tables/echo.py?again={run_id}&token={token}").text
    assert 'value="--x"' in again
    assert 'value="size"' in again
    assert 'value="--x"' not in client.get(f"/scripts/tables/echo.py?again={run_id}").text
    refused = send(client, "/scripts/tables/echo.py", ("named.0.name", "auth-token"), ("named.0.value", "x"))
    assert refused.status_code == 400
    assert "the server gives this argument itself" in text_of(refused)


def test_no_other_site_starts_a_script_in_a_visitors_name(
    client: FlaskClient, dora: Account, settings: Settings
) -> None:
    log_in(client, dora)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert send(client, "/scripts/measure.py", *FILLED, **headers).status_code == 403
        assert client.post("/runs/x/cancel", headers=headers).status_code == 403
    nothing_is_left(client, settings)


def test_a_body_that_is_no_form_is_refused_and_nothing_is_kept(
    client: FlaskClient, dora: Account, settings: Settings
) -> None:
    log_in(client, dora)
    part = b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\n'
    bodies = {
        "urlencoded": ("application/x-www-form-urlencoded", b"title=a"),
        "cut off": ("multipart/form-data; boundary=x", part + b"a"),
        "too many": ("multipart/form-data; boundary=x", (part + b"a\r\n") * 5002 + b"--x--"),
        "too long": ("multipart/form-data; boundary=x", part + b"a" * (5 * 1024 * 1024) + b"\r\n--x--"),
    }
    for what, (kind, body) in bodies.items():
        answer = client.post("/scripts/measure.py", data=body, content_type=kind, headers=SAME_ORIGIN)
        assert answer.status_code == 400, what
    nothing_is_left(client, settings)


def test_what_the_browser_checks_by_stands_in_the_page_whole(
    client: FlaskClient, olga: Account, tmp_path: Path
) -> None:
    field = {"type": "text", "name": "a", "label": "\"'<b>&amp;", "pattern": "[\"'<]*", "placeholder": "</form>"}
    write_script(tmp_path / "bin", "odd.py", "", form={"fields": [field]})
    log_in(client, olga)
    found = re.search(r'data-config="([^"]*)"', client.get("/scripts/odd.py").text)
    assert found is not None
    assert json.loads(unescape(found[1])) == {"fields": [field]}
