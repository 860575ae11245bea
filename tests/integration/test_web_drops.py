"""Drops over a real socket and a real file system: what is stored, what is refused, what is left behind."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, drops
from knossos.web.incoming import IncomingFile
from tests.support.processes import wait_for

KEYS = ("first-key-of-tests", "second-key-of-tests")
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Max-Age": "86400",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """These tests need no Redis."""
    return Settings(data_path=tmp_path / "data", api_keys=KEYS)


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return client_with(settings)


def client_with(settings: Settings, **changes: Any) -> FlaskClient:
    changed = settings.model_copy(update=changes)
    return create_app(changed, Engine(changed)).test_client()


def link(made: int | None = None, index: int = 0, key: str | None = None) -> str:
    made = int(time.time()) if made is None else made
    token = hashlib.sha256(f"{KEYS[index] if key is None else key}{made}".encode()).hexdigest()
    return f"/drop/{made}/{token}/{index}"


def drop(
    client: FlaskClient, path: str, data: bytes = b"bytes", name: str = "mod.7z", field: str = "file"
) -> TestResponse:
    return client.post(path, data={field: (io.BytesIO(data), name)})


def folder_of(settings: Settings) -> Path:
    return settings.mirror_folder / settings.upload_path


def left_in(settings: Settings) -> list[str]:
    folder = folder_of(settings)
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def has_cors(answer: TestResponse) -> bool:
    return all(answer.headers[name] == value for name, value in CORS.items())


@pytest.mark.parametrize("index", [0, 1])
def test_a_dropped_file_gets_the_name_of_its_hash_and_is_served_there(
    client: FlaskClient, settings: Settings, index: int
) -> None:
    data = os.urandom(400_000)
    digest = hashlib.sha256(data).hexdigest()
    answer = drop(client, link(index=index), data)
    assert answer.status_code == 200
    assert answer.json == {"error": False, "url": f"http://localhost/mirror/uploads/{digest}"}
    assert has_cors(answer)
    assert left_in(settings) == [digest]
    assert (folder_of(settings) / digest).stat().st_mode & 0o777 == 0o644
    assert client.get(f"/mirror/uploads/{digest}", buffered=True).data == data


def test_the_same_file_twice_is_stored_once(client: FlaskClient, settings: Settings) -> None:
    answers = [drop(client, link(), b"the same").json for _ in range(2)]
    assert answers[0] == answers[1]
    digest = hashlib.sha256(b"the same").hexdigest()
    assert left_in(settings) == [digest]
    assert (folder_of(settings) / digest).stat().st_nlink == 1


def test_the_link_begins_with_the_mirrors_address(settings: Settings) -> None:
    client = client_with(settings, mirror_url="https://mirror.example/mods", upload_path="drops/new")
    digest = hashlib.sha256(b"bytes").hexdigest()
    assert drop(client, link()).json == {"error": False, "url": f"https://mirror.example/mods/drops/new/{digest}"}


@pytest.mark.parametrize("name", ["mod.exe", "mod", "", "7z", "mod.7z.exe", "mod.php", ".7z."])
def test_a_file_with_another_extension_is_refused_and_not_stored(
    client: FlaskClient, settings: Settings, name: str
) -> None:
    body = (f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nbytes\r\n--b--\r\n').encode()
    answer = client.post(link(), data=body, content_type="multipart/form-data; boundary=b")
    assert answer.json == {"error": True, "message": "Invalid filename!"}
    assert has_cors(answer)
    assert left_in(settings) == []


@pytest.mark.parametrize("name", ["MOD.ZIP", "a b.tar.gz", "ä.rar", "../../x.xz", "C:\\x\\y.bz2"])
def test_only_the_extension_of_the_name_counts_and_the_name_itself_is_never_used(
    client: FlaskClient, settings: Settings, name: str
) -> None:
    assert drop(client, link(), name=name).json["error"] is False  # type: ignore[index]
    assert left_in(settings) == [hashlib.sha256(b"bytes").hexdigest()]


def denied_links() -> dict[str, str]:
    now = int(time.time())
    good = link(now).split("/")
    return {
        "of the future": link(now + 60),
        "of the far future": link(10**11),
        "token of another key": link(index=1, key=KEYS[0]),
        "token of another time": f"/drop/{now - 1}/{good[3]}/0",
        "empty looking token": f"/drop/{now}/-/0",
        "token with other letters": f"/drop/{now}/ä/0",
        "index past the end": f"/drop/{now}/{good[3]}/2",
        "negative index": f"/drop/{now}/{good[3]}/-1",
        "index that is no number": f"/drop/{now}/{good[3]}/x",
        "index with other digits": f"/drop/{now}/{good[3]}/\u0660",
        "huge index": f"/drop/{now}/{good[3]}/{'9' * 5000}",
        "time that is no number": f"/drop/now/{good[3]}/0",
        "huge time": f"/drop/{'9' * 5000}/{good[3]}/0",
        "negative time": link(-1),
    }


@pytest.mark.parametrize("case", list(denied_links()))
def test_a_link_that_was_not_made_with_a_key_or_is_of_the_future_is_denied(
    client: FlaskClient, settings: Settings, case: str
) -> None:
    answer = drop(client, denied_links()[case])
    assert (answer.status_code, answer.text) == (403, "Access denied")
    assert has_cors(answer)
    assert left_in(settings) == []


def test_a_link_is_good_for_thirty_minutes(client: FlaskClient, settings: Settings) -> None:
    now = int(time.time())
    assert drop(client, link(now - 29 * 60)).json["error"] is False  # type: ignore[index]
    late = drop(client, link(now - 31 * 60), b"other bytes")
    assert late.json == {"error": True, "message": "You took too long to upload!"}
    assert has_cors(late)
    assert len(left_in(settings)) == 1


def test_a_link_that_ends_while_the_body_arrives_is_too_late(
    client: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = int(time.time())
    times = iter([made + 29 * 60, made + 31 * 60])
    monkeypatch.setattr(drops, "_now", lambda: next(times))
    assert drop(client, link(made)).json == {"error": True, "message": "You took too long to upload!"}
    assert left_in(settings) == []


def test_without_drops_in_the_settings_every_link_is_denied(settings: Settings) -> None:
    assert drop(client_with(settings, upload_path=""), link()).status_code == 403
    assert drop(client_with(settings, api_keys=()), link()).status_code == 403


def test_a_form_without_the_file_is_denied(client: FlaskClient, settings: Settings) -> None:
    for answer in (
        client.post(link()),
        client.post(link(), data={"file": "a field and no file"}),
        client.post(link(), data=b"{}", content_type="application/json"),
        client.post(link(), data=b"x", content_type="multipart/form-data"),
        drop(client, link(), field="other"),
    ):
        assert (answer.status_code, answer.text) == (403, "Access denied")
        assert has_cors(answer)
    assert left_in(settings) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.7z"\r\n\r\nhalf',
        b"--b\r\nNo-Disposition: x\r\n\r\nbytes\r\n--b--\r\n",
        b"--b\r\n" + b"X: " + b"a" * 3_000_000,
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 40 + b"--b--\r\n",
    ],
)
def test_a_malformed_body_is_an_error_with_cors_headers_and_never_a_500(
    client: FlaskClient, settings: Settings, body: bytes
) -> None:
    answer = client.post(link(), data=body, content_type="multipart/form-data; boundary=b")
    assert 400 <= answer.status_code < 500
    assert has_cors(answer)
    assert left_in(settings) == []


def test_a_preflight_is_answered(client: FlaskClient) -> None:
    answer = client.options(link(), headers={"Origin": "https://site.example", "Access-Control-Request-Method": "POST"})
    assert answer.status_code == 200
    assert has_cors(answer)


def test_an_upload_past_the_limit_is_refused_with_the_limits_name(settings: Settings) -> None:
    answer = drop(client_with(settings, max_content_length=1000), link(), b"x" * 2000)
    assert answer.status_code == 413
    assert answer.json is not None
    assert "MAX_CONTENT_LENGTH" in answer.json["message"]
    assert has_cors(answer)
    assert left_in(settings) == []


def test_a_folder_that_cannot_be_written_is_an_error_and_never_a_500(settings: Settings) -> None:
    folder_of(settings).parent.mkdir(parents=True)
    folder_of(settings).write_text("a file where the folder should be")
    answer = drop(client_with(settings), link())
    assert answer.status_code == 507
    assert has_cors(answer)


def test_a_big_upload_takes_no_memory(settings: Settings) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.7z"\r\n\r\n'
    size = 64 * 1024 * 1024
    body = Parts(part, size, b"\r\n--b--\r\n")
    target = IncomingFile(folder_of(settings))
    tracemalloc.start()
    try:
        with target:
            assert drops.receive(body, b"b", target, lambda name: None)
            digest = target.publish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (folder_of(settings) / digest).stat().st_size == size
    assert peak < 4 * 1024 * 1024


class Parts(io.RawIOBase):
    """A body with ``size`` zero bytes in the middle that never lies in memory."""

    def __init__(self, head: bytes, size: int, tail: bytes) -> None:
        self._head, self._left, self._tail = head, size, tail

    def read(self, size: int = -1) -> bytes:
        if self._head:
            data, self._head = self._head, b""
        elif self._left:
            data = bytes(min(size, self._left))
            self._left -= len(data)
        else:
            data, self._tail = self._tail, b""
        return data


@pytest.fixture
def server(settings: Settings) -> Iterator[int]:
    """The port of the app on a real socket."""
    app = create_app(settings, Engine(settings))
    made = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made.port
    made.shutdown()
    thread.join(20)
    made.server_close()


class QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize("nameless_files", [True, False])
def test_a_client_that_hangs_up_leaves_nothing_and_a_file_on_its_way_is_not_seen(
    server: int, settings: Settings, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, nameless_files: bool
) -> None:
    if not nameless_files:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_WRONLY | os.O_DIRECTORY)
    head = 'Content-Disposition: form-data; name="file"; filename="x.7z"'
    with socket.create_connection(("127.0.0.1", server)) as upload:
        request = f"POST {link()} HTTP/1.1\r\nHost: 127.0.0.1:{server}\r\nContent-Length: 99999999\r\n"
        request += "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n" + head + "\r\n\r\n"
        upload.sendall(request.encode() + b"x" * 2_000_000)
        wait_for(lambda: folder_of(settings).is_dir() and (nameless_files or left_in(settings)), "the upload")
        for name in left_in(settings):
            assert not nameless_files
            assert client.get(f"/mirror/uploads/{name}").status_code == 404
    wait_for(lambda: left_in(settings) == [], "the end of the upload")
