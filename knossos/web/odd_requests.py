"""Requests that no client library would send, made such that the application can take them.

Werkzeug raises where a request has no method, or an address with bytes that are no UTF-8, before any of our handlers of
errors is asked; and what nobody foresaw would be a 500. Here the first is refused, and the second is written as it
should have been: with escapes, like every byte of an address that is no ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What may stand in a query as it is.
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_REFUSAL = b"This is no request of HTTP.\n"


class OddRequests:
    """WSGI middleware, around all others."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("REQUEST_METHOD"):
            headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(_REFUSAL)))]
            start_response("400 Bad Request", headers)
            return [_REFUSAL]
        environ["QUERY_STRING"] = readable_query(environ.get("QUERY_STRING", ""))
        return self._application(environ, start_response)


def readable_query(query: str) -> str:
    """A query as WSGI gives it (each byte a character), with escapes where it is not UTF-8."""
    if query.isascii():
        return query
    data = query.encode("latin-1")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return quote(data, safe=_ASCII)
    return query
