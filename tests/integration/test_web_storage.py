"""Published files and images over HTTP: validators, ranges, and nothing that a browser could run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.blobs import ANY_FILE, Blobs
from knossos.settings import Settings
from knossos.storage import Storage, blob_key
from knossos.web import create_app
from knossos.web.stored_answers import NoSuchRange, requested_span

BYTES = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(BYTES).hexdigest()
ADDRESS = f"/storage/files/{SHA256}/MV%20%C3%A4%22.7z"


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    """These tests need no Redis."""
    made = Settings(data_path=tmp_path / "data")
    made.data_path.mkdir()
    (made.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    Storage(made).put_bytes(blob_key(SHA256), BYTES)
    return made


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return create_app(settings, Engine(settings)).test_client()


def get(client: FlaskClient, path: str = ADDRESS, **headers: str) -> TestResponse:
    """The answer, read to its end so that its file is closed."""
    return client.get(path, buffered=True, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_file_is_sent_whole_with_what_caches_and_downloads_need(client: FlaskClient) -> None:
    answer = get(client)
    assert (answer.status_code, answer.data, answer.content_length) == (200, BYTES, len(BYTES))
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''MV%20%C3%A4%22.7z"
    assert answer.headers["Content-Type"] == ANY_FILE
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Set-Cookie" not in answer.headers


def test_head_tells_all_but_the_bytes(client: FlaskClient) -> None:
    answer = client.head(ADDRESS, buffered=True)
    assert (answer.status_code, answer.content_length, answer.data) == (200, len(BYTES), b"")
    part = client.head(ADDRESS, buffered=True, headers={"Range": "bytes=5-"})
    assert (part.status_code, part.content_length, part.data) == (206, len(BYTES) - 5, b"")


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, len(BYTES)),
        ("bytes=1000-", 1000, len(BYTES)),
        ("bytes=0-0", 0, 1),
        (f"bytes=300000-{len(BYTES) + 5}", 300_000, len(BYTES)),
        ("bytes=-7", len(BYTES) - 7, len(BYTES)),
        (f"bytes=-{len(BYTES) + 1}", 0, len(BYTES)),
    ],
)
def test_a_download_goes_on_where_it_broke_off(client: FlaskClient, header: str, start: int, end: int) -> None:
    answer = get(client, Range=header)
    assert (answer.status_code, answer.data) == (206, BYTES[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BYTES)}"


@pytest.mark.parametrize("header", [f"bytes={len(BYTES)}-", "bytes=99999999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(client: FlaskClient, header: str) -> None:
    answer = get(client, Range=header)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(BYTES)}")


@pytest.mark.parametrize(
    "header", ["bytes=", "bytes=-", "bytes=a-b", "bytes=1-2,5-6", "lines=1-2", "bytes=9-3", "bytes=--5", "bytes=+1-"]
)
def test_what_is_no_range_is_answered_with_the_whole_file(header: str) -> None:
    assert requested_span(header, 100) is None


def test_nothing_can_be_a_part_of_an_empty_file() -> None:
    with pytest.raises(NoSuchRange):
        requested_span("bytes=0-", 0)


def test_what_the_client_has_is_not_sent_again(client: FlaskClient) -> None:
    first = get(client)
    modified = first.headers["Last-Modified"]
    held: list[dict[str, str]] = [
        {"If_None_Match": first.headers["ETag"]},
        {"If_None_Match": f'"other", W/{first.headers["ETag"]}'},
        {"If_None_Match": "*"},
        {"If_Modified_Since": modified},
        {"If_None_Match": first.headers["ETag"], "Range": "bytes=0-"},
    ]
    for headers in held:
        answer = get(client, **headers)
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == first.headers["ETag"]
    assert get(client, If_None_Match='"other"', If_Modified_Since=modified).status_code == 200


def test_a_part_is_only_sent_of_the_file_that_the_client_began_with(client: FlaskClient) -> None:
    first = get(client)
    for validator in (first.headers["ETag"], first.headers["Last-Modified"]):
        assert get(client, Range="bytes=5-", If_Range=validator).status_code == 206
    for validator in ('"other"', f"W/{first.headers['ETag']}", "Thu, 01 Jan 2015 00:00:00 GMT", "nonsense"):
        assert get(client, Range="bytes=5-", If_Range=validator).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/storage/files/{'0' * 64}/a.7z",
        f"/storage/files/{SHA256.upper()}/a.7z",
        f"/storage/files/{SHA256}/",
        f"/storage/files/{SHA256}/a/b.7z",
        f"/storage/files/{SHA256}/a%2Fb.7z",
        f"/storage/files/{SHA256}/a%5Cb.7z",
        f"/storage/files/{SHA256}/a%0Ab.7z",
        f"/storage/files/../{SHA256}/a.7z",
        f"/storage/images/{SHA256}.png",
        "/storage/images/..",
        "/storage/images/%00.png",
    ],
)
def test_what_is_not_stored_or_has_a_strange_name_is_not_found(client: FlaskClient, path: str) -> None:
    assert get(client, path).status_code == 404


def test_an_image_is_shown_under_its_own_kind_only(client: FlaskClient, settings: Settings, tmp_path: Path) -> None:
    data = b"\x89PNG\r\n\x1a\n pretend"
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "image").write_bytes(data)
    database = Database(settings)
    more: dict[str, Any] = {"sha256": sha256, "size": len(data), "content_type": "image/png", "owner_id": None}
    Blobs(database, Storage(settings)).adopt(tmp_path / "image", **more)
    database.close()
    answer = get(client, f"/storage/images/{sha256}.png")
    assert (answer.status_code, answer.data, answer.headers["Content-Type"]) == (200, data, "image/png")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "Content-Disposition" not in answer.headers
    for extension in ("jpg", "html", "png.html", ""):
        assert get(client, f"/storage/images/{sha256}.{extension}").status_code == 404
