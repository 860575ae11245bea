"""script-server.md over HTTP, as far as nothing runs: logins, files, who may, what is refused; and jobs that play."""

from __future__ import annotations

import io
import os
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos import __version__
from knossos.accounts import COOKIE_NAME, Account
from knossos.database import Database
from knossos.homes import Homes
from knossos.jobs import Engine
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile, run_prefix
from knossos.scripting.runs import Runs
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage
from knossos.web import create_app
from tests.support.people import PASSWORD, add_account, with_cheap_passwords

ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    more = {"command": "sh", "args": ("-s",), "name": "The lab", "home_quota_bytes": 1_000_000, "max_running": 2}
    return settings.model_copy(update={**more, "max_script_bytes": 1000, "script_owner_runs": 3})


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def people(database: Database) -> dict[str, Account]:
    return {
        "dora": add_account(database, "Dora"),
        "emil": add_account(database, "emil"),
        "olga": add_account(database, "olga", "operator"),
    }


@pytest.fixture
def anyone(settings: Settings, engine: Engine, people: dict[str, Account]) -> FlaskClient:
    return with_cheap_passwords(create_app(settings, engine)).test_client()


def log_in(anyone: FlaskClient, name: str) -> FlaskClient:
    client = anyone.application.test_client()
    answer = client.post("/api/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return client


@pytest.fixture
def dora(anyone: FlaskClient) -> FlaskClient:
    return log_in(anyone, "dora")


def refused(answer: TestResponse, status: int, word: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.json is not None
    assert answer.json["error"] is True
    assert answer.json["message"]
    assert word in answer.text


def listed(client: FlaskClient, path: str = "") -> dict[str, int | None]:
    answer = client.get(f"/api/files/{path}")
    assert answer.status_code == 200, answer.text
    return {one["name"]: one.get("size") for one in answer.json or ()}


# --- logins ---------------------------------------------------------------------------------------------


def test_info_says_who_one_is(anyone: FlaskClient, dora: FlaskClient) -> None:
    told = anyone.get("/api/info").json
    assert told is not None
    assert {name: told[name] for name in ("jobs_running", "jobs_waiting", "name", "username", "version")} == {
        "jobs_running": 0,
        "jobs_waiting": 0,
        "name": "The lab",
        "username": None,
        "version": __version__,
    }
    assert (dora.get("/api/info").json or {})["username"] == "Dora"


def test_a_login_is_the_session_of_all_protocols_until_the_logout(dora: FlaskClient) -> None:
    assert dora.get_cookie(COOKIE_NAME) is not None
    assert b'name="dora"' in dora.get("/Info").data.lower()
    assert dora.post("/api/logout").status_code == 200
    refused(dora.get("/api/jobs"), 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "dora", "password": "wrong"}, 401),
        ({"username": "nobody", "password": PASSWORD}, 401),
        ({"username": "dora"}, 400),
        ({"username": "dora", "password": 7}, 400),
        ({"username": ["dora"], "password": PASSWORD}, 400),
        ({"username": "do\0ra", "password": PASSWORD}, 400),
        ([], 400),
        ("x", 400),
        (None, 400),
    ],
)
def test_a_wrong_login_is_refused(anyone: FlaskClient, body: Any, status: int) -> None:
    refused(anyone.post("/api/login", json=body), status)
    assert anyone.get_cookie(COOKIE_NAME) is None


def test_tries_are_limited_as_everywhere(settings: Settings, engine: Engine, people: dict[str, Account]) -> None:
    app = create_app(settings.model_copy(update={"login_failures_per_account": 2}), engine)
    client = with_cheap_passwords(app).test_client()
    for status in (401, 401, 429):
        refused(client.post("/api/login", json={"username": "emil", "password": "wrong"}), status)
    answer = client.post("/api/login", json={"username": "emil", "password": PASSWORD})
    refused(answer, 429)
    assert int(answer.headers["Retry-After"]) > 0


ALL = [
    ("POST", "/api/logout"),
    ("POST", "/api/run"),
    ("GET", "/api/jobs"),
    ("GET", "/api/jobs/1"),
    ("POST", "/api/jobs/1"),
    ("GET", "/api/home"),
    ("GET", "/api/files/"),
    ("POST", "/api/files/"),
    ("GET", "/api/files/x"),
    ("PUT", "/api/files/x"),
    ("POST", "/api/files/x"),
    ("DELETE", "/api/files/x"),
]


@pytest.mark.parametrize(("method", "path"), ALL)
def test_everything_else_needs_a_login(anyone: FlaskClient, settings: Settings, method: str, path: str) -> None:
    refused(anyone.open(path, method=method, data=b"x"), 401)
    anyone.set_cookie(COOKIE_NAME, "nonsense")
    refused(anyone.open(path, method=method, data=b"x"), 401)
    assert not settings.homes_folder.exists()


@pytest.mark.parametrize(("method", "path"), [one for one in ALL if one[0] != "GET"])
def test_pages_of_other_sites_change_nothing(dora: FlaskClient, method: str, path: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        refused(dora.open(path, method=method, data=b"x", headers=headers), 403)
    refused(dora.post("/api/login", json={"username": "emil", "password": PASSWORD}, headers=headers), 403)
    assert listed(dora) == {}


def test_our_own_pages_may(dora: FlaskClient) -> None:
    assert dora.put("/api/files/a", data=b"x", headers=ORIGIN).status_code == 200
    refused(dora.put("/api/files/a", data=b"x", headers={**ORIGIN, "Sec-Fetch-Site": "same-site"}), 403)


# --- files ----------------------------------------------------------------------------------------------


def test_files_are_stored_listed_moved_copied_and_removed(dora: FlaskClient) -> None:
    assert dora.post("/api/files/", json={"command": "mkdir", "name": "d"}).status_code == 200
    assert dora.put("/api/files/d/ü%20x.txt", data=b"hello").status_code == 200
    assert dora.post("/api/files/d", json={"command": "copy", "to": "/e"}).status_code == 200
    assert dora.post("/api/files/e/ü x.txt", json={"command": "move", "to": "/y.txt"}).status_code == 200
    assert listed(dora) == {"d": None, "e": None, "y.txt": 5}
    assert listed(dora, "e") == {}
    assert listed(dora, "d//") == {"ü x.txt": 5}
    (entry,) = dora.get("/api/files/d").json or ()
    assert abs(time.time() - time.mktime(time.strptime(entry["mtime"][:19], "%Y-%m-%dT%H:%M:%S"))) < 2 * 86400
    assert dora.delete("/api/files/d").status_code == 200
    assert listed(dora) == {"e": None, "y.txt": 5}
    assert listed(dora, "") == listed(dora, ".") == listed(dora, "/") == listed(dora, "%2F.//")
    assert dora.put("/api/files/%2Fe/a%0Ab", data=b"x").status_code == 200
    assert listed(dora, "//e") == {"a\nb": 1}


def test_a_file_comes_whole_in_part_or_not_at_all(dora: FlaskClient) -> None:
    dora.put("/api/files/a.html", data=b"0123456789")
    answer = dora.get("/api/files/a.html")
    assert (answer.status_code, answer.data) == (200, b"0123456789")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    etag = answer.headers["ETag"]
    part = dora.get("/api/files/a.html", headers={"Range": "bytes=2-4", "If-Range": etag})
    assert (part.status_code, part.data, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert dora.get("/api/files/a.html", headers={"Range": "bytes=-3"}).data == b"789"
    assert dora.get("/api/files/a.html", headers={"Range": "bytes=10-"}).status_code == 416
    assert dora.get("/api/files/a.html", headers={"If-None-Match": etag}).status_code == 304
    head = dora.head("/api/files/a.html")
    assert (head.data, head.content_length) == (b"", 10)
    dora.put("/api/files/a.html", data=b"other")
    assert dora.get("/api/files/a.html", headers={"Range": "bytes=2-4", "If-Range": etag}).data == b"other"


LEAVING = ["..", "../x", "%2e%2e", "%2e%2e/x", "..%2fx", "a/../../x", "a/%2E%2E/b", ".%2e/x", "a/b/%2e./c"]


@pytest.mark.parametrize("path", LEAVING)
def test_paths_that_leave_the_home_touch_nothing(dora: FlaskClient, settings: Settings, path: str) -> None:
    dora.put("/api/files/f", data=b"f")
    before = sorted(str(one) for one in settings.data_path.rglob("*"))
    for method in ("GET", "PUT", "DELETE"):
        assert dora.open(f"/api/files/{path}", method=method, data=b"x").status_code in (403, 404, 405)
    for command in ("move", "copy"):
        sent = {"command": command, "to": path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/")}
        assert dora.post("/api/files/f", json=sent).status_code in (403, 404)
        assert dora.post(f"/api/files/{path}", json={"command": command, "to": "g"}).status_code in (403, 404)
    assert sorted(str(one) for one in settings.data_path.rglob("*")) == before
    assert listed(dora) == {"f": 1}


@pytest.mark.parametrize("path", ["%00", "a%00b", "a" * 256, "%2500"])
def test_names_that_no_file_has_are_refused(dora: FlaskClient, path: str) -> None:
    status = 404 if path == "%2500" else 400
    refused(dora.get(f"/api/files/{path}"), status)
    if status == 400:
        refused(dora.put(f"/api/files/{path}", data=b"x"), 400)
        assert listed(dora) == {}


def raw(client: FlaskClient, method: str, path: bytes, **more: Any) -> TestResponse:
    """Ask for a path of bytes: Flask's client knows texts only."""
    more["environ_overrides"] = {"PATH_INFO": (b"/api/files/" + path).decode("latin-1")}
    return client.open("/api/files/x", method=method, **more)


def test_names_that_are_no_text_are_listed_read_renamed_and_removed_and_nothing_new_gets_one(
    dora: FlaskClient, settings: Settings, people: dict[str, Account]
) -> None:
    dora.put("/api/files/f", data=b"f")
    folder = os.fsencode(Homes(settings).folder(people["dora"].user_id))
    for name in (b"\xff", b"\xfe", b"\xc0\xae\xc0\xae"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(name)
    entries = [one for one in dora.get("/api/files/").json or () if "address" in one]
    assert {one["address"] for one in entries} == {"%FF", "%FE", "%C0%AE%C0%AE"}
    assert {one["name"] for one in entries} == {"\ufffd", "\ufffd" * 4}
    assert raw(dora, "GET", b"\xff").data == b"\xff"
    assert raw(dora, "GET", b"\xc0\xae\xc0\xae").data == b"\xc0\xae\xc0\xae"
    assert raw(dora, "POST", b"\xff", json={"command": "move", "to": "/good"}).status_code == 200
    assert raw(dora, "DELETE", b"\xfe").status_code == 200
    assert raw(dora, "DELETE", b"\xc0\xae\xc0\xae").status_code == 200
    refused(raw(dora, "GET", b"\xff"), 404)
    refused(raw(dora, "PUT", b"\xff", data=b"x"), 400)
    refused(raw(dora, "GET", b"\xed\xa0\x80"), 404)
    for command in ("move", "copy"):
        refused(dora.post("/api/files/f", json={"command": command, "to": "\udcff"}), 400)
    assert listed(dora) == {"f": 1, "good": 1}


def test_an_upload_replaces_nothing_where_it_may_not(dora: FlaskClient) -> None:
    free = {"If-None-Match": "*"}
    assert dora.put("/api/files/f", data=b"first", headers=free).status_code == 200
    refused(dora.put("/api/files/f", data=b"second", headers=free), 412)
    assert dora.get("/api/files/f").data == b"first"
    assert dora.put("/api/files/f", data=b"second").status_code == 200
    assert dora.get("/api/files/f").data == b"second"


def test_a_home_says_how_full_it_is(dora: FlaskClient) -> None:
    before = dora.get("/api/home").json or {}
    dora.put("/api/files/f", data=b"x" * 100_000)
    after = dora.get("/api/home").json or {}
    assert after["quota"] == before["quota"] == 1_000_000
    assert after["used"] - before["used"] >= 100_000


def test_a_folder_comes_as_a_zip_or_some_of_it(
    dora: FlaskClient, settings: Settings, people: dict[str, Account]
) -> None:
    dora.post("/api/files/", json={"command": "mkdir", "name": "d"})
    dora.post("/api/files/d", json={"command": "mkdir", "name": "empty"})
    dora.put("/api/files/d/größe ☃.txt", data=b"x" * 10_000)
    dora.put("/api/files/d/b", data=b"b")
    (Homes(settings).folder(people["dora"].user_id) / "d" / "link").symlink_to("/etc/passwd")
    answer = dora.get("/api/files/d?zip")
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''d.zip"
    assert "Access-Control-Allow-Origin" not in answer.headers
    with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
        assert packed.testzip() is None
        assert set(packed.namelist()) == {"größe ☃.txt", "b", "empty/"}
        assert packed.read("größe ☃.txt") == b"x" * 10_000
        assert abs(time.time() - datetime(*packed.getinfo("b").date_time, tzinfo=UTC).timestamp()) < 86400
    with zipfile.ZipFile(io.BytesIO(dora.get("/api/files/?zip&name=d").data)) as packed:
        assert set(packed.namelist()) == {"d/größe ☃.txt", "d/b", "d/empty/"}
    refused(dora.get("/api/files/d?zip&name=missing"), 404, "missing")
    for name in ("..", "a/b", "/etc", ""):
        assert dora.get("/api/files/d", query_string={"zip": "", "name": name}).status_code in (400, 403)


def test_nobody_sees_the_home_of_another(anyone: FlaskClient, dora: FlaskClient, people: dict[str, Account]) -> None:
    dora.put("/api/files/f", data=b"f")
    for name in ("emil", "olga"):
        other = log_in(anyone, name)
        assert listed(other) == {}
        for path in ("f", f"{people['dora'].user_id}/f", "Dora/f"):
            refused(other.get(f"/api/files/{path}"), 404)


def test_links_in_a_home_lead_nowhere(dora: FlaskClient, settings: Settings, people: dict[str, Account]) -> None:
    dora.put("/api/files/f", data=b"f")
    (Homes(settings).folder(people["dora"].user_id) / "link").symlink_to(settings.data_path)
    for path in ("link", "link/knossos.sqlite3", "link/secret_key"):
        refused(dora.get(f"/api/files/{path}"), 403, "symbolic link")
        refused(dora.put(f"/api/files/{path}", data=b"x"), 403)
    refused(dora.delete("/api/files/link/knossos.sqlite3"), 403)
    assert dora.delete("/api/files/link").status_code == 200
    assert (settings.data_path / "knossos.sqlite3").exists()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[" * 30_000, "JSON"),
        (b"[1]", "object"),
        (b"{}", "command"),
        (b'{"command": "chmod"}', "command"),
        (b'{"command": ["move"]}', "command"),
        (b'{"command": "move"}', "to"),
        (b'{"command": "move", "to": 7}', "to"),
        (b'{"command": "copy", "to": "\\u0000"}', "to"),
        (b'{"command": "copy", "to": "\\ud800"}', "UTF-8"),
        (b'{"command": "mkdir"}', "name"),
        (b'{"command": "mkdir", "name": "a/b"}', "one name"),
    ],
)
def test_commands_that_mean_nothing_are_refused(dora: FlaskClient, body: bytes, word: str) -> None:
    dora.put("/api/files/f", data=b"f")
    refused(dora.post("/api/files/f", data=body), 400, word)
    assert listed(dora) == {"f": 1}


def test_what_is_in_the_way_is_said(dora: FlaskClient) -> None:
    dora.put("/api/files/f", data=b"f")
    dora.post("/api/files/", json={"command": "mkdir", "name": "d"})
    refused(dora.post("/api/files/", json={"command": "mkdir", "name": "d"}), 409)
    refused(dora.put("/api/files/d", data=b"x"), 409)
    refused(dora.put("/api/files/f/x", data=b"x"), 404)
    refused(dora.post("/api/files/d", json={"command": "move", "to": "d/e"}), 400)
    refused(dora.delete("/api/files/x"), 404)
    refused(dora.delete("/api/files/."), 400)
    refused(dora.delete("/api/files/"), 405)


def test_an_upload_of_unknown_length_or_too_large_is_refused(dora: FlaskClient) -> None:
    refused(dora.put("/api/files/f", headers={"Transfer-Encoding": "chunked"}), 411)
    for text in ("-1", "abc", "1.5", "9" * 30):
        refused(dora.put("/api/files/f", environ_overrides={"CONTENT_LENGTH": text}), 400)
    refused(dora.put("/api/files/f", data=b"x" * 1_000_001), 413, "1000000 bytes")
    assert dora.put("/api/files/f", data=b"x" * 900_000).status_code == 200
    refused(dora.put("/api/files/g", data=b"x" * 200_000), 413)
    refused(dora.post("/api/files/f", json={"command": "copy", "to": "g"}), 413)
    assert listed(dora) == {"f": 900_000}


def test_times_that_no_calendar_has_are_told_as_the_nearest(
    dora: FlaskClient, settings: Settings, people: dict[str, Account]
) -> None:
    dora.put("/api/files/f", data=b"f")
    os.utime(Homes(settings).folder(people["dora"].user_id) / "f", (0, 2**33))
    assert dora.get("/api/files/").status_code == 200
    assert dora.get("/api/files/f").data == b"f"


def test_a_home_that_cannot_be_used_is_503(dora: FlaskClient, settings: Settings) -> None:
    settings.homes_folder.write_text("no folder")
    refused(dora.get("/api/files/"), 503, "homes")


# --- jobs -----------------------------------------------------------------------------------------------


def send(client: FlaskClient, script: bytes = b"echo 1") -> int:
    answer = client.post("/api/run", data=script)
    assert answer.status_code == 200, answer.text
    return int((answer.json or {})["job_id"])


def test_one_users_second_script_waits_while_those_of_others_run(
    settings: Settings, engine: Engine, people: dict[str, Account]
) -> None:
    bounded = settings.model_copy(update={"max_running": 3, "max_running_per_user": 1})
    anyone = with_cheap_passwords(create_app(bounded, engine)).test_client()
    dora, emil = log_in(anyone, "dora"), log_in(anyone, "emil")
    first, second, third = (send(dora) for _ in range(3))
    other = send(emil)
    queue: Any = engine.redis.lrange(engine.queue("default").key, 0, -1)
    assert [int(ticket) for ticket in queue] == [first, other]
    told = [(dora.get(f"/api/jobs/{ticket}").json or {})["waiting_before"] for ticket in (first, second, third)]
    assert told == [0, 2, 3]
    assert (emil.get(f"/api/jobs/{other}").json or {})["waiting_before"] == 1


def test_a_place_in_the_queue_is_that_in_the_order_of_turns(dora: FlaskClient, anyone: FlaskClient) -> None:
    tickets = [send(dora) for _ in range(3)]
    emils = [send(log_in(anyone, "emil")) for _ in range(2)]
    olga = log_in(anyone, "olga")
    told = {ticket: (olga.get(f"/api/jobs/{ticket}").json or {})["waiting_before"] for ticket in tickets + emils}
    assert sorted(told, key=told.__getitem__) == [*tickets[:3], *emils]
    assert list(told.values()) == [0, 1, 2, 3, 4]


def test_a_script_waits_with_its_text_until_it_has_its_turn(dora: FlaskClient) -> None:
    first, second = send(dora, "echo 'ü'\n".encode()), send(dora)
    told = dora.get(f"/api/jobs/{first}").json
    assert told is not None
    assert {name: told[name] for name in ("job_id", "script", "user", "out", "err", "start", "end", "status")} == {
        "job_id": first,
        "script": "echo 'ü'\n",
        "user": "Dora",
        "out": "",
        "err": "",
        "start": None,
        "end": None,
        "status": "waiting",
    }
    assert (dora.get(f"/api/jobs/{second}").json or {})["waiting_before"] == 1
    assert dora.get("/api/jobs").json == [
        {"job_id": second, "status": "waiting", "user": "Dora"},
        {"job_id": first, "status": "waiting", "user": "Dora"},
    ]
    assert dora.get("/api/jobs?limit=1").json == [{"job_id": second, "status": "waiting", "user": "Dora"}]
    assert dora.get(f"/api/jobs?before={second}").json == [{"job_id": first, "status": "waiting", "user": "Dora"}]
    assert (dora.get("/api/info").json or {})["jobs_waiting"] == 2


def test_another_users_job_is_not_there_but_for_an_operator(anyone: FlaskClient, dora: FlaskClient) -> None:
    number = send(dora)
    emil, olga = log_in(anyone, "emil"), log_in(anyone, "olga")
    assert emil.get("/api/jobs").json == []
    missing = emil.get("/api/jobs/999999")
    for answer in (emil.get(f"/api/jobs/{number}"), emil.post(f"/api/jobs/{number}", json={"command": "kill"})):
        refused(answer, 404)
        assert answer.text.replace(str(number), "N") == missing.text.replace("999999", "N")
    assert olga.get("/api/jobs").json == [{"job_id": number, "status": "waiting", "user": "Dora"}]
    assert (olga.get(f"/api/jobs/{number}").json or {})["user"] == "Dora"


def test_a_job_that_does_not_run_gets_no_signal(dora: FlaskClient, engine: Engine) -> None:
    number = send(dora)
    refused(dora.post(f"/api/jobs/{number}", json={"command": "terminate"}), 409, "waits")
    engine.cancel(number)
    assert (dora.get(f"/api/jobs/{number}").json or {})["status"] == "failed"
    refused(dora.post(f"/api/jobs/{number}", json={"command": "kill"}), 409, "ended")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"command": "stop"}', b'{"command": null}', b'{"command": ["kill"]}']
)
def test_a_command_that_is_none_is_refused(dora: FlaskClient, body: bytes) -> None:
    refused(dora.post(f"/api/jobs/{send(dora)}", data=body), 400)


@pytest.mark.parametrize("path", ["999999", "x", "-1", "1.5", "9" * 30, "0"])
def test_a_job_that_is_not_there_is_404(dora: FlaskClient, path: str) -> None:
    refused(dora.get(f"/api/jobs/{path}"), 404)
    refused(dora.post(f"/api/jobs/{path}", json={"command": "kill"}), 404)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "before=-1", "limit=²", "before=" + "9" * 40])
def test_a_page_that_is_none_is_refused(dora: FlaskClient, query: str) -> None:
    refused(dora.get(f"/api/jobs?{query}"), 400)


def test_scripts_that_are_empty_too_large_or_too_many_are_refused(dora: FlaskClient, settings: Settings) -> None:
    refused(dora.post("/api/run", data=b" \n"), 400, "empty")
    refused(dora.post("/api/run", data=b"x" * 1001), 413)
    for _ in range(3):
        send(dora)
    refused(dora.post("/api/run", data=b"echo"), 429, "3 runs")
    assert len(dora.get("/api/jobs").json or ()) == 3
    assert len(list(Storage(settings).list_keys("runs"))) == 3


def test_without_an_interpreter_nothing_is_run(settings: Settings, engine: Engine, people: dict[str, Account]) -> None:
    for command, status in (("", 404), ("no-such-interpreter", 503), ("/etc/passwd", 503)):
        app = with_cheap_passwords(create_app(settings.model_copy(update={"command": command}), engine))
        client = log_in(app.test_client(), "dora")
        refused(client.post("/api/run", data=b"echo"), status)
        assert listed(client) == {}
    assert list(Storage(settings).list_keys("runs")) == []


def test_what_came_of_a_job_outlives_redis(
    dora: FlaskClient, engine: Engine, settings: Settings, database: Database
) -> None:
    storage = Storage(settings)
    runs = Runs(settings, database, storage, engine)
    good, bad, lost = (send(dora) for _ in range(3))
    for number, code in ((good, 0), (bad, 3)):
        run = runs.of_ticket(number)
        assert run is not None
        runs.begin(run.run_id, number)
        storage.put_bytes(f"{run_prefix(run.run_id)}/0", b"out\n")
        kept = KeptFile(0, FileRole.STDOUT, "stdout", 4, f"{run_prefix(run.run_id)}/0")
        runs.end(run.run_id, Ending(RunOutcome.EXITED, code), [kept])
    engine.redis.flushall()
    statuses = {one["job_id"]: one["status"] for one in dora.get("/api/jobs").json or ()}
    assert statuses == {good: "done", bad: "failed", lost: "failed"}
    told = dora.get(f"/api/jobs/{bad}").json or {}
    assert (told["out"], told["script"], told["exit_code"]) == ("out\n", "echo 1", 3)
    assert told["start"] < told["end"] or told["start"] == told["end"]
    assert (dora.get("/api/info").json or {})["jobs_waiting"] == 0
    with database.session() as session:
        for row in session.query(ScriptRun):
            row.expires_at = 1.0
    assert runs.purge() == 3
    assert dora.get("/api/jobs").json == []
    assert not list(storage.list_keys("runs"))
