"""The door from the sandbox to the HTTP server."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.scripting.sandbox import (
    server_url,
)
from knossos.settings import Settings
from tests.support.sandbox import PYTHON, Place


class Echo(socketserver.BaseRequestHandler):
    """Answers, once it has all, with how much that was, and then as much."""

    def handle(self) -> None:
        got = 0
        while piece := self.request.recv(65536):
            got += len(piece)
        self.request.sendall(f"{got} ".encode() + b"x" * got)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Echo) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


CALL = f"""#!{PYTHON}
import socket, sys, threading
def call(size):
    with socket.create_connection(("127.0.0.1", 4080), 60) as one:
        def send():
            one.sendall(b"y" * size)
            one.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        text = b""
        while piece := one.recv(65536):
            text += piece
        sender.join()
        return text.split()[0].decode(), len(text)
"""


def test_a_script_calls_the_server_by_its_door_and_halves_are_closed(place: Place, server: Server) -> None:
    result = place.run(CALL + "for n in (0, 1, 3_000_000): print(*call(n))", door=server.server_address)
    assert result.stdout == "0 2\n1 3\n3000000 3000008\n", result.stderr


def test_more_connections_than_the_door_takes_wait_their_turn(place: Place, server: Server) -> None:
    many = """
held = [socket.create_connection(("127.0.0.1", 4080), 60) for _ in range(40)]
answers = []
def work():
    answers.append(call(100)[0])
threads = [threading.Thread(target=work) for _ in range(20)]
for one in threads: one.start()
for one in held: one.close()
for one in threads: one.join()
print(len(answers), set(answers))
"""
    result = place.run(CALL + many, door=server.server_address)
    assert result.stdout == "20 {'100'}\n", result.stderr


def test_a_server_that_is_away_closes_the_connection_and_the_door_stays(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        twice = """
for _ in range(2):
    try:
        with socket.create_connection(("127.0.0.1", 4080), 60) as one: print(repr(one.recv(10)))
    except OSError as error: print(type(error).__name__)
"""
        result = place.run(CALL + twice, door=unused.getsockname())
    assert len(result.stdout.splitlines()) == 2
    assert set(result.stdout.splitlines()) <= {"b''", "ConnectionResetError"}


def test_the_door_leads_to_the_server_and_to_nothing_else(place: Place, server: Server) -> None:
    ports = f"""
for port in ({server.server_address[1]}, 22, 80, 6379):
    try: socket.create_connection(("127.0.0.1", port), 60); print("in")
    except OSError as error: print(error.errno)
"""
    assert place.run(CALL + ports, door=server.server_address).stdout.split() == ["111"] * 4


def test_with_the_network_a_script_calls_the_server_where_it_is(place: Place, server: Server) -> None:
    address = server.server_address
    script = CALL.replace("4080", str(address[1])) + "print(*call(1))"
    assert place.run(script, door=address, network=True).stdout == "1 3\n"


def test_the_server_s_address_is_known_before_the_script_starts() -> None:
    boxed = Settings(data_path=Path("data"))
    bare = Settings(data_path=Path("data"), script_sandbox="none")
    assert server_url(boxed, False, ("192.0.2.7", 80)) == "http://127.0.0.1:4080"
    assert server_url(boxed, True, ("192.0.2.7", 80)) == "http://192.0.2.7:80"
    assert server_url(bare, False, ("::1", 80)) == "http://[::1]:80"
    assert server_url(boxed, False, None) == ""
