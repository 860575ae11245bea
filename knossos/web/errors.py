"""The one table from errors to HTTP: status codes, and JSON for programs or a page for people.

A protocol that has shapes of its own (converter.md's texts, the drops' CORS) answers in its blueprint first.
What nobody foresaw is a 500 that says nothing of the inside; its stack goes to the log.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import redis
from flask import Flask, Response, jsonify, make_response, render_template, request
from sqlalchemy.exc import DataError, OperationalError
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound as NoSuchPage

from knossos.accounts.openid import BearerRefused
from knossos.accounts.throttle import TooManyTries
from knossos.errors import AccessDenied, InvalidInput, KnossosError, MissingDependency, NotFound, SettingsError
from knossos.jobs import JobNotFinished
from knossos.scripting.catalogue import BrokenScript
from knossos.scripting.run_records import TooManyRuns

#: Status of each error; the first row that fits counts.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (BearerRefused, 401),
    (AccessDenied, 403),
    (TooManyTries, 429),
    (TooManyRuns, 429),
    (BrokenScript, 500),
    (InvalidInput, 400),
    (JobNotFinished, 409),
    (MissingDependency, 503),
    (SettingsError, 503),
    (redis.ConnectionError, 503),
    (redis.TimeoutError, 503),
    (OperationalError, 503),
    (DataError, 400),
    (KnossosError, 400),
)

#: Seconds after which a client may try again when something is missing for the moment.
RETRY_AFTER_SECONDS = 5

_log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _any_error)


def wants_json() -> bool:
    return request.path.startswith(("/api/", "/drop/")) or is_of_runners()


def is_of_runners() -> bool:
    """Whether the address is of script-runner.md's."""
    return request.path.startswith(("/task/", "/script/")) or request.path in ("/task", "/health")


def is_of_linkahead() -> bool:
    """Whether the address is one of linkahead.md's that no page shares."""
    return request.path.startswith("/Shared/") or request.path in ("/scripting", "/Info")


def answer(status: int, code: str, message: str, **more: Any) -> Response:
    """An error as JSON or XML for programs, as a page for people."""
    if is_of_linkahead():
        from knossos.web.linkahead import documents  # its package imports this module

        response = Response(documents.error(status, code, message), mimetype="text/xml")
    elif wants_json():
        response = jsonify({**_words(code, message), "message": message, **more})
    else:
        title = HTTPStatus(status).phrase
        response = make_response(render_template("error.html", status=status, title=title, message=message))
    response.status_code = status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _words(code: str, message: str) -> dict[str, Any]:
    """What programs look for in every answer, by the protocol that the address is of."""
    if request.path.startswith("/api/1/"):
        return {"result": False, "reason": code}
    return {"code": code, "description": message} if is_of_runners() else {"error": True, "code": code}


def message_of(error: HTTPException) -> str:
    """What to say of it; the library's own words for a wrong address are about typing into a browser."""
    if isinstance(error, NoSuchPage) and error.description == NoSuchPage.description:
        return "There is nothing at this address."
    return error.description or error.name


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:
        return make_response(error.response)
    status = error.code or 500
    if 300 <= status < 400:
        return make_response(error.get_response())
    response = answer(status, error.name.lower().replace(" ", "_"), message_of(error))
    response.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
    return response


def status_of(error: Exception) -> int:
    """The HTTP status of an error; 500 for one that nobody foresaw."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def _any_error(error: Exception) -> Response:
    status = status_of(error)
    if isinstance(error, SettingsError):
        _log.error("%s %s: %s", request.method, request.url_rule, error.message)
        return answer(status, error.code, "This server is not set up rightly. Its log says why.")
    if isinstance(error, BrokenScript):
        _log.error("%s %s: %s", request.method, request.url_rule, error.message)
        return answer(status, error.code, f"This script is not set up rightly: {error.message}")
    if isinstance(error, KnossosError):
        more = {"errors": error.details["errors"]} if error.details.get("errors") else {}
        response = answer(status, error.code, error.message, **more)
        if isinstance(error, TooManyTries):
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        _log.error("%s %s: %s: %s", request.method, request.url_rule, type(error).__name__, error)
        return answer(status, "unavailable", "Something this server needs does not answer. Try again in a moment.")
    if isinstance(error, DataError):
        # PostgreSQL holds no NUL in texts and no number beyond its column's; nothing of ours has either.
        _log.warning("%s %s: %s", request.method, request.url_rule, error.orig)
        return answer(status, "invalid", "Something in this request is no text or number that could be meant.")
    _log.exception("%s %s failed", request.method, request.url_rule)
    return answer(500, "internal", "Something went wrong on the server. Its log says what.")
