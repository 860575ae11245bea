"""The test server itself: what other tests rely on."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from tests.support.file_server import Answer, FileServer, Refuse, Reset


def ask(server: FileServer, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def server():  # type: ignore[no-untyped-def]
    with FileServer() as running:
        yield running


def test_files_come_whole_in_parts_and_not_at_all_when_unchanged(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"0123456789")
    for path, content in (("/a", b"0123456789"), ("/b", tmp_path / "disk")):
        server.file(path, content, etag='"1"')
        assert ask(server, path) == (200, b"0123456789")
        assert ask(server, path, {"Range": "bytes=4-"}) == (206, b"456789")
        assert ask(server, path, {"Range": "bytes=4-", "If-Range": '"2"'}) == (200, b"0123456789")
        assert ask(server, path, {"Range": "bytes=10-"})[0] == 416
        assert ask(server, path, {"If-None-Match": '"1"'}) == (304, b"")
    assert server.count("/a") == 5
    assert server.asked("/a")[1].headers["range"] == "bytes=4-"


def test_faults_happen_once_each_and_then_all_is_well(server: FileServer) -> None:
    server.file("/a", b"x" * 100, faults=[Refuse(503, {"Retry-After": "7"}), Reset(after=40), Reset(40, clean=True)])
    assert ask(server, "/a") == (503, b"not now")
    with pytest.raises(ConnectionResetError):
        ask(server, "/a")
    with pytest.raises(http.client.IncompleteRead):
        ask(server, "/a")
    assert ask(server, "/a") == (200, b"x" * 100)


def test_chunks_pages_redirects_and_handlers(server: FileServer) -> None:
    server.file("/chunks", b"y" * 70_000, chunked=True)
    server.page("/page", "<p>hello</p>")
    server.redirect("/away", "file:///etc/passwd")
    server.handle("/own", lambda request: Answer(body=request.query.encode()))
    assert ask(server, "/chunks") == (200, b"y" * 70_000)
    assert ask(server, "/page") == (200, b"<p>hello</p>")
    assert ask(server, "/away")[0] == 302
    assert ask(server, "/own?q=1") == (200, b"q=1")
    assert ask(server, "/missing")[0] == 404
