"""The calculation service: ``/<sha1>/`` and what belongs to it, below CALCULATION_PATH.

Owns the addresses and shapes of that protocol and nothing else. No cookie counts here: whoever asks has a key, or the
operator has opened the service to everybody. Where nothing calculates, nothing is at these addresses.
"""

from __future__ import annotations

import hmac
import logging
from functools import partial
from http import HTTPStatus

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import HTTPException, LengthRequired, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from knossos.errors import AccessDenied, KnossosError, NotFound, SettingsError
from knossos.scripting.calculations.calculations import (
    INFO_NAME,
    INPUT_NAME,
    Calculation,
    Calculations,
    NoSuchCalculation,
    input_key,
    is_offered,
)
from knossos.scripting.output import STREAMS
from knossos.web import calculation_documents as documents
from knossos.web.calculation_documents import ListedFile
from knossos.web.errors import RETRY_AFTER_SECONDS, message_of, status_of
from knossos.web.services import services
from knossos.web.stored_answers import attachment, stored_answer

#: How a key is sent, besides as a bearer token: old clients have either.
KEY_HEADER, KEY_QUERY = "X-API-Key", "key"
#: What ``delete`` answers: the error code, of none.
DELETED = "0\n"

_log = logging.getLogger(__name__)

blueprint = Blueprint("calculations", __name__)


class Sha1Converter(BaseConverter):
    """The SHA-1 of an input in a URL, in small letters or large ones."""

    regex = r"[0-9a-fA-F]{40}"

    def to_python(self, value: str) -> str:
        return value.lower()


class WrongKey(AccessDenied):
    """The request has no key, or none that is good."""

    code = "wrong_key"


@blueprint.before_request
def _check_key() -> None:
    settings = services().settings
    if not is_offered(settings):
        raise NotFound("There is nothing at this address.")
    if settings.calculation_open:
        return
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    # Headers come as if they were Latin-1, whatever their bytes are.
    in_header = (request.headers.get(KEY_HEADER) or bearer).encode("latin-1", "replace")
    given = in_header or request.args.get(KEY_QUERY, "").encode("utf-8", "surrogatepass")
    # All of them, so that the time tells nothing of which one it was.
    if not sum(hmac.compare_digest(key.encode(), given) for key in settings.calculation_api_keys):
        raise WrongKey(f"Send a key of this service, in the header {KEY_HEADER} for example.")


@blueprint.post("/<sha1:sha1>/", strict_slashes=False)
def post(sha1: str) -> Response:
    if request.headers.get("Transfer-Encoding"):  # which would be read as an empty body
        raise LengthRequired("Say how many bytes will come, in the header Content-Length.")
    request.max_content_length = services().settings.calculation_input_bytes
    # The body as it is, whatever the client calls it: curl calls everything a form.
    found = _calculations().post(sha1, request.get_data(cache=False))
    _log.info("the calculation %s is %s", sha1, found.state)
    return _with_page(_text("POST OK"), found)


@blueprint.get("/<sha1:sha1>/", strict_slashes=False)
def info(sha1: str) -> Response:
    found = _calculations().get(sha1)
    return _file(found, INFO_NAME, "application/xml")


@blueprint.get("/<sha1:sha1>/status")
def status(sha1: str) -> Response:
    found = _calculations().get(sha1)
    return _with_page(_xml(documents.status(sha1, found.job, found.state, found.text)), found)


@blueprint.get("/<sha1:sha1>/stdout")
def stdout(sha1: str) -> Response:
    calculations = _calculations()
    found = calculations.get(sha1)
    listed = []
    for stream in STREAMS:
        kept = found.file(stream)
        if kept is not None:
            listed.append(ListedFile(stream, partial(calculations.read, kept)))
        else:
            text = "" if found.state.over else calculations.output_so_far(found, stream)
            listed.append(ListedFile(stream, lambda text=text: [text.encode("utf-8", "replace")]))  # type: ignore[misc]
    return _xml(documents.files(sha1, listed))


@blueprint.get("/<sha1:sha1>/import")
def all_xml(sha1: str) -> Response:
    calculations = _calculations()
    found = calculations.get(sha1)
    listed = [ListedFile(kept.name, partial(calculations.read, kept)) for kept in found.xml_files()]
    return _xml(documents.files(sha1, listed))


@blueprint.get("/<sha1:sha1>/files/<path:name>")
def file(sha1: str, name: str) -> Response:
    found = _calculations().get(sha1)
    response = _file(found, name, "application/octet-stream")
    response.headers["Content-Disposition"] = attachment(name.rpartition("/")[2])
    return response


@blueprint.get("/<sha1:sha1>/delete")
def delete_by_get(sha1: str) -> Response:
    if request.method == "HEAD":  # which whoever looks whether a link is good sends
        raise MethodNotAllowed(["GET"])
    return delete(sha1)


@blueprint.delete("/<sha1:sha1>/", strict_slashes=False)
def delete(sha1: str) -> Response:
    _calculations().delete(sha1)
    _log.info("the calculation %s was deleted", sha1)
    return _text(DELETED)


# --- answers ----------------------------------------------------------------------------------------


def _calculations() -> Calculations:
    return services().scripting.calculations


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def _xml(document: object) -> Response:
    return Response(document, mimetype="text/xml", headers={"Cache-Control": "no-store"})  # type: ignore[arg-type]


def _with_page(response: Response, found: Calculation) -> Response:
    """Where the run shows its output live, for clients that care."""
    if found.run is not None:
        token = None if found.record is None else found.record.token
        response.headers["Link"] = f'<{url_for("run_pages.run", run_id=found.run_id, token=token)}>; rel="monitor"'
    return response


def _file(found: Calculation, name: str, content_type: str) -> Response:
    kept = found.file(name)
    if name == INPUT_NAME:
        key = input_key(found.run_id)
    elif kept is not None:
        key = kept.key
    else:
        why = "has written no such file" if found.state.over else "has not ended yet"
        raise NoSuchCalculation(f"There is no {name}: the calculation {why}.", sha1=found.sha1)
    response = stored_answer(services().scripting.storage, key, content_type=content_type, cache="no-store")
    # It is for those with a key, whatever other sites may have of other files.
    for header in ("Access-Control-Allow-Origin", "Cross-Origin-Resource-Policy"):
        response.headers.pop(header, None)
    return response


@blueprint.errorhandler(KnossosError)
def _refused(error: KnossosError) -> Response:
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s: %s", request.method, request.url_rule, error.message)
    if isinstance(error, SettingsError):
        return _retry_later("This server is not set up rightly. Its log says why.")
    return _retry_later(error.message) if status == HTTPStatus.SERVICE_UNAVAILABLE else _text(error.message, status)


@blueprint.errorhandler(HTTPException)
def _http_error(error: HTTPException) -> Response:
    message = message_of(error)
    if isinstance(error, RequestEntityTooLarge):
        message = f"expected at most CALCULATION_INPUT_BYTES, {services().settings.calculation_input_bytes} bytes"
    response = _text(message, error.code or 500)
    response.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
    return response


def _retry_later(message: str) -> Response:
    response = _text(message, HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
