"""Clients that ask before they send a body: ``Expect: 100-continue``."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from knossos.web.expectations import GO_ON, Expectations
from knossos.web.unread_bodies import UnreadBodies
from tests.support.redis_server import RedisServer
from tests.support.site import API_KEY, Site

pytestmark = pytest.mark.xdist_group("big bodies")

BODY = b"passwd=" + API_KEY.encode() + b"&data=nothing"
ASKING = {"HTTP_EXPECT": "100-Continue", "SERVER_PROTOCOL": "HTTP/1.1"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url, sockets=False) as started:
        yield started


@pytest.fixture
def client(site: Site) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.settings.api_listen[1]), 60) as connection:
        yield connection


def ask(client: socket.socket, path: str, length: int, version: str = "1.1") -> None:
    client.sendall(
        f"POST {path} HTTP/{version}\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def rest(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def test_the_client_is_told_once_and_sends_its_body(client: socket.socket) -> None:
    ask(client, "/api/converter/request", len(BODY))
    assert client.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
    client.sendall(BODY)
    answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"100 Continue" not in answer
    assert b'"error"' in answer or b'"success"' in answer


def test_who_is_refused_is_not_asked_for_the_body(client: socket.socket) -> None:
    ask(client, "/drop/1/x/0", 100_000_000)
    client.shutdown(socket.SHUT_WR)
    answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"Access denied" in answer


def test_a_client_of_http_1_0_gets_one_answer(client: socket.socket) -> None:
    ask(client, "/api/converter/request", len(BODY), version="1.0")
    client.sendall(BODY)
    assert b"100 Continue" not in rest(client)


class Connection:
    """Our end of one, and what the other end has got."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def got(self) -> bytes:
        self.ours.close()
        with self.theirs:
            return rest(self.theirs)


def answer(
    environ: dict[str, Any], connection: Connection, *, http: bool = True, reads: int = 2, known: bool = True
) -> None:
    """Have a request of 8 bytes answered by an application that reads it in so many goes."""

    def application(environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
        for _ in range(reads):
            environ["wsgi.input"].read(4)
        return []

    descriptor = connection.ours.fileno() if known else None
    made = UnreadBodies(Expectations(application, lambda: http, lambda: descriptor), lambda: None)
    made({"CONTENT_LENGTH": "8", "wsgi.input": io.BytesIO(b"one two "), **environ}, lambda *_: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environ", "how", "told"),
    [
        (ASKING, {}, GO_ON),
        (ASKING, {"reads": 0}, b""),
        (ASKING, {"http": False}, b""),
        (ASKING, {"known": False}, b""),
        ({**ASKING, "HTTP_EXPECT": "200-maybe"}, {}, b""),
        ({**ASKING, "SERVER_PROTOCOL": "HTTP/1.0"}, {}, b""),
        ({"SERVER_PROTOCOL": "HTTP/1.1"}, {}, b""),
    ],
)
def test_it_is_said_at_the_first_read_to_who_waits_for_it(
    environ: dict[str, Any], how: dict[str, Any], told: bytes
) -> None:
    connection = Connection()
    answer(environ, connection, **how)
    assert connection.got() == told


def test_a_client_that_is_gone_meanwhile_breaks_nothing() -> None:
    connection = Connection()
    connection.theirs.close()
    answer(ASKING, connection)
    connection.ours.close()
