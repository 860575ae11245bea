"""The way to the S3 server, which can be told to answer 500 or to say nothing: a proxy outside of the product.

It passes bytes on as they are. Only where a connection stands between two requests does it read one itself: then it
answers 500 in place of the server, after it has taken the whole request, as a server does.
"""

from __future__ import annotations

import select
import socket
import threading
from enum import StrEnum

#: Bytes that are passed on in one piece.
PIECE_BYTES = 64 * 1024
#: Seconds between two looks at how the door is, while nothing comes.
LOOK_SECONDS = 0.2
_REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Door(StrEnum):
    """How the way to the storage is."""

    #: All is passed on.
    OPEN = "open"
    #: New requests are answered 500.
    FAILING = "failing"
    #: Nothing is passed on, in either direction, and nobody is told.
    STALLED = "stalled"


class StorageDoor:
    """Listens on ``address`` from its making until `close`, and passes on to ``server``."""

    def __init__(self, address: tuple[str, int], server: tuple[str, int]) -> None:
        self.state = Door.OPEN
        #: Requests that were answered 500.
        self.refused = 0
        self._server = server
        self._closing = False
        self._listener = socket.create_server(address, backlog=128)
        threading.Thread(target=self._accept, name="storage door", daemon=True).start()

    def close(self) -> None:
        self._closing = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                if self.state is Door.FAILING:  # also while the server is away
                    client.settimeout(60)
                    self._refuse(client, b"")
                    return
                with socket.create_connection(self._server, timeout=10) as server:
                    client.settimeout(60)
                    server.settimeout(60)
                    self._pass_on(client, server)
            except OSError:
                return  # one of them is gone, and so is the other

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        between_requests = True
        while not self._closing:
            ready, _, _ = select.select([client, server], [], [], LOOK_SECONDS)
            if self.state is Door.STALLED:
                threading.Event().wait(LOOK_SECONDS)
                continue
            if server in ready:
                data = server.recv(PIECE_BYTES)
                if not data:
                    return
                client.sendall(data)
                between_requests = True
            if client in ready:
                data = client.recv(PIECE_BYTES)
                if not data:
                    return
                if between_requests and self.state is Door.FAILING:
                    self._refuse(client, data)
                    return
                server.sendall(data)
                between_requests = False

    def _refuse(self, client: socket.socket, begun: bytes) -> None:
        """Take the request to its end, and answer 500."""
        while b"\r\n\r\n" not in begun:
            data = client.recv(PIECE_BYTES)
            if not data:
                return
            begun += data
        head, _, body = begun.partition(b"\r\n\r\n")
        left = body_bytes(head) - len(body)
        while left > 0:
            data = client.recv(min(left, PIECE_BYTES))
            if not data:
                return
            left -= len(data)
        self.refused += 1
        client.sendall(_REFUSAL)


def body_bytes(head: bytes) -> int:
    """How many bytes follow the head of a request; 0 where it does not say."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0
