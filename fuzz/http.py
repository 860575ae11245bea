"""Asking the HTTP server of a deployment, and what an answer may not be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fuzz.canaries import CANARIES, must_not_tell
from fuzz.crashes import Broken, CrashKind
from fuzz.deployment import Deployment
from fuzz.wire import Answer, exchange, filled, is_whole, without_interim


def asker(place: Deployment) -> Callable[[bytes], None]:
    """Takes templates of requests."""

    def take(data: bytes) -> None:
        request = filled(data, place.words)
        check(exchange(place.http, request), place.secrets, of=request)

    return take


def check(answer: Answer, secrets: Mapping[bytes, str] = CANARIES, *, of: bytes = b"") -> None:
    """See that the server did not fail, has answered the request ``of`` where it had to, and told nothing of what lies
    outside.

    Raises:
        Broken
        ConnectionError: there is no answer; a deployment's `Taker` sees whether a process is gone.
    """
    must_not_tell(answer.whole, secrets)
    if answer.status is None and is_whole(of):
        raise ConnectionError(f"no answer to a whole request: {answer.whole[:100]!r}")
    if answer.status is not None and answer.status >= 500:
        head, _, body = without_interim(answer.whole).partition(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0]
        raise Broken(CrashKind.ERROR, f"{body[:500].decode('utf-8', 'replace')}\n{line.decode('latin-1')}")
