"""Images, checks, logs and counters over HTTP, as both generations of clients speak."""

from __future__ import annotations

import errno
import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from knossos.accounts.tokens import Scope, Tokens
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.errors import Refused
from knossos.publishing.images import IncomingImage, recognise
from knossos.publishing.logs import Logs
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import add_account


def image(kind: str, size: tuple[int, int] = (8, 6)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, "navy").save(stream, kind)
    return stream.getvalue()


def huge_png() -> bytes:
    """A few bytes that say they are 40,000 pixels high and wide."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


PNG = image("PNG")


class Site:
    """The app with an account that may upload."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        user_id = add_account(self.database, "dora").user_id
        self.token = Tokens(settings, self.database).issue_api(user_id, "ci", [Scope.UPLOAD], None)
        self.reader = Tokens(settings, self.database).issue_api(user_id, "reader", [Scope.READ], None)
        self.client: FlaskClient = create_app(settings, Engine(settings)).test_client()

    def ask(self, path: str, data: Any, token: str | None = None, **more: Any) -> Any:
        """The JSON of an answer."""
        return self.post(path, data, token, **more).json

    def post(self, path: str, data: Any, token: str | None = None, **more: Any) -> TestResponse:
        headers = {"X-KN-TOKEN": self.token if token is None else token}
        return self.client.post(f"/api/1/{path}", data=data, headers=headers, buffered=True, **more)

    def upload(self, data: bytes, checksum: str | None = None, **fields: str) -> Any:
        checksum = hashlib.sha256(data).hexdigest() if checksum is None else checksum
        return self.post("upload/file", {"checksum": checksum, "file": (io.BytesIO(data), "upload"), **fields}).json

    def leftovers(self) -> list[Path]:
        return [path for path in (self.settings.data_path / "storage").rglob("*") if path.is_file()]


@pytest.fixture
def site(tmp_path: Path, sqlite_template: Path) -> Iterator[Site]:
    """These tests need no Redis."""
    settings = Settings(
        data_path=tmp_path / "data", image_max_bytes=20_000, upload_quota_bytes=30_000, log_page_max_bytes=200_000
    )
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    made = Site(settings)
    yield made
    made.database.close()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_is_stored_and_served_by_its_sum(site: Site, kind: str) -> None:
    data = image(kind)
    assert site.upload(data) == {"result": True}
    sha256 = hashlib.sha256(data).hexdigest()
    extension = {"JPEG": "jpg"}.get(kind, kind.lower())
    answer = site.client.get(f"/storage/images/{sha256}.{extension}", buffered=True)
    assert (answer.status_code, answer.data) == (200, data)
    assert site.upload(data) == {"result": True}, "again is no harm"


def test_the_form_of_the_strict_client_is_read_though_it_quotes_no_names(site: Site) -> None:
    sha256 = hashlib.sha256(PNG).hexdigest()
    body = (
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=checksum\r\n\r\n"
        + sha256.upper().encode()
        + b"\r\n--b\r\nContent-Disposition: form-data; name=file; filename=upload; filename*=utf-8''upload\r\n\r\n"
        + PNG
        + b"\r\n--b--\r\n"
    )
    answer = site.post("upload/file", body, content_type='multipart/form-data; boundary="b"')
    assert answer.json == {"result": True}


def test_an_image_that_finds_no_room_may_be_sent_again_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IncomingImage, "write", full)
    body = {"checksum": hashlib.sha256(PNG).hexdigest(), "file": (io.BytesIO(PNG), "upload")}
    answer = site.post("upload/file", body)
    assert (answer.status_code, answer.get_json()["reason"]) == (503, "storage_unavailable")
    assert site.leftovers() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "invalid mime"),
        (PNG[:40], "invalid mime"),
        (PNG[:-20] + b"x" * 20, "invalid mime"),
        (b"x", "invalid mime"),
        (huge_png(), "invalid mime"),
        (PNG + b"x" * 20_000, "too large"),
    ],
    ids=["svg", "cut off", "damaged", "one byte", "gigapixels", "too large"],
)
def test_what_is_no_bearable_image_is_refused_and_nothing_stays(site: Site, data: bytes, reason: str) -> None:
    answer = site.upload(data)
    assert (answer["result"], answer["reason"]) == (False, reason)
    assert site.leftovers() == []


def test_other_bytes_than_announced_are_refused(site: Site) -> None:
    answer = site.upload(PNG, "0" * 64)
    assert (answer["result"], answer["reason"]) == (False, "checksum")
    assert site.leftovers() == []


def test_a_body_that_is_far_too_long_is_refused_before_it_is_read(site: Site) -> None:
    answer = site.upload(b"x" * 500_000)
    assert (answer["result"], answer["reason"]) == (False, "too large")


def test_an_account_stores_no_more_than_its_quota(site: Site) -> None:
    padding = b"x" * 16_000
    assert site.upload(image("JPEG") + padding) == {"result": True}
    answer = site.upload(image("JPEG", (9, 9)) + padding)
    assert (answer["result"], answer["reason"]) == (False, "quota exceeded")
    assert site.upload(image("JPEG") + padding) == {"result": True}, "what is stored already takes nothing more"


def test_forms_that_lack_something_are_broken_and_strangers_are_not_let_in(site: Site) -> None:
    sha256 = hashlib.sha256(PNG).hexdigest()
    for fields in ({"checksum": sha256}, {"file": (io.BytesIO(PNG), "upload")}, {}):
        answer = site.post("upload/file", fields, content_type="multipart/form-data")
        assert answer.status_code == 400
        assert answer.get_json()["result"] is False
    assert site.post("upload/file", b"x", content_type="application/json").status_code == 400
    for token in ("nonsense", site.reader):
        answer = site.post("upload/file", {"checksum": sha256, "file": (io.BytesIO(PNG), "upload")}, token)
        assert answer.status_code == 403
        assert answer.get_json()["result"] is False
    assert site.leftovers() == []


def test_every_answer_has_a_result_also_when_the_storage_is_away(site: Site, tmp_path: Path) -> None:
    folder = site.settings.data_path / "storage"
    folder.mkdir(exist_ok=True)
    (folder / "blobs").write_text("a file where a folder should be")
    answer = site.post("upload/file", {"checksum": hashlib.sha256(PNG).hexdigest(), "file": (io.BytesIO(PNG), "a")})
    assert (answer.status_code, answer.get_json()["result"]) == (503, False)
    assert int(answer.headers["Retry-After"]) > 0
    assert site.client.get("/api/1/nothing").get_json()["result"] is False


def test_a_client_asks_whether_a_file_is_stored_before_it_uploads_it(site: Site) -> None:
    sha256 = hashlib.sha256(PNG).hexdigest()
    assert site.post("upload/check", {"checksum": sha256}).json == {"result": False}
    assert site.upload(PNG, content_checksum="c0ffee", vp_checksum="abc") == {"result": True}
    expected = {"result": True, "checksum": sha256, "filesize": len(PNG), "vp_checksum": "abc"}
    for fields in ({"checksum": sha256}, {"checksum": sha256.upper()}, {"content_checksum": "c0ffee"}):
        assert site.post("upload/check", fields).json == expected
    for fields in ({}, {"checksum": "nonsense"}, {"checksum": "None", "content_checksum": "None"}):
        assert site.post("upload/check", fields).json == {"result": False}


def test_what_old_clients_call_a_file_is_found_by_its_owner_only(site: Site) -> None:
    site.upload(PNG, content_checksum="c0ffee")
    other = add_account(site.database, "mallory").user_id
    token = Tokens(site.settings, site.database).issue_api(other, "ci", [Scope.UPLOAD], None)
    assert site.post("upload/check", {"content_checksum": "c0ffee"}, token).json == {"result": False}


def test_a_camera_picture_with_a_second_one_behind_it_is_a_jpeg(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("navy", "teal")]
    pictures[0].save(tmp_path / "image", "MPO", save_all=True, append_images=pictures[1:])
    assert recognise(tmp_path / "image") == "image/jpeg"


def test_only_the_four_kinds_are_images(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "image", "TIFF")
    with pytest.raises(Refused):
        recognise(tmp_path / "image")


LOG = b"A log, 100 % & more = \xc3\xa4, \xff\0 end" * 2000


def test_a_log_is_taken_from_every_kind_of_form(site: Site) -> None:
    quoted = "".join(f"%{byte:02X}" if byte > 126 or chr(byte) in "%&=+\0" else chr(byte) for byte in LOG)
    urlencoded = f"a=b&log={quoted.replace(' ', '+')}&c=d".encode()
    expected = LOG.decode("utf-8", "replace").replace("\0", "\ufffd")
    field = b'--b\r\nContent-Disposition: form-data; name="log"\r\n\r\n' + LOG + b"\r\n--b--\r\n"
    bodies = [
        (urlencoded, "application/x-www-form-urlencoded"),
        (field, "multipart/form-data; boundary=b"),
        (field.replace(b'name="log"', b'name=log; filename="fs2_open.log"'), "multipart/form-data; boundary=b"),
    ]
    for body, content_type in bodies:
        answer = site.ask("log/upload", body, "", content_type=content_type)
        assert answer["result"] is True
        found = Logs(site.settings, site.database).find(answer["id"])
        assert found is not None
        assert found.text == expected


def test_logs_that_are_missing_or_too_long_are_refused(site: Site) -> None:
    for fields in ({}, {"other": "x"}, {"log": ""}):
        assert site.post("log/upload", fields, "").status_code == 400
    assert site.post("log/upload", b"{}", "", content_type="application/json").status_code == 400
    for size in (200_001, 900_000):
        answer = site.ask("log/upload", {"log": "x" * size}, "")
        assert (answer["result"], answer["reason"]) == (False, "too large")


def test_counters_are_always_answered_with_true(site: Site) -> None:
    for fields in (
        {"event": "download", "link": "https://example.org/mods/a.7z", "time": "12.5"},
        {"counter": "install", "mid": "nobody", "version": "1.0.0", "dependency": "1"},
        {"counter": "install", "mid": "nobody"},
    ):
        assert site.post("track", fields, "").json == {"result": True}
    assert site.post("track", {}, "").status_code == 400
    assert site.post("track", {"event": "x" * 65}, "").status_code == 400
