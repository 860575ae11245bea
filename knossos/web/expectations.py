"""``Expect: 100-continue``: a client that asks before it sends its body is told to when somebody reads that.

uWSGI leaves this to the application. curl asks where a body is longer than 1 MB, and waits for a second where nobody
answers. Who is refused before is spared the sending. (RFC 9110, section 10.1.1.)

It is done where uWSGI talks HTTP with its clients. nginx and others in front answer by themselves.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from knossos.web import uwsgi_facts
from knossos.web.request_bodies import CountingBody
from knossos.web.uwsgi_facts import ConnectionOf

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Expectations:
    """WSGI middleware, inside of `UnreadBodies`; ``connection_of`` is asked when the body of a client that waits is
    first read."""

    def __init__(
        self,
        application: WSGIApplication,
        talks_http: Callable[[], bool] = uwsgi_facts.talks_http,
        connection_of: ConnectionOf = uwsgi_facts.connection,
    ) -> None:
        self._application = application
        self._may = talks_http()
        self._connection_of = connection_of

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ.get("wsgi.input")
        if self._may and isinstance(body, CountingBody) and _waits(environ):
            body.before = partial(_tell, self._connection_of)
        return self._application(environ, start_response)


def _waits(environ: WSGIEnvironment) -> bool:
    # A client of HTTP/1.0 would take the interim answer for the answer.
    expected = environ.get("HTTP_EXPECT", "").strip().lower()
    return expected == "100-continue" and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"


def _tell(connection_of: ConnectionOf) -> None:
    """Have the client send its body. That it is gone is found out by whoever reads."""
    descriptor = connection_of()
    if descriptor is None or descriptor < 0:
        return
    # A descriptor of its own: closing this socket leaves the server's open.
    with socket.socket(fileno=os.dup(descriptor)) as connection, contextlib.suppress(OSError):
        connection.sendall(GO_ON, socket.MSG_NOSIGNAL)
