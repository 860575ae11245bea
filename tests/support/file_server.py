"""A loopback HTTP server for tests that serves files well, and badly in every way that real servers do.

Owns what goes over the wire and a log of what was asked; knows nothing of Knossos. Each path is set up with one
call (`file`, `page`, `redirect`, `status`, `handle`), and what was asked is read from `requests`:

    with FileServer() as server:
        url = server.file("/a.7z", data, etag='"1"', faults=[Reset(after=1000)])
        ...
        assert [request.headers.get("Range") for request in server.asked("/a.7z")] == [None, "bytes=1000-"]

Every answer is written with one header block and, where the body is a file on disk, with sendfile. A handler that
is silent or slow on purpose ends when the server is closed, so no thread outlives its test.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came: `headers` is case-insensitive, `body` is what followed them."""

    method: str
    path: str
    query: str
    headers: Message
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form that was posted."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass(frozen=True)
class Answer:
    """What a handler gives back. A body that is a path is sent from disk."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path = b""


@dataclass(frozen=True)
class Refuse:
    """Answer with this status and nothing of the file."""

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """Send `after` bytes of the body, then break the connection (`clean`: close it as if all were well)."""

    after: int = 0
    clean: bool = False


@dataclass(frozen=True)
class Silent:
    """Send `after` bytes of the body (None: not even the headers), then say nothing until the server closes."""

    after: int | None = None


@dataclass(frozen=True)
class Drip:
    """Send the body (`head`: the header lines already) in pieces of `piece` bytes, `pause` seconds apart."""

    piece: int = 1
    pause: float = 0.05
    head: bool = False


Fault = Refuse | Reset | Silent | Drip
Handler = Callable[[Request], Answer]


@dataclass
class _File:
    content: bytes | Path
    content_type: str
    etag: str | None
    last_modified: str | None
    ranges: str
    chunked: bool
    length: int | None
    headers: Mapping[str, str]
    faults: list[Fault]
    always: Fault | None

    @property
    def size(self) -> int:
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


class FileServer:
    """Serve on a free loopback port from construction until `close()` (or the end of the `with` block).

    Args:
        host: the loopback address to listen on ("127.0.0.1", "::1", "127.0.0.2", ...).
        tls: a server-side context; then the URLs begin with https.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        #: What `url()` puts in front; a test of name resolution sets another host name here.
        self.host = f"[{host}]" if ":" in host else host
        self._scheme = "https" if tls else "http"
        self._paths: dict[str, _File | Handler] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server((host, port), self, tls)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    # --- setting up -------------------------------------------------------------------------------
    def file(
        self,
        path: str,
        content: bytes | Path,
        *,
        content_type: str = "application/octet-stream",
        etag: str | None = None,
        last_modified: str | None = None,
        ranges: str = "yes",
        chunked: bool = False,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
        always: Fault | None = None,
    ) -> str:
        """Serve `content` at `path` and return its URL. Setting a path again replaces it.

        Args:
            etag, last_modified: sent with the file and compared with the conditional headers (304).
            ranges: "yes" answers 206 and 416 as it should be, "ignore" always sends everything, "wrong" answers
                206 with another part than was asked for.
            chunked: sent without a Content-Length, in chunks.
            length: the Content-Length to claim instead of the true one.
            faults: what goes wrong in the first requests, one each; afterwards all is well.
            always: what goes wrong in every request after those.
        """
        entry = _File(
            content, content_type, etag, last_modified, ranges, chunked, length, headers or {}, list(faults), always
        )
        self._paths[path] = entry
        return self.url(path)

    def page(self, path: str, html: str, status: int = 200) -> str:
        """Serve a web page."""
        answer = Answer(status, {"Content-Type": "text/html; charset=utf-8"}, html.encode())
        return self.handle(path, lambda request: answer)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        """Send the client to `to`, which may be anything."""
        return self.handle(path, lambda request: Answer(status, {"Location": to}, b"moved"))

    def status(self, path: str, code: int, headers: Mapping[str, str] | None = None, body: bytes = b"no") -> str:
        """Always answer with this status."""
        return self.handle(path, lambda request: Answer(code, headers or {}, body))

    def handle(self, path: str, handler: Handler) -> str:
        """Answer with what `handler(request)` returns; the path is matched without its query."""
        self._paths[path] = handler
        return self.url(path)

    # --- reading ----------------------------------------------------------------------------------
    def url(self, path: str) -> str:
        return f"{self._scheme}://{self.host}:{self.port}{path}"

    def asked(self, path: str) -> list[Request]:
        """The requests for `path` so far, oldest first."""
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def count(self, path: str) -> int:
        return len(self.asked(path))

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- used by the handler threads --------------------------------------------------------------
    def record(self, request: Request) -> tuple[_File | Handler | None, Fault | None]:
        with self._lock:
            self.requests.append(request)
            entry = self._paths.get(request.path)
            if isinstance(entry, _File):
                return entry, entry.faults.pop(0) if entry.faults else entry.always
            return entry, None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: FileServer, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self.tls = tls
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self._open: set[socket.socket] = set()
        self.resetting: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for this machine's name, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls:
            # The handshake happens at the first read, in the handler's thread.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request in self.resetting:
            self.resetting.discard(request)
            self.close_request(request)  # without the shutdown that would end the stream in good order
        else:
            super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self._open):  # kept-alive connections would hold their threads
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, and faults that break connections on purpose, are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, format: str, *args: Any) -> None:
        """What was asked is in `FileServer.requests`."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        request = Request(self.command, parts.path, parts.query, self.headers, body)
        entry, fault = self.server.owner.record(request)
        if entry is None:
            self._send(Answer(404, {"Content-Type": "text/plain"}, b"there is nothing here"), None)
        elif isinstance(entry, _File):
            self._send_file(entry, request, fault)
        else:
            self._send(entry(request), None)

    do_POST = do_PUT = do_HEAD = do_GET

    def _send_file(self, entry: _File, request: Request, fault: Fault | None) -> None:
        if isinstance(fault, Refuse):
            self._send(Answer(fault.status, fault.headers, b"not now"), None)
            return
        size = entry.size
        headers = {"Content-Type": entry.content_type, **entry.headers}
        if entry.etag:
            headers["ETag"] = entry.etag
        if entry.last_modified:
            headers["Last-Modified"] = entry.last_modified
        if self._unchanged(entry):
            self._send(Answer(304, headers), fault)
            return
        start, end, status = 0, size, 200
        wanted = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if wanted.startswith("bytes=") and entry.ranges != "ignore":
            headers["Accept-Ranges"] = "bytes"
            if condition is None or condition in (entry.etag, entry.last_modified):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, end, status = int(first), min(int(last) + 1, size) if last else size, 206
                if start >= size:
                    self._send(Answer(416, {"Content-Range": f"bytes */{size}"}), None)
                    return
                if entry.ranges == "wrong":
                    start = start // 2
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        if entry.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(end - start if entry.length is None else entry.length)
        self._send(Answer(status, headers, entry.content), fault, start, end, entry.chunked)

    def _unchanged(self, entry: _File) -> bool:
        if (tag := self.headers.get("If-None-Match")) is not None:
            return entry.etag is not None and tag == entry.etag
        since = self.headers.get("If-Modified-Since")
        return since is not None and since == entry.last_modified

    def _send(
        self, answer: Answer, fault: Fault | None, start: int = 0, end: int | None = None, chunked: bool = False
    ) -> None:
        if isinstance(fault, Silent) and fault.after is None:
            self._wait_for_the_end()
            return
        size = answer.body.stat().st_size if isinstance(answer.body, Path) else len(answer.body)
        end = size if end is None else end
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not chunked and "Content-Length" not in answer.headers and answer.status not in (204, 304):
            self.send_header("Content-Length", str(end - start))
        if isinstance(fault, Drip) and fault.head:
            self.send_header("X-Slow", "x" * 1_000_000)
        if isinstance(fault, Drip):
            self._drip(answer, fault, start, end)
            return
        self.end_headers()
        if self.command == "HEAD" or answer.status in (204, 304):
            return
        stop = end
        if isinstance(fault, Reset | Silent):
            stop = min(end, start + (fault.after or 0))
        self._send_body(answer.body, start, stop, chunked)
        if isinstance(fault, Silent):
            self._wait_for_the_end()
        elif isinstance(fault, Reset):
            self._break_off(clean=fault.clean)
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif int(answer.headers.get("Content-Length", end - start)) != end - start:
            self.close_connection = True

    def _send_body(self, body: bytes | Path, start: int, stop: int, chunked: bool) -> None:
        if chunked:
            data = body.read_bytes() if isinstance(body, Path) else body
            for at in range(start, stop, 65536):
                piece = data[at : min(at + 65536, stop)]
                self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        elif isinstance(body, Path):
            self.wfile.flush()
            with body.open("rb") as file:
                self.connection.sendfile(file, start, stop - start)
        else:
            self.wfile.write(memoryview(body)[start:stop])
        self.wfile.flush()

    def _drip(self, answer: Answer, fault: Drip, start: int, end: int) -> None:
        data = answer.body.read_bytes() if isinstance(answer.body, Path) else answer.body
        data = data[start:end]
        if fault.head:
            data = b"".join(self._headers_buffer) + b"\r\n" + data
            self._headers_buffer: list[bytes] = []
        else:
            self.end_headers()
            self.wfile.flush()
        for at in range(0, len(data), fault.piece):
            self.wfile.write(data[at : at + fault.piece])
            self.wfile.flush()
            if self.server.owner.closing.wait(fault.pause):
                break
        self.close_connection = True

    def _break_off(self, clean: bool) -> None:
        self.close_connection = True
        if not clean:
            # A close without lingering is a reset; it must not overtake what was just sent.
            self.server.owner.closing.wait(0.05)
            self.server.resetting.add(self.connection)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _wait_for_the_end(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.server.owner.closing.wait()
