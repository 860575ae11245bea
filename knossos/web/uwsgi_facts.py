"""What uWSGI tells about itself: of its options, and of the connection that a thread serves.

Elsewhere, as in tests or under another WSGI server, nothing of it is known, and each answer says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Options for sockets that speak plain HTTP.
_PLAIN = {"http-socket", "http11-socket"}
#: Those for sockets where the bytes after the headers are those of the body, but headers and answers are no HTTP.
_HEADED = {"socket", "uwsgi-socket", "scgi-socket", "scgi-nph-socket"}
#: Those for connections whose bytes are not those of the body: encrypted, or in records.
_WRAPPED = {
    "https-socket",
    "ssl-socket",
    "suwsgi-socket",
    "fastcgi-socket",
    "fastcgi-nph-socket",
    "puwsgi-socket",
    "raw-socket",
    "protocol",
    "socket-protocol",
}

#: Gives the descriptor of the current request's connection; None where that is not known.
ConnectionOf = Callable[[], int | None]


@dataclass(frozen=True)
class Ahead:
    """How uWSGI reads: most bytes of a body that it has before it is asked, and seconds for which a client may be
    silent."""

    most_bytes: int
    silent_seconds: float


def connection() -> int | None:
    """The descriptor of the connection that this thread serves."""
    try:
        return int(importlib.import_module("uwsgi").connection_fd())
    except ImportError:
        return None


def ahead() -> Ahead | None:
    """What it was told; None where it is not there, takes bodies to itself, or has to unwrap them."""
    options = _options()
    try:
        if options is None or int(options.get("post-buffering", 0)) or not _WRAPPED.isdisjoint(options):
            return None
        # By itself: a page, and four seconds.
        return Ahead(int(options.get("buffer-size", 4096)), float(options.get("socket-timeout", 4)))
    except (TypeError, ValueError):  # TypeError: a list, of an option that was given twice
        return None


def talks_http() -> bool:
    """Whether all of its clients talk HTTP with it, as it is, rather than its own protocol."""
    options = _options()
    return options is not None and not _PLAIN.isdisjoint(options) and (_HEADED | _WRAPPED).isdisjoint(options)


def _options() -> dict[str, Any] | None:
    try:
        return dict(importlib.import_module("uwsgi").opt)
    except ImportError:
        return None
