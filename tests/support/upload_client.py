"""A client for uploads that costs as little as possible: it sends a file from the disk's cache by ``sendfile``, over a
connection for each request, as uWSGI's plain HTTP has it. For load tests and measurements."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from knossos.publishing.uploads import Plan

MIB = 1024 * 1024
BOUNDARY = "----------------8dd2f4c1a6b0e57"


@dataclass(frozen=True)
class Source:
    """A file to upload."""

    path: Path
    size: int
    sha256: str

    @property
    def plan(self) -> Plan:
        return Plan(self.size)


def make_source(path: Path, size: int) -> Source:
    """A file in which no two blocks are the same."""
    digest, block = hashlib.sha256(), os.urandom(MIB)
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            data = (start.to_bytes(8, "big") + block[8:])[: size - start]
            digest.update(data)
            file.write(data)
    return Source(path, size, digest.hexdigest())


class UploadClient:
    def __init__(self, address: tuple[str, int], token: str = "") -> None:
        self._address = address
        self._token = token

    def upload(self, source: Source, at_once: int = 3) -> None:
        """All of it: what has arrived already is not sent again."""
        started = self.start(source)
        if started["done"]:
            return
        left = sorted(set(range(source.plan.parts)) - set(started["finished_parts"]))
        with ThreadPoolExecutor(at_once) as pool:
            for answer in pool.map(lambda number: self.send_part(source, number), left):
                assert answer == b"OK", answer
        assert self.finish(source) == {"result": True}

    def start(self, source: Source) -> dict[str, Any]:
        return self.ask("start", {"id": source.sha256, "size": source.size, "parts": source.plan.parts})

    def finish(self, source: Source) -> dict[str, Any]:
        return self.ask("finish", {"id": source.sha256, "checksum": source.sha256})

    def ask(self, what: str, fields: dict[str, Any]) -> dict[str, Any]:
        body = urlencode(fields)
        with self._connection() as connection:
            kind = "application/x-www-form-urlencoded"
            connection.sendall(self._head(f"/api/1/multiupload/{what}", kind, len(body)) + body.encode())
            found: dict[str, Any] = json.loads(_answer(connection))
        return found

    def send_part(self, source: Source, number: int) -> bytes:
        plan = source.plan
        with self.sending(source, number) as (connection, send):
            send(plan.length(number))
            return send.finish(connection)

    def send_file(self, path: str, source: Source, filename: str) -> bytes:
        """The whole file as the only part of a form."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
        with self._connection() as connection, source.path.open("rb") as file:
            sender = _Sender(connection.fileno(), file.fileno(), 0)
            self._begin(connection, path, head, source.size)
            sender(source.size)
            return sender.finish(connection)

    @contextmanager
    def sending(self, source: Source, number: int) -> Iterator[tuple[socket.socket, _Sender]]:
        """A part whose bytes are sent as the caller says; the connection drops at the end."""
        head = "".join(
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n"
            for name, value in {"id": source.sha256, "part": number}.items()
        )
        head += f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=upload\r\n\r\n"
        with self._connection() as connection, source.path.open("rb") as file:
            self._begin(connection, "/api/1/multiupload/part", head, source.plan.length(number))
            yield connection, _Sender(connection.fileno(), file.fileno(), source.plan.start(number))

    def _begin(self, connection: socket.socket, path: str, head: str, length: int) -> None:
        whole = len(head) + length + len(_TAIL)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        connection.sendall(self._head(path, kind, whole) + head.encode(), socket.MSG_MORE)

    def _connection(self) -> socket.socket:
        # Without a time limit: with one, Python makes the socket one that never waits.
        return socket.create_connection(self._address)

    def _head(self, path: str, kind: str, length: int) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-KN-TOKEN: {self._token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


class _Sender:
    """Sends the next bytes of a file."""

    def __init__(self, connection: int, file: int, start: int) -> None:
        self._connection, self._file, self._place = connection, file, start

    def __call__(self, length: int) -> None:
        end = self._place + length
        while self._place < end:
            self._place += os.sendfile(self._connection, self._file, self._place, end - self._place)

    def finish(self, connection: socket.socket) -> bytes:
        """Send the end of the form; the body of the answer."""
        connection.sendall(_TAIL)
        return _answer(connection)


def _answer(connection: socket.socket) -> bytes:
    """The body of the answer; the server closes the connection after it."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], data
    return body


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def memory_mib(pid: int, kind: str = "VmRSS") -> float:
    """The memory of a process, or with "VmHWM" the most that it has ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no memory")
