"""The blueprint of ``/api/1``, and the one table from errors to what the mod managers understand.

Every answer has a boolean ``result``. A refusal is status 200 with ``result: false`` and a ``reason``; 401 means an
expired token and nothing else; a wrong token is 403, an unknown mod or upload 404, a broken body 400.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from knossos.accounts.tokens import TokenExpired
from knossos.errors import AccessDenied, InvalidInput, NotFound
from knossos.publishing.errors import Refused

blueprint = Blueprint("nebula", __name__, url_prefix="/api/1")


def answer(*, result: bool = True, status: int = 200, **fields: Any) -> Response:
    """An answer of the protocol: ``result`` and further fields."""
    response = jsonify({"result": result, **fields})
    response.status_code = status
    return response


@blueprint.errorhandler(Refused)
def _refused(error: Refused) -> Response:
    errors = {"errors": error.errors} if error.errors else {}
    return answer(result=False, reason=error.reason, message=error.message, **error.extra, **errors)


@blueprint.errorhandler(TokenExpired)
def _expired(error: TokenExpired) -> Response:
    return answer(result=False, status=401, reason="token expired", message=error.message)


@blueprint.errorhandler(AccessDenied)
def _denied(error: AccessDenied) -> Response:
    return answer(result=False, status=403, reason="unauthorized", message=error.message)


@blueprint.errorhandler(NotFound)
def _missing(error: NotFound) -> Response:
    return answer(result=False, status=404, reason="not found", message=error.message)


@blueprint.errorhandler(InvalidInput)
def _invalid(error: InvalidInput) -> Response:
    return answer(result=False, status=400, reason="invalid", message=error.message, errors=error.errors)
