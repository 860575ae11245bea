"""A way to Redis on which an answer gets lost: the connection breaks when a transaction was done, before its answer."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextlib.contextmanager
def cut_after_a_transaction(url: str, meanwhile: Callable[[], None]) -> Iterator[str]:
    """The address of a Redis behind such a way. Once, after the first transaction is done, ``meanwhile`` is called and
    its answer is lost."""
    behind = urlsplit(url)
    lost = threading.Event()

    class Way(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((behind.hostname, behind.port)) as redis:  # type: ignore[arg-type]
                while asked := self.request.recv(1 << 20):
                    redis.sendall(asked)
                    answer = redis.recv(1 << 20)
                    if b"EXEC" in asked and not lost.is_set():
                        lost.set()
                        meanwhile()
                        return
                    self.request.sendall(answer)

    with _Server(("127.0.0.1", 0), Way) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}{behind.path}"
        finally:
            server.shutdown()
            thread.join()
    assert lost.is_set(), "there was no transaction"
