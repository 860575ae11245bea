"""``multiupload/*`` as both generations of clients speak it: every answer, type and refusal."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.accounts.tokens import Scope
from knossos.jobs import Engine
from knossos.publishing.publisher import Publisher
from knossos.publishing.uploads import PART_BYTES, Uploads
from knossos.settings import Settings
from knossos.web import create_app
from knossos.web.nebula import requests
from knossos.web.services import EXTENSION, Services
from tests.support.people import add_account
from tests.support.uploads import PART


class ModManager:
    """Speaks HTTP as the mod managers do: parts with unquoted names, everything else in either kind of form."""

    def __init__(self, settings: Settings, part_bytes: int = PART) -> None:
        self.app = create_app(settings, Engine(settings))
        services: Services = self.app.extensions[EXTENSION]
        self.publisher: Publisher = services.publisher
        self.publisher.uploads = Uploads(
            settings, services.database, self.publisher.storage, self.publisher.blobs, part_bytes=part_bytes
        )
        self.client: FlaskClient = self.app.test_client()
        self.tokens = services.tokens
        self.user = add_account(services.database, "dora")
        self.token = self.tokens.issue_login(self.user.user_id)
        self.data = os.urandom(2 * PART + 17)
        self.id = hashlib.sha256(self.data).hexdigest()
        self.parts = [self.data[start : start + PART] for start in range(0, len(self.data), PART)]

    def ask(self, what: str, *, multipart: bool = False, **fields: Any) -> TestResponse:
        kind = "multipart/form-data" if multipart else "application/x-www-form-urlencoded"
        return self.client.post(
            f"/api/1/multiupload/{what}", data=fields, content_type=kind, headers={"X-KN-TOKEN": self.token}
        )

    def start(self, **changes: Any) -> TestResponse:
        return self.ask("start", **{"id": self.id, "size": len(self.data), "parts": 3, **changes})

    def send(
        self, number: object, data: bytes | None = None, *, order: str = "id part file", **changes: Any
    ) -> TestResponse:
        sent = self.parts[number] if data is None and isinstance(number, int) else data or b""
        fields = {"id": self.id, "part": number, "file": sent, **changes}
        body = b""
        for name in order.split():
            value = fields[name]
            if name == "file":
                body += b"--edge\r\nContent-Disposition: form-data; name=file; filename=upload; filename*=utf-8''upload"
                body += b"\r\n\r\n" + value + b"\r\n"
            else:
                head = (
                    f"--edge\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name={name}"
                )
                body += f"{head}\r\n\r\n{value}\r\n".encode()
        return self.post_part(body + b"--edge--\r\n")

    def post_part(self, body: bytes, kind: str = 'multipart/form-data; boundary="edge"') -> TestResponse:
        path = "/api/1/multiupload/part"
        return self.client.post(path, data=body, content_type=kind, headers={"X-KN-TOKEN": self.token})

    def finish(self, **changes: Any) -> TestResponse:
        return self.ask("finish", **{"id": self.id, "checksum": self.id, **changes})

    def finished_parts(self) -> list[int]:
        answer = self.start().json
        assert answer is not None
        assert answer["result"] is True
        assert answer["done"] is False
        assert all(type(number) is int for number in answer["finished_parts"])
        return list(answer["finished_parts"])


@pytest.fixture
def manager(tmp_path: Path, sqlite_template: Path) -> Iterator[ModManager]:
    """These tests need no Redis."""
    settings = Settings(data_path=tmp_path / "data")
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    made = ModManager(settings)
    yield made
    made.publisher.database.close()


@pytest.mark.parametrize(
    ("multipart", "order"), [(True, "id part file"), (False, "file part id"), (False, "part file id")]
)
def test_an_upload_from_its_start_to_its_end(manager: ModManager, multipart: bool, order: str) -> None:
    started = manager.ask("start", multipart=multipart, id=manager.id.upper(), size=len(manager.data), parts=3)
    assert started.json == {"result": True, "done": False, "finished_parts": []}
    for number in (2, 0, 1, 0):
        answer = manager.send(number, order=order)
        assert (answer.status_code, answer.data) == (200, b"OK")
    assert manager.finished_parts() == [0, 1, 2]
    checksum = hashlib.sha256(manager.parts[1]).hexdigest()
    assert manager.ask("verify_part", multipart=multipart, id=manager.id, part=1, checksum=checksum).json == {
        "result": True
    }
    fields = {"content_checksum": "None", "vp_checksum": "None"}
    finished = manager.ask("finish", multipart=multipart, id=manager.id, checksum=manager.id, **fields)
    assert finished.json == {"result": True}
    blob = manager.publisher.blobs.find(manager.id)
    assert blob is not None
    assert (blob.content_checksum, blob.vp_checksum, blob.size) == (None, None, len(manager.data))
    # The answer was lost.
    assert manager.start().json == {"result": True, "done": True, "finished_parts": []}
    assert manager.finish().json == {"result": True}


def test_of_two_vp_checksums_the_last_counts(manager: ModManager) -> None:
    manager.start()
    for number in range(3):
        manager.send(number)
    assert manager.finish(content_checksum="c" * 128, vp_checksum=["sha256", "ab" * 32]).json == {"result": True}
    blob = manager.publisher.blobs.find(manager.id)
    assert blob is not None
    assert (blob.content_checksum, blob.vp_checksum) == ("c" * 128, "ab" * 32)


def test_quoted_names_are_taken_too(manager: ModManager) -> None:
    manager.start()
    body = (
        f'--edge\r\nContent-Disposition: form-data; name="id"\r\n\r\n{manager.id}\r\n'
        '--edge\r\nContent-Disposition: form-data; name="part"\r\n\r\n0\r\n'
        '--edge\r\nContent-Disposition: form-data; name="file"; filename="upload"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    assert manager.post_part(body + manager.parts[0] + b"\r\n--edge--\r\n").data == b"OK"


def reason_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None
    assert answer.json["result"] is False
    assert answer.json["message"]
    return answer.status_code, answer.json["reason"]


def test_what_is_refused_has_its_documented_reason_and_loses_nothing(manager: ModManager) -> None:
    manager.start()
    manager.send(1)
    verified = manager.ask("verify_part", id=manager.id, part=1, checksum="0" * 64)
    assert reason_of(verified) == (200, "checksum")
    assert reason_of(manager.finish(checksum="0" * 64)) == (200, "checksum fail")
    missing = manager.finish()
    assert reason_of(missing) == (200, "missing parts")
    assert missing.json is not None
    assert missing.json["missing_parts"] == [0, 2]
    assert reason_of(manager.start(size=5, parts=1)) == (200, "invalid size")
    assert manager.finished_parts() == [1]


def test_a_file_with_another_sum_can_be_sent_anew(manager: ModManager) -> None:
    manager.start()
    for number in range(3):
        manager.send(number, b"?" * len(manager.parts[number]))
    assert reason_of(manager.finish()) == (200, "checksum fail")
    assert manager.finished_parts() == []


def test_a_start_with_garbage_is_a_broken_body(manager: ModManager) -> None:
    garbage: list[dict[str, str]] = [
        *({"size": text} for text in ("", "-1", "1e3", "9" * 19)),
        *({"parts": text} for text in ("None", "3.0", "")),
        *({"id": text} for text in ("", "None", "../../../etc/passwd", "x" * 5000)),
    ]
    for changes in garbage:
        assert reason_of(manager.start(**changes)) == (400, "invalid"), changes


def test_a_part_with_garbage_is_a_broken_body(manager: ModManager) -> None:
    manager.start()
    for number in (3, -1, "None", "9" * 17, "9" * 5000, "\u0661", ""):
        assert reason_of(manager.send(number, b"x")) == (400, "invalid"), number
    for length in (0, 1, PART - 1, PART + 1, 3 * PART):
        assert reason_of(manager.send(0, bytes(length))) == (400, "invalid"), length
        assert reason_of(manager.send(0, bytes(length), order="file id part")) == (400, "invalid"), length
    for order in ("part file", "file id", "id part", "file"):
        assert reason_of(manager.send(0, order=order)) == (400, "invalid"), order
    assert reason_of(manager.send(0, id="None")) == (400, "invalid")
    assert manager.finished_parts() == []


def test_bodies_that_are_no_forms_are_broken(manager: ModManager) -> None:
    manager.start()
    whole = b"--edge\r\nContent-Disposition: form-data; name=id\r\n\r\n" + manager.id.encode() + b"\r\n--edge"
    for answer in (
        manager.post_part(b""),
        manager.post_part(b"{}", "application/json"),
        manager.post_part(b"id=1&part=0", "application/x-www-form-urlencoded"),
        manager.post_part(b"x", "multipart/form-data"),
        manager.post_part(whole),
        manager.post_part(b"--edge\r\n" * 5),
        manager.send(0, bytes(PART_BYTES + 100_000)),
    ):
        assert reason_of(answer) == (400, "invalid")
    assert manager.finished_parts() == []


def test_a_part_before_its_fields_that_finds_no_room_may_be_sent_again_later(
    manager: ModManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    manager.start()
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    answer = manager.send(0, order="file id part")
    assert answer.status_code == 503
    assert answer.get_json()["reason"] == "storage_unavailable"


def test_a_small_body_that_would_fill_the_memory_is_not_unfolded(
    manager: ModManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_JSON_VALUES", 1000)
    headers = {"X-KN-TOKEN": manager.token}
    for count, expected in ((300, "invalid id"), (600, "invalid")):
        body = b'{"id":[%s0]}' % (b"{}," * count)
        answer = manager.client.post("/api/1/mod/create", data=body, headers=headers)
        assert answer.get_json()["reason"] == expected


def test_an_upload_that_was_never_started_is_unknown(manager: ModManager) -> None:
    for answer in (
        manager.send(0),
        manager.send(0, order="file id part"),
        manager.finish(),
        manager.ask("verify_part", id=manager.id, part=0, checksum=""),
    ):
        assert reason_of(answer) == (404, "not found")


def test_others_do_not_see_an_upload_and_a_token_needs_its_scope(manager: ModManager) -> None:
    manager.start()
    other = add_account(manager.publisher.database, "otto")
    mine = manager.token
    manager.token = manager.tokens.issue_login(other.user_id)
    assert reason_of(manager.send(0)) == (404, "not found")
    assert reason_of(manager.finish()) == (404, "not found")
    manager.token = manager.tokens.issue_api(manager.user.user_id, "CI", [Scope.READ], None)
    for what in ("start", "part", "verify_part", "finish"):
        assert reason_of(manager.ask(what)) == (403, "unauthorized")
    manager.token = "wrong"
    assert reason_of(manager.start()) == (403, "unauthorized")
    manager.token = mine
    assert manager.finished_parts() == []


def test_a_quota_is_said_with_its_numbers(manager: ModManager) -> None:
    uploads = manager.publisher.uploads
    uploads._settings = uploads._settings.model_copy(update={"upload_quota_bytes": 100})
    answer = manager.start()
    assert reason_of(answer) == (200, "quota exceeded")
    assert answer.json is not None
    assert (answer.json["quota"], answer.json["taken"]) == (100, 0)


def test_parts_of_the_protocols_size_pass(tmp_path: Path, sqlite_template: Path) -> None:
    settings = Settings(data_path=tmp_path / "data")
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    manager = ModManager(settings, PART_BYTES)
    manager.data = os.urandom(1000) * 10_486
    manager.id = hashlib.sha256(manager.data).hexdigest()
    manager.parts = [manager.data[:PART_BYTES], manager.data[PART_BYTES:]]
    assert manager.start(parts=2).json == {"result": True, "done": False, "finished_parts": []}
    assert [manager.send(number).data for number in (0, 1)] == [b"OK", b"OK"]
    assert manager.finish().json == {"result": True}
    manager.publisher.database.close()
