"""Bodies that the kernel moves from their connection to a file: from a played uWSGI, which has read ahead."""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from knossos.web import request_bodies, uwsgi_facts
from knossos.web.multipart import MalformedForm, body_of_request, move_body
from knossos.web.request_bodies import BodyBroke, CountingBody
from knossos.web.uwsgi_facts import Ahead

#: Bytes that the played uWSGI reads ahead at the most.
MOST_AHEAD = 1000
SIZES = [1, 999, 1000, 1001, 5_000_000]


class Stream:
    """Gives what was read ahead, and then what comes, as uWSGI does."""

    def __init__(self, connection: socket.socket, ahead: bytes) -> None:
        self._connection = connection
        self._ahead = ahead
        self.given = 0

    def read(self, size: int) -> bytes:
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        while len(data) < size and (piece := self._connection.recv(size - len(data))):
            data += piece
        self.given += len(data)
        return data


class Upload:
    """A client, what the server has of it, and a file."""

    def __init__(self, path: Path) -> None:
        self.server, self.client = socket.socketpair()
        self.path = path
        self.target = os.open(path, os.O_RDWR | os.O_CREAT)

    def body(self, ahead: bytes = b"", seconds: float = 60, *, known: bool = True) -> CountingBody:
        self.stream = Stream(self.server, ahead)
        told = Ahead(MOST_AHEAD, seconds) if known else None
        return CountingBody(self.stream, self.server.fileno, lambda: told)  # type: ignore[arg-type]

    def send(self, data: bytes) -> threading.Thread:
        """Send it in pieces of all sizes, and go on at once."""

        def work() -> None:
            chance, place = random.Random(7), 0
            while place < len(data):
                size = chance.choice([1, 100, 4096, 300_000])
                self.client.sendall(data[place : place + size])
                place += size

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def close(self) -> None:
        self.server.close()
        self.client.close()
        os.close(self.target)


@pytest.fixture
def upload(tmp_path: Path) -> Iterator[Upload]:
    made = Upload(tmp_path / "file")
    yield made
    made.close()


@pytest.mark.parametrize("known", [True, False], ids=["moved", "read"])
@pytest.mark.parametrize("ahead", [0, 1, 500, 1000])
@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_arrives_and_nothing_behind_it(upload: Upload, size: int, ahead: int, known: bool) -> None:
    data = random.Random(size).randbytes(size)
    sending = upload.send(data[ahead:] + b"the next request" if size >= ahead else b"the next request")
    body = upload.body(data[:ahead], known=known)
    assert body.move(upload.target, size) == size
    sending.join()
    assert upload.path.read_bytes() == data
    assert body.done == size
    assert upload.server.recv(100) == b"the next request"
    assert upload.stream.given == (min(size, MOST_AHEAD) if known else size)


@pytest.mark.parametrize("sent", [0, 500, MOST_AHEAD, 2_000_000])
def test_a_client_that_ends_too_early_is_told_by_how_much_came(upload: Upload, sent: int) -> None:
    sending = upload.send(b"x" * sent)
    body = upload.body()
    threading.Thread(target=lambda: (sending.join(), upload.client.shutdown(socket.SHUT_WR))).start()
    assert body.move(upload.target, 3_000_000) == sent
    assert body.done == sent == upload.path.stat().st_size


def test_a_client_that_says_nothing_for_too_long_breaks_it(upload: Upload) -> None:
    upload.send(b"x" * 5000).join()
    body = upload.body(seconds=0.05)
    with pytest.raises(BodyBroke, match=r"nothing has come for 0\.05 seconds"):
        body.move(upload.target, 10_000)
    assert body.done == 5000


def test_a_connection_that_is_reset_breaks_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, open(tmp_path / "file", "wb") as file:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        with server:
            client.sendall(b"x" * 2000)
            body = CountingBody(Stream(server, b""), server.fileno, lambda: Ahead(1000, 60))  # type: ignore[arg-type]
            first = body.move(file.fileno(), 2000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with pytest.raises(BodyBroke):
                body.move(file.fileno(), 2000)
    assert first == 2000


def test_a_file_system_that_cannot_take_from_a_pipe_is_written_to(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    splice = os.splice

    def refusing(source: int, target: int, count: int, **how: Any) -> int:
        if target == upload.target:
            raise OSError(errno.EINVAL, "Invalid argument")
        return splice(source, target, count, **how)

    monkeypatch.setattr(request_bodies.os, "splice", refusing)
    data = random.Random(1).randbytes(3_000_000)
    sending = upload.send(data)
    assert upload.body().move(upload.target, len(data)) == len(data)
    sending.join()
    assert upload.path.read_bytes() == data


def test_a_full_disk_is_an_error_of_the_file(upload: Upload) -> None:
    upload.send(b"x" * 5000).join()
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space left"):
        upload.body().move(full.fileno(), 5000)


def test_a_file_that_takes_a_little_at_a_time_gets_all_of_it(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(request_bodies.os, "write", lambda target, data: write(target, data[:3]))
    upload.send(b"0123456789").join()
    assert upload.body(known=False).move(upload.target, 10) == 10
    assert upload.path.read_bytes() == b"0123456789"


@pytest.mark.parametrize("sent", [5000, 3000], ids=["whole", "broken"])
def test_nothing_stays_open_behind_a_body_that_was_moved(upload: Upload, sent: int) -> None:
    upload.send(b"x" * sent).join()
    before = os.listdir("/proc/self/fd")
    with nullcontext() if sent == 5000 else pytest.raises(BodyBroke):
        upload.body(seconds=0.01).move(upload.target, 5000)
    assert len(os.listdir("/proc/self/fd")) == len(before)


class Gone:
    """The body of a client that is gone, as uWSGI and as our own reading say it."""

    def read(self, size: int) -> bytes:
        raise OSError("error during read")

    def move(self, target: int, size: int) -> int:
        raise BodyBroke("nothing has come")


@pytest.mark.parametrize(
    "receive", [lambda: move_body(-1, 10), lambda: body_of_request().read(10)], ids=["moved", "read"]
)
def test_a_body_that_does_not_arrive_is_a_malformed_form(receive: Callable[[], object]) -> None:
    environ = {"CONTENT_LENGTH": "10", "wsgi.input": Gone()}
    context = Flask("test").test_request_context(environ_overrides=environ)
    with context, pytest.raises(MalformedForm, match="does not arrive any more"):
        receive()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, Ahead(4096, 4)),
        ({"post-buffering": b"0", "buffer-size": b"32768", "socket-timeout": b"60"}, Ahead(32768, 60)),
        ({"post-buffering": b"8192"}, None),
        ({"buffer-size": [b"4096", b"32768"]}, None),
        ({"buffer-size": b"32k"}, None),
        ({"http-socket": b":80", "buffer-size": b"32768"}, Ahead(32768, 4)),
        ({"http-socket": b":80", "https-socket": b":443,cert,key"}, None),
        ({"fastcgi-socket": b":9000"}, None),
        ({"socket": b":9000", "protocol": b"fastcgi"}, None),
    ],
)
def test_it_goes_by_what_uwsgi_was_told(
    options: dict[str, Any], told: Ahead | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
    assert uwsgi_facts.ahead() == told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, False),
        ({"http-socket": b":80"}, True),
        ({"http11-socket": b":80"}, True),
        ({"http-socket": b":80", "socket": b":9000"}, False),
        ({"http-socket": b":80", "https-socket": b":443,cert,key"}, False),
        ({"socket": b":9000"}, False),
    ],
)
def test_it_talks_http_where_no_socket_speaks_anything_else(
    options: dict[str, Any], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
    assert uwsgi_facts.talks_http() is told
