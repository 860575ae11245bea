"""Drops: files that a site's visitors upload straight to this server with a signed link that the site made.

Owns the HTTP side only: the link's check and the answers with their CORS headers. How the body is read is
`knossos.web.multipart`, where the bytes go `knossos.web.incoming`. Every answer is one of converter.md's, never a 500,
and carries the CORS headers, since the page that uploads is another site's. Nothing is read before the link has passed.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import PurePosixPath

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from knossos.accounts import api_keys
from knossos.errors import AccessDenied, InvalidInput
from knossos.settings import Settings
from knossos.web import multipart
from knossos.web.addresses import mirror_base
from knossos.web.incoming import IncomingFile
from knossos.web.services import services

#: Seconds for which a link is good.
LINK_LIFETIME_SECONDS = 30 * 60

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Max-Age": "86400",
}

blueprint = Blueprint("drops", __name__)
_log = logging.getLogger(__name__)


class TooLate(InvalidInput):
    """The link was good once; it has expired."""

    code = "too_late"


class InvalidFilename(InvalidInput):
    """The file's extension is not one that may be dropped."""

    code = "invalid_filename"


def check_link(settings: Settings, time_text: str, token: str, key_text: str, now: float) -> None:
    """Let a signed link pass.

    Args:
        time_text: the Unix time at which the link was made, in decimal.
        key_text: the index of the API key that signed it.
        now: the Unix time at which it is used.

    Raises:
        AccessDenied: drops are off, the key's index or the token is wrong, or the link is of the future.
        TooLate: it is older than `LINK_LIFETIME_SECONDS`.
    """
    keys = api_keys(settings)
    numbers = [text for text in (time_text, key_text) if text.isascii() and text.isdigit() and len(text) <= 12]
    if not settings.upload_path or len(numbers) != 2 or int(key_text) >= len(keys):
        raise AccessDenied("Access denied")
    expected = hashlib.sha256(f"{keys[int(key_text)]}{time_text}".encode()).hexdigest()
    if not hmac.compare_digest(expected.encode(), token.lower().encode("utf-8", "surrogatepass")):
        raise AccessDenied("Access denied")
    if int(time_text) > now:
        raise AccessDenied("Access denied")
    if int(time_text) + LINK_LIFETIME_SECONDS < now:
        raise TooLate("You took too long to upload!")


def check_name(settings: Settings, filename: str) -> None:
    """Raise InvalidFilename unless the name ends in one of UPLOAD_EXTENSIONS."""
    extension = PurePosixPath(filename.replace("\\", "/")).suffix.lower().lstrip(".")
    if extension not in {allowed.lower().lstrip(".") for allowed in settings.upload_extensions}:
        raise InvalidFilename("Invalid filename!")


def receive(stream: multipart.Body, boundary: bytes, target: IncomingFile, accept: Callable[[str], None]) -> bool:
    """Write the first file called ``file`` of a form to ``target``; every other part is dropped.

    Args:
        accept: is given the file's name before any of its bytes are kept, and raises to refuse it.

    Returns:
        whether there was such a file.
    """
    chosen = False

    def choose(name: str, filename: str, _fields: dict[str, str]) -> IncomingFile | None:
        nonlocal chosen
        if chosen or name != "file":
            return None
        accept(filename)
        chosen = True
        return target

    return "file" in multipart.receive(stream, boundary, choose, keep_fields=False).files


@blueprint.route("/drop/<made>/<token>/<key>", methods=["OPTIONS"])
def preflight(made: str, token: str, key: str) -> Response:
    return _answer({"error": False})


@blueprint.route("/drop/<made>/<token>/<key>", methods=["POST"], provide_automatic_options=False)
def drop(made: str, token: str, key: str) -> Response:
    settings = services().settings
    check_link(settings, made, token, key, _now())
    request.max_content_length = settings.max_content_length
    boundary = multipart.boundary_of_request()
    if boundary is None:
        raise AccessDenied("Access denied")
    with IncomingFile(settings.mirror_folder / settings.upload_path) as incoming:
        complete = receive(multipart.body_of_request(), boundary, incoming, lambda name: check_name(settings, name))
        if not complete:
            raise AccessDenied("Access denied")
        check_link(settings, made, token, key, _now())
        digest = incoming.publish()
    base = mirror_base(settings, request.scheme, request.host)
    _log.info("drop stored: %s, %d bytes", digest, incoming.size)
    return _answer({"error": False, "url": f"{base}/{settings.upload_path}/{digest}"})


@blueprint.errorhandler(AccessDenied)
def _denied(error: AccessDenied) -> Response:
    return Response("Access denied", 403, headers=CORS_HEADERS, mimetype="text/plain")


@blueprint.errorhandler(InvalidInput)
def _refused(error: InvalidInput) -> Response:
    return _answer({"error": True, "message": error.message})


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(error: RequestEntityTooLarge) -> Response:
    limit = services().settings.max_content_length
    return _answer({"error": True, "message": f"The upload is larger than MAX_CONTENT_LENGTH, {limit} bytes."}, 413)


@blueprint.errorhandler(HTTPException)
def _http_error(error: HTTPException) -> Response:
    return _answer({"error": True, "message": error.description or error.name}, error.code or 400)


@blueprint.errorhandler(multipart.MalformedForm)
def _malformed(error: multipart.MalformedForm) -> Response:
    return _answer({"error": True, "message": error.message}, 400)


@blueprint.errorhandler(OSError)
def _not_stored(error: OSError) -> Response:
    _log.error("drop not stored: %s", error)
    return _answer({"error": True, "message": "The server could not store the file."}, 507)


def _now() -> float:
    return time.time()


def _answer(body: dict[str, object], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.headers.update(CORS_HEADERS)
    return response
