"""The mirror folder over HTTP: ranges, revalidation, and no way out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app

BYTES = bytes(range(256)) * 40


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """These tests need no Redis."""
    made = Settings(data_path=tmp_path / "data")
    folder = made.mirror_folder / "tiny" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "tiny core.7z").write_bytes(BYTES)
    (folder / "page.html").write_text("<script>alert(1)</script>")
    (folder / ".partial").write_text("hidden")
    (tmp_path / "data" / "secret_key").write_text("secret")
    (made.mirror_folder / "way-out").symlink_to(tmp_path / "data" / "secret_key")
    (made.mirror_folder / "folder-out").symlink_to(tmp_path / "data")
    (made.mirror_folder / "loop").symlink_to(made.mirror_folder / "loop")
    (made.mirror_folder / "inside").symlink_to(folder / "tiny core.7z")
    return made


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return create_app(settings, Engine(settings)).test_client()


def get(client: FlaskClient, path: str, **more: Any) -> TestResponse:
    """The answer, read to its end so that its file is closed."""
    return client.get(path, buffered=True, **more)


ADDRESS = "/mirror/tiny/1.0.0/tiny%20core.7z"


def test_a_file_is_sent_whole_and_in_parts(client: FlaskClient) -> None:
    whole = get(client, ADDRESS)
    assert (whole.status_code, whole.data) == (200, BYTES)
    assert whole.headers["Accept-Ranges"] == "bytes"
    for header, expected in (("bytes=0-9", BYTES[:10]), ("bytes=100-", BYTES[100:]), ("bytes=-5", BYTES[-5:])):
        part = get(client, ADDRESS, headers={"Range": header})
        assert (part.status_code, part.data) == (206, expected)
    assert get(client, ADDRESS, headers={"Range": "bytes=99999-"}).status_code == 416


def test_a_file_that_did_not_change_is_not_sent_again(client: FlaskClient, settings: Settings) -> None:
    first = get(client, ADDRESS)
    for headers in (
        {"If-None-Match": first.headers["ETag"]},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        assert get(client, ADDRESS, headers=headers).status_code == 304
    (settings.mirror_folder / "tiny/1.0.0/tiny core.7z").write_bytes(b"another file")
    changed = get(client, ADDRESS, headers={"Range": "bytes=0-9", "If-Range": first.headers["ETag"]})
    assert (changed.status_code, changed.data) == (200, b"another file")


def test_head_tells_the_size(client: FlaskClient) -> None:
    answer = client.head(ADDRESS, buffered=True)
    assert (answer.status_code, answer.content_length, answer.data) == (200, len(BYTES), b"")


@pytest.mark.parametrize(
    "path",
    [
        "/mirror/../secret_key",
        "/mirror/%2e%2e/secret_key",
        "/mirror/tiny/..%2f..%2f..%2fsecret_key",
        "/mirror//etc/passwd",
        "/mirror/%2fetc%2fpasswd",
        "/mirror/way-out",
        "/mirror/folder-out/secret_key",
        "/mirror/loop",
        "/mirror/tiny/1.0.0/.partial",
        "/mirror/tiny",
        "/mirror/tiny/",
        "/mirror/",
        "/mirror/a%00b",
        "/mirror/" + "x" * 5000,
        "/mirror/tiny/1.0.0/tiny%20core.7z/more",
    ],
)
def test_nothing_but_plain_files_below_the_folder_is_served(client: FlaskClient, path: str) -> None:
    answer = get(client, path, follow_redirects=True)
    assert answer.status_code == 404
    assert b"secret" not in answer.data.replace(b"secret_key", b"")


def test_a_link_that_stays_inside_is_followed(client: FlaskClient) -> None:
    assert get(client, "/mirror/inside").data == BYTES


def test_what_is_mirrored_can_never_act_as_a_page_of_ours(client: FlaskClient) -> None:
    answer = get(client, "/mirror/tiny/1.0.0/page.html")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_mirror_folder_everything_is_a_404(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path / "nothing")
    assert get(create_app(settings, Engine(settings)).test_client(), "/mirror/x.7z").status_code == 404
