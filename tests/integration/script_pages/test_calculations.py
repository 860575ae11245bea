"""Pages of calculations over HTTP: who sees them, what is listed, what is posted, deleted and shown; played workers."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from html import unescape

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert
from werkzeug.test import TestResponse

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.calculations.calculations import Calculations, input_key
from knossos.scripting.calculations.progress import note_batch
from knossos.scripting.calculations.states import CalculationState, Report
from knossos.scripting.calculations.tables import CalculationRow
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile, new_run_id
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage
from knossos.web import create_app, third_party
from tests.support.people import CHEAP, PASSWORD
from tests.support.scenes import PlayedJob
from tests.support.web import log_in

SAME_ORIGIN = {"Origin": "http://localhost"}
INPUT = b"<input>\n  <title>Al &amp; <b>x</b></title>\n</input>"
SHA1 = hashlib.sha1(INPUT).hexdigest()
ENERGY = {"pattern": r"energy (\S+)", "label": "Energy", "unit": "hartree"}
FORCE = {"pattern": r"force (\S+)", "label": "Force", "unit": ""}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    more = {
        "calculation_command": ("/bin/cat", "input.xml"),
        "calculation_api_keys": ("key of the laboratory",),
        "calculation_plot": (ENERGY, FORCE),
        "calculation_input_bytes": 2000,
        "role_permissions": {"chemists": ("CALCULATION:*",)},
    }
    return settings.model_copy(update=more)


@pytest.fixture
def calculations(settings: Settings, engine: Engine, database: Database) -> Calculations:
    return Calculations(settings, database, Storage(settings), engine)


@pytest.fixture
def clara(database: Database) -> Account:
    return Accounts(database, CHEAP).add("clara", PASSWORD, ["chemists"], more_roles=["chemists"])


def text_of(answer: TestResponse) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def post(client: FlaskClient, path: str = "/calculations", **fields: object) -> TestResponse:
    return client.post(path, data=fields, content_type="multipart/form-data", headers=SAME_ORIGIN)


def shown(client: FlaskClient) -> list[str]:
    return re.findall(r'title="([0-9a-f]{40})"', client.get("/calculations").text)


def begin(calculations: Calculations, engine: Engine, data: bytes = INPUT) -> tuple[str, PlayedJob]:
    """A calculation at which a worker, which is the test, works; its run and its job."""
    found = calculations.post(hashlib.sha1(data).hexdigest(), data)
    assert found.record is not None
    job = PlayedJob.of(engine, found.record).start()
    calculations._runs.begin(found.run_id, found.record.ticket)
    return found.run_id, job


def end(calculations: Calculations, run_id: str, output: bytes, code: int = 0, **files: bytes) -> None:
    kept = []
    all_files = [(FileRole.STDOUT, "stdout", output), *((FileRole.WRITTEN, name, data) for name, data in files.items())]
    for number, (role, name, data) in enumerate(all_files):
        key = f"runs/{run_id}/{number}"
        calculations._storage.put_bytes(key, data)
        kept.append(KeptFile(number, role, name, len(data), key))
    error = f"It ended with exit code {code}." if code else ""
    calculations._runs.end(run_id, Ending(RunOutcome.EXITED, code, error=error), kept, 1000)


# --- who sees them ---------------------------------------------------------------------------------------


def test_the_pages_are_for_operators_and_for_those_with_the_permission(
    client: FlaskClient, calculations: Calculations, clara: Account, otto: Account, olga: Account
) -> None:
    run_id = calculations.post(SHA1, INPUT).run_id
    paths = ("/calculations", f"/runs/{run_id}", f"/runs/{run_id}/input.xml", f"/runs/{run_id}/values.csv")
    assert client.get("/calculations").location == "/login?next=/calculations"
    assert [client.get(path).status_code for path in paths[1:]] == [404, 404, 404]
    log_in(client, otto)
    assert [client.get(path).status_code for path in paths] == [403, 404, 404, 404]
    for path in ("/calculations", "/calculations/again", "/calculations/delete"):
        assert post(client, path, sha1=SHA1, confirmed="yes", text="<a/>").status_code == 403
    for account in (clara, olga):
        log_in(client, account)
        assert [client.get(path).status_code for path in paths] == [200, 200, 200, 200]
    assert shown(client) == [SHA1]


def test_whoever_has_the_link_with_the_token_sees_that_one_and_can_change_no_other(
    client: FlaskClient, calculations: Calculations
) -> None:
    answer = client.get(f"/{SHA1}/status?key=key of the laboratory")
    assert answer.status_code == 404
    assert client.post(f"/{SHA1}/?key=key of the laboratory", data=INPUT).text == "POST OK"
    link = client.get(f"/{SHA1}/status?key=key of the laboratory").headers["Link"].partition(">")[0][1:]
    page = client.get(link)
    assert page.status_code == 200
    assert "/calculations/delete" not in page.text
    token = link.partition("?")[2]
    assert client.get(f"{link.partition('?')[0]}/input.xml?{token}").data == INPUT
    assert post(client, "/calculations/delete", sha1=SHA1, confirmed="yes").status_code == 303
    assert calculations.get(SHA1).state is CalculationState.QUEUED


def test_an_open_service_shows_its_calculations_to_everybody_and_none_is_not_there(
    settings: Settings, engine: Engine, olga: Account, otto: Account
) -> None:
    third_party.install()
    opened = create_app(
        settings.model_copy(update={"calculation_open": True, "calculation_api_keys": ()}), engine
    ).test_client()
    answer = post(opened, text=INPUT.decode())
    assert opened.get(answer.location).status_code == 200
    assert shown(opened) == [SHA1]
    closed = create_app(settings.model_copy(update={"calculation_command": ()}), engine).test_client()
    assert closed.get("/calculations").status_code == 404
    assert log_in(closed, otto).get("/calculations").status_code == 404
    assert "set CALCULATION_COMMAND" in text_of(log_in(closed, olga).get("/calculations"))


def test_no_other_site_changes_anything(client: FlaskClient, calculations: Calculations, clara: Account) -> None:
    calculations.post(SHA1, INPUT)
    log_in(client, clara)
    for path in ("/calculations", "/calculations/again", "/calculations/delete"):
        data = {"sha1": SHA1, "confirmed": "yes", "text": "<a/>"}
        assert client.post(path, data=data, headers={"Origin": "https://evil.example"}).status_code == 403
    assert shown(client) == [SHA1]


# --- posting, deleting -----------------------------------------------------------------------------------


def test_an_input_is_posted_as_a_file_or_as_text_and_again_leads_to_the_same_page(
    client: FlaskClient, clara: Account, calculations: Calculations
) -> None:
    log_in(client, clara)
    first = post(client, file=(io.BytesIO(INPUT), "input.xml"))
    assert first.status_code == 303
    assert first.location == f"/runs/{calculations.get(SHA1).run_id}"
    # As a browser sends what is typed.
    assert post(client, text=INPUT.decode().replace("\n", "\r\n")).location == first.location
    assert shown(client) == [SHA1]


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("", 400, "choose a file, or paste what is in it"),
        ("<a>", 400, "this is no XML"),
        ("<!DOCTYPE a [<!ENTITY b 'bb'>]><a>&b;</a>", 400, "no declarations of entities"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", 400, "no document type that lies elsewhere"),
        ("<a>" + "x" * 2000 + "</a>", 413, "at most 2,000 bytes"),
        ("<a>" + "x" * 200_000 + "</a>", 413, "at most 2,000 bytes"),
    ],
)
def test_what_is_no_input_is_said_at_the_form_with_what_was_typed_and_nothing_is_kept(
    client: FlaskClient, clara: Account, text: str, status: int, says: str
) -> None:
    answer = post(log_in(client, clara), text=text)
    assert answer.status_code == status
    assert says in text_of(answer)
    assert shown(client) == []
    if status == 400:
        assert re.search(r"<textarea[^>]*>([^<]*)</textarea>", answer.text)[1] == text.replace(  # type: ignore[index]
            "&", "&amp;"
        ).replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;")


def test_deleting_is_asked_for_and_leaves_nothing(
    client: FlaskClient, clara: Account, calculations: Calculations
) -> None:
    run_id = calculations.post(SHA1, INPUT).run_id
    log_in(client, clara)
    asked = post(client, "/calculations/delete", sha1=SHA1)
    assert (asked.status_code, "Delete this calculation?" in text_of(asked)) == (200, True)
    assert shown(client) == [SHA1]
    assert post(client, "/calculations/delete", sha1=SHA1, confirmed="yes").location == "/calculations"
    assert shown(client) == []
    assert client.get(f"/runs/{run_id}").status_code == 404
    assert calculations._storage.head(input_key(run_id)) is None
    assert post(client, "/calculations/delete", sha1=SHA1, confirmed="yes").status_code == 303
    assert post(client, "/calculations/delete", sha1="../x").status_code == 400


def test_one_that_failed_is_started_again_from_its_page_with_the_same_input(
    client: FlaskClient, clara: Account, calculations: Calculations, engine: Engine
) -> None:
    run_id, _ = begin(calculations, engine)
    end(calculations, run_id, b"no", code=3)
    page = log_in(client, clara).get(f"/runs/{run_id}")
    assert "Calculate again" in page.text
    answer = post(client, "/calculations/again", sha1=SHA1)
    assert answer.location == f"/runs/{calculations.get(SHA1).run_id}" != f"/runs/{run_id}"
    assert calculations.input(calculations.get(SHA1).run_id) == INPUT
    assert post(client, "/calculations/again", sha1="0" * 40).status_code == 404


# --- one of them -----------------------------------------------------------------------------------------


def test_the_page_of_one_has_its_input_its_files_and_its_plot(
    client: FlaskClient, clara: Account, calculations: Calculations, engine: Engine
) -> None:
    run_id, job = begin(calculations, engine)
    job.write("output", {"stream": "stdout", "text": "energy -1.5\nenergy -"})
    job.write("output", {"stream": "stderr", "text": "energy 99\n"})
    job.write("output", {"stream": "stdout", "text": "1.25\n"})
    log_in(client, clara)
    live = client.get(f"/runs/{run_id}").text
    assert "The files that it writes are here when it has ended." in live
    assert "2 values from \N{MINUS SIGN}1.5 to \N{MINUS SIGN}1.25 hartree" in live
    assert f'data-token="{calculations.get(SHA1).record.token}"' in live  # type: ignore[union-attr]
    output = b"energy -1.5\nenergy -1.25\nforce 3\nenergy -1.125\n"
    end(calculations, run_id, output, **{"info.xml": b"<i/>", "sub/eigval.xml": b"<e/>", "input.xml": INPUT})
    page = client.get(f"/runs/{run_id}")
    assert "are here when it has ended" not in page.text
    assert "&lt;title&gt;Al &amp;amp; &lt;b&gt;x&lt;/b&gt;&lt;/title&gt;" in page.text
    files = re.findall(r'download="([^"]+)"', page.text)
    assert files == ["stdout.txt", "info.xml", "sub/eigval.xml", "input.xml"]
    points = json.loads(unescape(re.search(r'<data value="([^"]*)"', page.text)[1]))  # type: ignore[index]
    assert points == [[[[1, -1.5], [2, -1.25], [3, -1.125]]], [[[1, 3.0]]]]
    assert page.text.count('<svg class="plot plot-wide"') == 2, "one for each unit"
    rows = client.get(f"/runs/{run_id}/values.csv")
    assert rows.text.splitlines() == ["iteration,Energy [hartree],Force", "1,-1.5,3.0", "2,-1.25,", "3,-1.125,"]
    given = client.get(f"/runs/{run_id}/input.xml")
    assert (given.data, given.headers["Content-Disposition"]) == (INPUT, "attachment; filename=input.xml")
    assert "Access-Control-Allow-Origin" not in given.headers
    listed = text_of(client.get("/calculations"))
    assert "Done \N{MINUS SIGN}1.125 hartree 3" in listed


def test_what_a_batch_system_says_of_one_is_on_its_page_and_in_the_list(
    settings: Settings, engine: Engine, database: Database, clara: Account
) -> None:
    scripts = {"calculation_command": (), "calculation_startcalc": "start", "calculation_getstatus": "get"}
    settings = settings.model_copy(update=scripts)
    third_party.install()
    client = log_in(create_app(settings, engine).test_client(), clara)
    calculations = Calculations(settings, database, Storage(settings), engine)
    run_id, _ = begin(calculations, engine)
    note_batch(database, run_id, Report(CalculationState.UNKNOWN, "Slurm <does> not answer"), "4711;cluster")
    page = text_of(client.get(f"/runs/{run_id}"))
    assert "Job 4711;cluster : Slurm <does> not answer" in page
    assert "Calculation Unknown: Slurm <does> not answer" in page
    note_batch(database, run_id, Report(CalculationState.UNKNOWN, "it was not submitted yet"), "")
    assert "it was not submitted yet" in client.get(f"/runs/{run_id}").text.split('data-swap="batch"')[1][:200]
    for state, count in (("unknown", 1), ("running", 0), ("failed", 0)):
        assert client.get(f"/calculations?state={state}").text.count("data-key") == count


# --- the list --------------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_state_paged_and_its_numbers_are_kept(
    client: FlaskClient, clara: Account, calculations: Calculations, engine: Engine, database: Database
) -> None:
    wanted: dict[str, str] = {}
    for state, code in (("finished", 0), ("failed", 2)):
        data = f"<i>{state}</i>".encode()
        run_id, _ = begin(calculations, engine, data)
        end(calculations, run_id, f"energy {code + 0.5}\n".encode(), code)
        wanted[state] = run_id
    wanted["running"] = begin(calculations, engine, b"<i>running</i>")[0]
    wanted["queued"] = calculations.post(hashlib.sha1(b"<i>queued</i>").hexdigest(), b"<i>queued</i>").run_id
    cancelled = calculations.post(hashlib.sha1(b"<i>c</i>").hexdigest(), b"<i>c</i>")
    assert cancelled.record is not None
    engine.cancel(cancelled.record.ticket, "Not wanted.")
    wanted["cancelled"] = cancelled.run_id
    log_in(client, clara)
    assert re.findall(r'data-key="([^"]+)"', client.get("/calculations").text) == list(wanted.values())[::-1]
    for state, run_id in wanted.items():
        assert re.findall(r'data-key="([^"]+)"', client.get(f"/calculations?state={state}").text) == [run_id], state
    assert "0.5 hartree" in client.get("/calculations?state=finished").text
    # It is not read again: the file may go.
    calculations._storage.delete(f"runs/{wanted['finished']}/0")
    assert "0.5 hartree" in client.get("/calculations").text
    assert "No calculation is in this state" in text_of(client.get("/calculations?state=unknown"))


def test_ten_thousand_are_listed_by_pages(
    client: FlaskClient, clara: Account, calculations: Calculations, database: Database
) -> None:
    now = time.time()
    ids = [new_run_id() for _ in range(10_000)]
    runs = [
        {"id": run_id, "kind": "calculation", "name": "calculation", "owner": "calculations", "arguments": "[]",
         "created_at": now - number, "ended_at": now, "started_at": now - 9, "expires_at": now + 9999,
         "outcome": "exited", "exit_code": 0, "shared_name": run_id}
        for number, run_id in enumerate(ids)
    ]  # fmt: skip
    rows = [
        {"sha1": hashlib.sha1(run_id.encode()).hexdigest(), "run_id": run_id, "created_at": now, "changed_at": now}
        for run_id in ids
    ]
    with database.session() as session:
        session.execute(insert(ScriptRun), runs)
        session.execute(insert(CalculationRow), rows)
    log_in(client, clara)
    found: list[str] = []
    address = "/calculations?state=finished"
    for _ in range(3):
        page = client.get(address).text
        found += re.findall(r'data-key="([^"]+)"', page)
        address = unescape(re.search(r'rel="next" href="([^"]+)"', page)[1])  # type: ignore[index]
    assert found == ids[:150]
