"""Bodies whose length nobody knows beforehand, which HTTP/1.1 sends in chunks: answers, and requests.

An answer without a length would end where the connection does, and one that was cut looked whole to who takes it. In
chunks it has an end of its own: where making it fails, that never comes, and browsers, curl and nginx say that the
answer broke off. uWSGI does not do that by itself. It is done where uWSGI talks HTTP; over its own protocol nginx would
take the chunks for the answer.

A request in chunks looks empty to uWSGI. It is told to say its length, and not that something is missing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from werkzeug.exceptions import LengthRequired

from knossos.web import uwsgi_facts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Statuses whose answers have no body.
_EMPTY = ("204", "304")


def install(app: Flask) -> None:
    """Refuse requests in chunks where the server does not put them together."""

    @app.before_request
    def _refuse_chunks() -> None:
        if request.headers.get("Transfer-Encoding") and not request.environ.get("wsgi.input_terminated"):
            raise LengthRequired("Say how many bytes will come, in the header Content-Length.")


class Chunks:
    """WSGI middleware: answers without a length go out in chunks, where ``talks_http`` says that this server may."""

    def __init__(self, application: WSGIApplication, talks_http: Callable[[], bool] = uwsgi_facts.talks_http) -> None:
        self._application = application
        self._may = talks_http()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._may or environ.get("SERVER_PROTOCOL") != "HTTP/1.1" or environ["REQUEST_METHOD"] == "HEAD":
            return self._application(environ, start_response)
        in_chunks = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal in_chunks
            in_chunks = not status.startswith(_EMPTY) and not any(
                name.lower() in ("content-length", "transfer-encoding") for name, _ in headers
            )
            more = [("Transfer-Encoding", "chunked")] if in_chunks else []
            return start_response(status, [*headers, *more], exc_info)

        answer = self._application(environ, start)
        return _Chunked(answer) if in_chunks else answer


class _Chunked:
    """The pieces of an answer as chunks. The last one, which is empty, says that all have come."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if piece:
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"

    def close(self) -> None:
        if (close := getattr(self._pieces, "close", None)) is not None:
            close()
