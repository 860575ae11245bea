"""The blueprint of script-server.md, and what its errors are: JSON as below all of ``/api/``, with some statuses of
its own."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from knossos.accounts.accounts import AccountExists
from knossos.accounts.administration import KeepsOperator
from knossos.accounts.logins import WrongLogin
from knossos.errors import KnossosError
from knossos.homes import HomeFull, IsFolder, PathTaken
from knossos.homes.scripts import NotRunning
from knossos.scripting.calls import NotLoggedIn
from knossos.web.errors import answer

#: Where the status is another one than elsewhere.
_STATUS: tuple[tuple[type[KnossosError], int], ...] = (
    (NotLoggedIn, 401),
    (WrongLogin, 401),
    (AccountExists, 409),
    (KeepsOperator, 409),
    (PathTaken, 409),
    (IsFolder, 409),
    (NotRunning, 409),
    (HomeFull, 413),
)

blueprint = Blueprint("script_server", __name__)
_log = logging.getLogger(__name__)


def _refused(error: KnossosError) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    _log.info("%s %s is refused: %s", request.method, request.url_rule, error.message)
    more = {"errors": error.details["errors"]} if error.details.get("errors") else {}
    return answer(status, error.code, error.message, **more)


for _kind, _ in _STATUS:
    blueprint.register_error_handler(_kind, _refused)


def iso(seconds: float | None) -> str | None:
    """A time in ISO 8601, as UTC. One that no calendar has, which a script can give its files, is the nearest."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(math.floor(seconds * 1000) / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return "0001-01-01T00:00:00.000+00:00" if seconds < 0 else "9999-12-31T23:59:59.000+00:00"
