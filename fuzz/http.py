"""Asking the HTTP server of a deployment, and what an answer may not be."""

from __future__ import annotations

from collections.abc import Callable

from fuzz.canaries import must_not_tell
from fuzz.crashes import Broken, CrashKind
from fuzz.deployment import Deployment
from fuzz.wire import Answer, exchange, filled


def asker(place: Deployment) -> Callable[[bytes], None]:
    """Takes templates of requests."""

    def take(data: bytes) -> None:
        check(exchange(place.http, filled(data, place.words)))

    return take


def check(answer: Answer) -> None:
    """See that the server did not fail, and told nothing of what lies outside.

    Raises:
        Broken
    """
    must_not_tell(answer.whole)
    if answer.status is not None and answer.status >= 500:
        head, _, body = answer.whole.partition(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0]
        raise Broken(CrashKind.ERROR, f"{body[:500].decode('utf-8', 'replace')}\n{line.decode('latin-1')}")
