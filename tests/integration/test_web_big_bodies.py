"""Refusals of bodies that nobody wants: the answer arrives, though the client is still sending when it is made."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest
import requests

from knossos.web import unread_bodies
from knossos.web.request_bodies import CountingBody
from knossos.web.unread_bodies import UnreadBodies, linger
from tests.support.big_bodies import REFUSALS, check_refusal
from tests.support.redis_server import RedisServer
from tests.support.site import API_KEY, Site

pytestmark = pytest.mark.xdist_group("big bodies")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url, sockets=False) as started:
        yield started


@pytest.mark.parametrize("case", list(REFUSALS))
def test_an_early_refusal_of_a_big_body_arrives_in_the_protocols_words(site: Site, case: str) -> None:
    for _ in range(3):
        check_refusal(case, site.url, API_KEY)


def test_a_client_that_waits_for_the_end_of_its_upload_is_answered_at_once(site: Site) -> None:
    """It announces much, sends a little and then reads: the answer does not wait for the rest."""
    with socket.create_connection(("127.0.0.1", site.settings.api_listen[1]), 30) as client:
        client.sendall(b"POST /drop/1/x/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000)
        assert b"Access denied" in _until(client, b"Access denied")


def test_what_was_refused_holds_up_nobody_else(site: Site) -> None:
    """More clients than there are threads, each silent in the middle of its body, are let go soon."""
    clients = []
    for _ in range(40):
        client = socket.create_connection(("127.0.0.1", site.settings.api_listen[1]), 60)
        client.sendall(b"POST /drop/1/x/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nx")
        clients.append(client)
    assert requests.get(f"{site.url}/api/health", timeout=60).status_code == 200
    for client in clients:
        client.close()


def _until(client: socket.socket, words: bytes) -> bytes:
    data = b""
    while words not in data and (piece := client.recv(65536)):
        data += piece
    return data


def dropped_of_5000() -> int:
    """How many bytes are dropped where so many have come, in small pieces."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x" * 5000)
        theirs.shutdown(socket.SHUT_WR)
        return linger(ours.fileno(), 10**9)


class TestLingering:
    def test_it_ends_with_the_announced_bytes_and_leaves_the_connection_open(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"x" * 1000)
        assert linger(ours.fileno(), 1000) == 1000
        theirs.sendall(b"next")
        assert ours.recv(10) == b"next"
        ours.close()
        theirs.close()

    def test_it_ends_when_the_client_closes(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"x" * 10)
        theirs.close()
        assert linger(ours.fileno(), 10**9) == 10
        ours.close()

    def test_a_client_that_is_told_the_end_closes_and_is_waited_for_no_longer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of its body may have come, for all that we can tell."""
        monkeypatch.setattr(unread_bodies, "SILENT_SECONDS", 600)
        monkeypatch.setattr(unread_bodies, "MOST_SECONDS", 600)
        ours, theirs = socket.socketpair()
        waiting = threading.Thread(target=linger, args=(ours.fileno(), 10), kwargs={"close_half": True}, daemon=True)
        waiting.start()
        theirs.settimeout(60)
        assert theirs.recv(10) == b""
        theirs.close()
        waiting.join(60)
        assert not waiting.is_alive()
        ours.close()

    def test_it_ends_when_the_client_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unread_bodies, "SILENT_SECONDS", 0.05)
        ours, theirs = socket.socketpair()
        assert linger(ours.fileno(), 10**9) == 0
        ours.close()
        theirs.close()

    def test_it_ends_when_the_client_has_sent_more_than_is_bearable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unread_bodies, "MOST_BYTES", 1000)
        monkeypatch.setattr(unread_bodies, "PIECE_BYTES", 500)
        assert dropped_of_5000() == 1000

    def test_it_ends_when_the_client_has_sent_for_longer_than_is_bearable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Time goes on by a second whenever it is looked at.
        monkeypatch.setattr(unread_bodies, "time", SimpleNamespace(monotonic=partial(next, count())))
        monkeypatch.setattr(unread_bodies, "MOST_SECONDS", 4)
        monkeypatch.setattr(unread_bodies, "PIECE_BYTES", 500)
        assert dropped_of_5000() == 3 * 500


def application(reads: Callable[[CountingBody], object]) -> Callable[[dict[str, object], object], list[bytes]]:
    def answer(environ: dict[str, object], start_response: object) -> list[bytes]:
        body = environ["wsgi.input"]
        if isinstance(body, CountingBody):
            reads(body)
        return [b"answer"]

    return answer


@pytest.mark.parametrize(
    ("reads", "lingers"),
    [
        (lambda body: None, True),
        (lambda body: body.read(3), True),
        (lambda body: body.read(), False),
        (lambda body: list(body), False),
        (lambda body: body.readlines(), False),
    ],
)
def test_only_a_body_that_was_not_read_is_waited_for(reads: Callable[[CountingBody], object], lingers: bool) -> None:
    asked = []
    middleware = UnreadBodies(application(reads), lambda: asked.append(True))
    answer = middleware({"CONTENT_LENGTH": "8", "wsgi.input": io.BytesIO(b"one\ntwo\n")}, lambda *_: None)  # type: ignore[arg-type]
    assert list(answer) == [b"answer", b""]
    assert asked == [], "the answer comes first"
    answer.close()  # type: ignore[attr-defined]
    assert bool(asked) is lingers


def test_also_an_empty_answer_is_sent_before_its_client_is_waited_for() -> None:
    """uWSGI sends headers with the first piece."""
    asked = []
    made = UnreadBodies(lambda environ, start_response: [], lambda: asked.append(True))
    pieces = iter(made({"CONTENT_LENGTH": "8", "wsgi.input": io.BytesIO(b"one two ")}, lambda *_: None))  # type: ignore[arg-type]
    assert next(pieces) == b""
    assert asked == []


@pytest.mark.parametrize("talks_http", [True, False])
def test_the_end_is_said_where_that_breaks_no_other_protocol(talks_http: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(unread_bodies, "linger", lambda *_, close_half: said.append(close_half))
    made = UnreadBodies(application(lambda body: None), lambda: 7, lambda: talks_http)
    made({"CONTENT_LENGTH": "8", "wsgi.input": io.BytesIO(b"one two ")}, lambda *_: None).close()  # type: ignore[arg-type,attr-defined]
    assert said == [talks_http]


def test_a_request_without_a_body_is_left_alone() -> None:
    made = UnreadBodies(application(lambda body: None), lambda: None)
    assert made({"wsgi.input": None, "CONTENT_LENGTH": ""}, lambda *_: None) == [b"answer"]  # type: ignore[arg-type]


def test_an_answer_that_is_closed_closes_what_it_is_made_of_and_then_waits_for_the_client() -> None:
    done: list[str] = []

    class Pieces(list[bytes]):
        def close(self) -> None:
            done.append("closed")

    made = UnreadBodies(lambda *_: Pieces(), lambda: done.append("waits"))
    made({"CONTENT_LENGTH": "8", "wsgi.input": io.BytesIO(b"12345678")}, lambda *_: None).close()  # type: ignore[arg-type, attr-defined]
    assert done == ["closed", "waits"]
