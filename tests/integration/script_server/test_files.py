"""Files of a home over HTTP: what is stored, what is refused, and that nothing leaves the home."""

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

from knossos.accounts import Account
from knossos.homes import Homes
from knossos.settings import Settings
from tests.support.script_server import listed, log_in, refused


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
