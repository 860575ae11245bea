"""The pages of a home as they are rendered: lists, previews that run nothing, and what works without scripts."""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from lxml import html
from werkzeug.test import TestResponse

from knossos.accounts import COOKIE_NAME
from knossos.database import Database
from knossos.homes import Homes
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import add_account, session_of

ORIGIN = {"Origin": "http://localhost"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def settings(settings: Settings, sqlite_template: Path) -> Settings:
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    return settings.model_copy(update={"home_quota_bytes": 10_000_000})


@pytest.fixture
def folder(settings: Settings) -> Path:
    """Dora's home."""
    database = Database(settings)
    dora = add_account(database, "dora")
    database.close()
    with Homes(settings).open(dora.user_id):
        return Homes(settings).folder(dora.user_id)


@pytest.fixture
def dora(settings: Settings, engine: Engine, folder: Path) -> FlaskClient:
    client = create_app(settings, engine).test_client()
    client.set_cookie(COOKIE_NAME, session_of(settings, "dora"))
    return client


def page(client: FlaskClient, path: str, status: int = 200) -> html.HtmlElement:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return html.fromstring(answer.text)


def rows(found: html.HtmlElement) -> dict[str, str]:
    return {row.get("data-name"): row.get("data-kind") for row in found.xpath("//tr[@data-row]")}


def said(found: html.HtmlElement) -> str:
    return " ".join(" ".join(found.xpath("//main//text()")).split())


def test_who_is_not_logged_in_is_led_to_that_and_no_home_is_made(settings: Settings, engine: Engine) -> None:
    anyone = create_app(settings, engine).test_client()
    for path in ("/home/", "/home/x", "/home/?picture"):
        assert anyone.get(path).status_code == 303
    assert anyone.post("/home/", data={"do": "mkdir", "folder": "x"}, headers=ORIGIN).status_code == 303
    assert not settings.homes_folder.exists()


def test_a_folder_is_listed_sorted_and_searched(dora: FlaskClient, folder: Path) -> None:
    assert "Your home is empty." in said(page(dora, "/home/"))
    for name, size in (("b10", 5), ("b2", 9), (".hidden", 1)):
        (folder / name).write_bytes(b"x" * size)
    (folder / "z").mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    assert dora.get("/home").status_code == 308
    found = page(dora, "/home/")
    assert list(rows(found).items()) == [
        ("z", "folder"), (".hidden", "file"), ("b2", "file"), ("b10", "file"), ("link", "link"),
    ]  # fmt: skip
    assert found.xpath("//th[@aria-sort='ascending']/a/text()") == ["Name"]
    assert not found.xpath("//tr[@data-name='link']//a")
    found = page(dora, "/home/?sort=size&order=desc&q=B")
    assert list(rows(found)) == ["b2", "b10"]
    assert found.xpath("//th[@aria-sort='descending']/a/text()") == ["Size"]
    assert "No name here" in said(page(dora, "/home/?q=nowhere"))
    assert list(rows(page(dora, "/home/?sort=x&order=y&page=z"))) == ["z", ".hidden", "b2", "b10", "link"]


def test_ten_thousand_entries_come_in_pages(dora: FlaskClient, folder: Path) -> None:
    for number in range(10_000):
        (folder / f"f{number}").touch()
    found = page(dora, "/home/?page=2")
    assert list(rows(found)) == [f"f{number}" for number in range(500, 1000)]
    assert "Page 2 of 20" in said(found)
    assert found.xpath("//a[@rel='next']/@href") == ["/home/?page=3"]


HOSTILE = [
    *(b'<img src=x onerror="alert(1)">', b"a\nb", b"'\"&amp;", b"x" * 255, b"\xff\xfe", b"100%41#?;", b" "),
    b"\xe2\x80\xae.txt",
]


def test_every_name_that_a_script_can_give_is_shown_and_leads_where_it_should(dora: FlaskClient, folder: Path) -> None:
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    found = page(dora, "/home/")
    assert len(rows(found)) == len(HOSTILE)
    assert {"a␊b", "'\"&amp;", "\ufffd\ufffd", "⟨U+202E⟩.txt"} <= set(rows(found))
    assert not found.xpath("//img[@src='x']")
    for link in found.xpath("//a[contains(@class, 'home-download')]/@href"):
        path = link.removeprefix("/api/files/")
        sent = re.sub("%(..)", lambda code: chr(int(code[1], 16)), path)
        answer = dora.get("/api/files/x", environ_overrides={"PATH_INFO": f"/api/files/{sent}"})
        assert answer.data == sent.encode("latin-1")
        answer = dora.get("/home/x", environ_overrides={"PATH_INFO": f"/home/{sent}"})
        assert answer.status_code == 200, sent
    values = found.xpath("//input[@name='name']/@value")
    assert dora.post("/home/", data={"do": "delete", "sure": "yes", "name": values}, headers=ORIGIN).status_code == 303
    assert os.listdir(folder) == []


def test_without_scripts_folders_are_made_and_entries_deleted_after_a_question(dora: FlaskClient, folder: Path) -> None:
    answer = dora.post("/home/", data={"do": "mkdir", "folder": "a"}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/home/")
    answer = dora.post("/home/a", data={"do": "mkdir", "folder": "b"}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/home/a")
    assert (folder / "a" / "b").is_dir()
    for name, status in (("a", 409), ("x/y", 400), ("..", 403), ("", 400), ("x" * 256, 400)):
        answer = dora.post("/home/", data={"do": "mkdir", "folder": name}, headers=ORIGIN)
        assert answer.status_code == status
        assert 'class="form-error" role="alert">' in answer.text
    asked = dora.post("/home/a", data={"do": "delete", "name": ["b"]}, headers=ORIGIN)
    assert "Delete 1 entry?" in asked.text
    assert (folder / "a" / "b").is_dir()
    dora.post("/home/a", data={"do": "delete", "sure": "yes", "name": ["b", "gone", "..%2F..", ".."]}, headers=ORIGIN)
    assert os.listdir(folder / "a") == []
    for data in ({"do": "delete"}, {"do": "chmod", "name": "a"}, {}):
        assert dora.post("/home/", data=data, headers=ORIGIN).status_code == 400
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = dora.post("/home/", data={"do": "delete", "sure": "yes", "name": "a"}, headers=headers)
        assert answer.status_code in (303, 403)
    assert os.listdir(folder) == ["a"]


def test_chosen_entries_come_as_a_zip(dora: FlaskClient, folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)
    answer = dora.post("/home/", data={"do": "zip", "name": ["a", "c"]}, headers=ORIGIN)
    assert answer.headers["Content-Disposition"].endswith("''home.zip")
    assert zipfile.ZipFile(io.BytesIO(answer.data)).namelist() == ["a", "c"]
    assert dora.post("/home/", data={"do": "zip", "name": ["gone"]}, headers=ORIGIN).status_code == 404


def test_a_text_is_shown_as_text_whatever_it_says(dora: FlaskClient, folder: Path) -> None:
    (folder / "a.html").write_text("<script>alert(1)</script>\n\x1b[1m\u202e")
    found = page(dora, "/home/a.html")
    assert found.xpath("//pre")[0].text_content().strip() == "<script>alert(1)</script>\n␛[1m⟨U+202E⟩"
    (folder / "big.txt").write_bytes(b"line\n" * 1_000_000)
    assert "The first 100 kB of 5.00 MB" in said(page(dora, "/home/big.txt"))
    (folder / "bytes").write_bytes(b"\0\1")
    assert "nothing to show" in said(page(dora, "/home/bytes"))
    (folder / "empty").touch()
    assert "This file is empty." in said(page(dora, "/home/empty"))


def test_a_picture_is_what_its_bytes_say_and_a_download_wherever_it_is_opened(dora: FlaskClient, folder: Path) -> None:
    (folder / "plot").write_bytes(PNG)
    (folder / "fake.png").write_text("<script>alert(1)</script>")
    (folder / "x.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    for name, kind in (("plot", "image/png"), ("x.svg", "image/svg+xml")):
        assert page(dora, f"/home/{name}").xpath("//img[contains(@src, '?picture')]/@src") == [f"/home/{name}?picture"]
        answer = dora.get(f"/home/{name}?picture")
        assert answer.mimetype == kind
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not page(dora, "/home/fake.png").xpath("//img[contains(@src, '?picture')]")
    assert dora.get("/home/fake.png?picture").status_code == 404


def test_comma_separated_values_are_a_table_in_pages(dora: FlaskClient, folder: Path) -> None:
    lines = ["name;value", '"<b>;\nx";1', *(f"n{number};{number}" for number in range(300))]
    (folder / "t.csv").write_text("\n".join(lines))
    found = page(dora, "/home/t.csv")
    assert found.xpath("//table//th/text()") == ["name", "value"]
    assert len(found.xpath("//tbody/tr")) == 100
    assert found.xpath("string(//tbody/tr[1]/td[2])") == "<b>;\nx"
    assert "301 rows of 2 columns, separated by semicolons" in said(found)
    assert "n299" in said(page(dora, "/home/t.csv?page=4"))
    assert page(dora, "/home/t.csv?as=text").xpath("//pre")
    (folder / "large.csv").write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000)
    assert "1,000 rows of 2 columns, separated by commas; the file has more rows" in said(page(dora, "/home/large.csv"))


@pytest.mark.parametrize("path", ["..", "%2e%2e/x", "a/../../x", "..%2f..%2fetc/passwd", "//../x", "link/x", "link"])
def test_paths_that_leave_the_home_lead_nowhere(dora: FlaskClient, folder: Path, path: str) -> None:
    (folder / "link").symlink_to("/etc")
    assert dora.get(f"/home/{path}").status_code in (403, 404)
    answer = dora.post(f"/home/{path}", data={"do": "mkdir", "folder": "x"}, headers=ORIGIN)
    assert answer.status_code in (403, 404)
    assert os.listdir(folder) == ["link"]


def test_what_is_neither_file_nor_folder_is_said_to_be_so_with_the_way_back(dora: FlaskClient, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "link").symlink_to("/etc")
    os.mkfifo(folder / "d" / "pipe")
    for name, reason in (("link", "links are not followed"), ("pipe", "neither a file nor a folder")):
        found = page(dora, f"/home/d/{name}", 403)
        assert "This cannot be opened" in said(found)
        assert reason in said(found)
        assert {"/home/", "/home/d"} <= set(found.xpath("//main//a/@href"))
    assert "/home/" in page(dora, "/home/%2e%2e/x", 403).xpath("//main//a/@href")


def test_what_is_gone_is_said_to_be_gone(dora: FlaskClient, folder: Path, settings: Settings) -> None:
    (folder / "a").mkdir()
    found = page(dora, "/home/a/b/c", 404)
    assert "There is nothing at this path" in said(found)
    assert "/home/" in found.xpath("//main//a/@href")
    os.utime(folder / "a", (0, 2**40))
    assert list(rows(page(dora, "/home/"))) == ["a"]
    shutil.rmtree(settings.homes_folder)
    settings.homes_folder.write_text("no folder")
    assert "Your home is not there just now" in said(page(dora, "/home/", 503))


def test_files_are_uploaded_by_a_form_without_scripts(dora: FlaskClient, folder: Path) -> None:
    (folder / "in ü").mkdir()

    def upload(*files: tuple[bytes, str], path: str = "/home/in%20%C3%BC", **fields: str) -> TestResponse:
        data = {**fields, "files": [(io.BytesIO(content), name) for content, name in files]}
        return dora.post(path, data=data, headers=ORIGIN, content_type="multipart/form-data")

    answer = upload((b"one", "a.txt"), (b"", "empty"), (b"three" * 1000, "../c ü"))
    assert (answer.status_code, answer.location) == (303, "/home/in%20%C3%BC")
    found = {path.name: path.read_bytes() for path in (folder / "in ü").iterdir()}
    assert found == {"a.txt": b"one", "empty": b"", "c ü": b"three" * 1000}
    refused = upload((b"other", "a.txt"))
    assert refused.status_code == 409
    assert "There is a file a.txt already." in said(html.fromstring(refused.text))
    assert (folder / "in ü" / "a.txt").read_bytes() == b"one"
    assert upload((b"other", "a.txt"), replace="1").status_code == 303
    assert (folder / "in ü" / "a.txt").read_bytes() == b"other"
    # A browser sends an empty file without a name where none was chosen.
    assert "Choose a file first." in said(html.fromstring(upload((b"", "")).text))
    # Pieced together here: of a large form the test client makes a file, which it leaves open.
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="large"\r\n\r\n'
    large = head + b"x" * 10_000_001 + b"\r\n--b--\r\n"
    full = dora.post("/home/", data=large, headers=ORIGIN, content_type="multipart/form-data; boundary=b")
    assert full.status_code == 413
    assert "do not fit" in said(html.fromstring(full.text))
    other = dora.post("/home/", data={"files": (io.BytesIO(b"x"), "x")}, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    cut = b"--b\r\nContent-Disposition: form-data; name=files; filename=cut\r\n\r\nhalf"
    broken = dora.post("/home/", data=cut, headers=ORIGIN, content_type="multipart/form-data; boundary=b")
    assert broken.status_code == 400
    assert not list(folder.glob("cut"))
    assert sorted(path.name for path in (folder / "in ü").iterdir()) == ["a.txt", "c ü", "empty"]
