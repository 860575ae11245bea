"""The door without a sandbox: its relay on loopback, and how its socket is made."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from knossos.scripting.sandbox import door
from knossos.scripting.sandbox.door import BUFFER_BYTES, _made_by_ourselves, _Relay, _Side

#: Seconds after which what should come at once counts as missing.
PATIENCE = 10


class Relay:
    """A relay to ``target`` in a thread, and its callers."""

    def __init__(self, target: tuple[str, int]) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        self.relay = _Relay(listener, target)
        self.thread = threading.Thread(target=self.relay.run)
        self.thread.start()
        self.opened = ExitStack()

    def call(self) -> socket.socket:
        return self.opened.enter_context(socket.create_connection(self.address, PATIENCE))

    def stop(self) -> None:
        if self.thread.is_alive():
            self.relay.stop()
        self.thread.join()


@pytest.fixture
def relay_to() -> Iterator[Callable[[tuple[str, int]], Relay]]:
    with ExitStack() as ended:

        def make(target: tuple[str, int]) -> Relay:
            made = Relay(target)
            ended.callback(made.opened.close)
            ended.callback(made.stop)
            return made

        yield make


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE)
        yield made


@pytest.mark.parametrize("name", ["a" * 70 + ".example", "a..b"])
def test_a_server_whose_name_can_be_none_closes_the_connection_and_the_door_stays(
    name: str, relay_to: Callable[[tuple[str, int]], Relay]
) -> None:
    relay = relay_to((name, 80))
    for _ in range(2):
        assert relay.call().recv(1) == b""
    assert relay.thread.is_alive()


def test_a_connection_beyond_the_most_reaches_the_server_when_another_has_ended(
    monkeypatch: pytest.MonkeyPatch, server: socket.socket, relay_to: Callable[[tuple[str, int]], Relay]
) -> None:
    monkeypatch.setattr(door, "MAX_CONNECTIONS", 1)
    relay = relay_to(server.getsockname())
    first = relay.call()
    taken, _ = server.accept()
    relay.call()
    # The relay goes round for each of these; had it taken the second one, the server would have it by now.
    for _ in range(3):
        first.sendall(b"?")
        assert taken.recv(1) == b"?"
        taken.sendall(b"!")
        assert first.recv(1) == b"!"
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept()
    server.settimeout(PATIENCE)
    first.close()
    taken.close()
    second, _ = server.accept()
    second.close()


def test_a_side_is_not_read_while_enough_is_held_for_the_other() -> None:
    one, other = socket.socketpair()
    with one, other:
        side = _Side(one)
        side.other = _Side(other)
        side.other.pending += b"x" * (BUFFER_BYTES - 1)
        assert side.wanted == selectors.EVENT_READ
        side.other.pending += b"x"
        assert side.wanted == 0


def test_connections_that_are_open_end_with_the_door(
    server: socket.socket, relay_to: Callable[[tuple[str, int]], Relay]
) -> None:
    relay = relay_to(server.getsockname())
    caller = relay.call()
    taken, _ = server.accept()
    with taken:
        taken.settimeout(PATIENCE)
        relay.stop()
        assert (caller.recv(1), taken.recv(1)) == (b"", b"")


def test_a_signal_waits_until_we_are_back_in_our_own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def listening() -> socket.socket:
        signal.raise_signal(signal.SIGUSR1)
        done.append("listens")
        return socket.socket()

    def setns(*_: Any) -> None:
        done.append("moves")

    monkeypatch.setattr(door.kernel, "setns", setns)
    monkeypatch.setattr(door, "_listening", listening)
    before = signal.signal(signal.SIGUSR1, lambda *_: done.append("is told"))
    try:
        _made_by_ourselves(-1).close()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert done == ["moves", "listens", "moves", "is told"]
