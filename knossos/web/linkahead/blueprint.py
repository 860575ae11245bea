"""The blueprint of the LinkAhead endpoints, and what their errors look like: XML, with the status of the one table.

401 is for those who may log in (again) and then do it; the client does so by itself, and tries once more.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from knossos.accounts.logins import WrongLogin
from knossos.accounts.throttle import TooManyTries
from knossos.errors import KnossosError, SettingsError
from knossos.scripting.calls import NotLoggedIn
from knossos.web.errors import RETRY_AFTER_SECONDS, status_of
from knossos.web.linkahead import documents
from knossos.web.services import services
from knossos.web.waiting import TooManyWait

#: Where the status is another one than elsewhere.
_STATUS: tuple[tuple[type[KnossosError], int], ...] = (
    (NotLoggedIn, 401),
    (WrongLogin, 401),
    (TooManyWait, 503),
)

blueprint = Blueprint("linkahead", __name__)
_log = logging.getLogger(__name__)


def xml(document: str, status: int = 200) -> Response:
    """An answer. It is for one caller at one moment."""
    return Response(document, status, mimetype="text/xml", headers={"Cache-Control": "no-store"})


@blueprint.errorhandler(KnossosError)
def refused(error: KnossosError) -> Response:
    """An error that was raised on purpose."""
    status = _status_of(error)
    level = logging.ERROR if status >= 500 else logging.INFO
    _log.log(level, "%s %s is refused: %s", request.method, request.url_rule, error.message)
    # Settings and their paths are the operator's business.
    message = (
        "This server is not set up rightly. Its log says why." if isinstance(error, SettingsError) else error.message
    )
    answer = xml(documents.error(status, error.code, message, error.details.get("errors") or ()), status)
    if isinstance(error, TooManyTries):
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
    return _retry_after(answer)


@blueprint.errorhandler(HTTPException)
def http_error(error: HTTPException) -> Response:
    status = error.code or 500
    reason, message = error.name.lower().replace(" ", "_"), error.description or error.name
    if isinstance(error, RequestEntityTooLarge) and message == RequestEntityTooLarge.description:
        limit = services().settings.max_content_length
        message = f"The call with its files is larger than MAX_CONTENT_LENGTH, {limit} bytes."
    return xml(documents.error(status, reason, message), status)


@blueprint.errorhandler(Exception)
def failed(error: Exception) -> Response:
    """What nobody foresaw, and what does not answer: the log says what, the caller learns nothing of the inside."""
    status = status_of(error)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        _log.error("%s %s: %s: %s", request.method, request.url_rule, type(error).__name__, error)
        message = "Something this server needs does not answer. Try again in a moment."
        return _retry_after(xml(documents.error(status, "unavailable", message), status))
    if isinstance(error, OSError):
        _log.error("%s %s: %s", request.method, request.url_rule, error)
        return _retry_after(xml(documents.error(503, "not_stored", "The server could not store the files."), 503))
    _log.exception("%s %s failed", request.method, request.url_rule)
    return xml(documents.error(500, "internal", "Something went wrong on the server. Its log says what."), 500)


def _status_of(error: KnossosError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), status_of(error))


def _retry_after(answer: Response) -> Response:
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return answer
