"""One line in the log for each request, its id, and its part in the operator's figures.

The path in the log is the route's pattern: real ones hold tokens. The id of a request comes from the proxy in front
(X-Request-ID, where TRUSTED_PROXIES says that there is one), or is made; it is answered in the same header, and goes
with each job that the request submits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask, Response, g, request

from knossos import tally, tracing
from knossos.operating.figures import HTTP_SECONDS
from knossos.web.request_bodies import CountingBody
from knossos.web.services import services

HEADER = "X-Request-ID"
#: Label of what belongs to no route.
NO_ENDPOINT = "none"

_log = logging.getLogger("knossos.web.requests")


def install(app: Flask) -> None:
    app.before_request(_start)
    app.after_request(_write)
    app.teardown_request(_end)


def _start() -> None:
    g.request_started = time.monotonic()
    trusted = services().settings.trusted_proxies > 0
    g.request_id = tracing.taken_or_made(request.headers.get(HEADER) if trusted else None)
    tracing.begin_request(g.request_id)


def _end(_error: BaseException | None) -> None:
    tracing.end_request()


def _write(response: Response) -> Response:
    seconds = time.monotonic() - g.get("request_started", time.monotonic())
    if "request_id" in g:
        response.headers[HEADER] = g.request_id
    rule = request.url_rule.rule if request.url_rule else "(no such page)"
    ticket = (request.view_args or {}).get("ticket")
    level = logging.DEBUG if rule.startswith(("/static/", "/third_party/")) else logging.INFO
    _log.log(
        level,
        "%s %s%s %d in %.0f ms",
        request.method,
        rule,
        "" if ticket is None else f" ticket={ticket}",
        response.status_code,
        1000 * seconds,
    )
    _count(response, seconds)
    return response


def _count(response: Response, seconds: float) -> None:
    endpoint = request.endpoint or NO_ENDPOINT
    tally.add("http_requests", endpoint, f"{response.status_code // 100}xx")
    tally.observe("http_seconds", endpoint, seconds=seconds, limits=HTTP_SECONDS)
    body: Any = request.input_stream
    if isinstance(body, CountingBody) and body.done:
        tally.add("http_received_bytes", endpoint, amount=body.done)
    if request.method == "HEAD":
        return
    length: int | None = response.content_length
    if length is None and response.is_streamed and not response.direct_passthrough:
        response.response = _counted(response.response, endpoint)
    elif sent := length or response.calculate_content_length():
        tally.add("http_sent_bytes", endpoint, amount=sent)


def _counted(pieces: Iterable[Any], endpoint: str) -> Iterator[Any]:
    try:
        for piece in pieces:
            tally.add("http_sent_bytes", endpoint, amount=len(piece))
            yield piece
    finally:
        close: Any = getattr(pieces, "close", None)
        if close is not None:
            close()
