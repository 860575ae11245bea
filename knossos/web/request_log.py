"""One line in the log for each request. The path is the route's pattern: real ones hold tokens."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

_log = logging.getLogger("knossos.web.requests")


def install(app: Flask) -> None:
    app.before_request(_start)
    app.after_request(_write)


def _start() -> None:
    g.request_started = time.monotonic()


def _write(response: Response) -> Response:
    milliseconds = (time.monotonic() - g.get("request_started", time.monotonic())) * 1000
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
        milliseconds,
    )
    return response
