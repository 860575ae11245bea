"""``log/upload`` and ``track``: what clients send without a token."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from flask import Response, request

from knossos.accounts.throttle import TooManyTries
from knossos.errors import InvalidInput
from knossos.publishing.errors import Refused
from knossos.publishing.tracking import Report, event_of
from knossos.web import multipart
from knossos.web.authentication import client_address
from knossos.web.form_scanner import parts_of
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import field
from knossos.web.services import services

#: Bytes of a body that are not the log.
_FORM_BYTES = 64 * 1024
#: Bytes that are decoded at a time.
_PIECE_BYTES = 64 * 1024


@blueprint.post("/log/upload")
def upload_log() -> Response:
    text = _log_of_request(services().settings.log_page_max_bytes)
    try:
        return answer(id=services().publisher.logs.add(text, client_address()))
    except TooManyTries as error:
        wait = error.retry_after_seconds
        return answer(result=False, reason="too many attempts", message=error.message, retry_after=wait)


@blueprint.post("/track")
def track() -> Response:
    tracking = services().publisher.tracking
    release: tuple[str, str] | None
    if counter := field("counter", required=False, longest=64):
        event = event_of(counter, field("dependency", required=False).strip().lower() in ("1", "true", "yes"))
        release = (field("mid", longest=128), field("version", required=False, longest=100))
    else:
        event = event_of(field("event", longest=64))
        release = tracking.release_of_link(field("link", required=False))
    if release is not None:
        tracking.count([Report(event, *release)], client_address())
    return answer()


def _log_of_request(most: int) -> bytes:
    """The field ``log``, of either kind of form, as the bytes that it was sent with.

    Flask's own reading of forms would take many times a log's size in memory.
    """
    boundary = multipart.boundary_of_request()
    request.max_content_length = _FORM_BYTES + (most if boundary else 3 * most)
    if request.content_length is not None and request.content_length > request.max_content_length:
        raise _too_large(most)
    pieces = _multipart_log(boundary) if boundary else _urlencoded_log(request.get_data(cache=False))
    log = bytearray()
    for piece in pieces:
        log += piece
        if len(log) > most:
            raise _too_large(most)
    return bytes(log)


def _multipart_log(boundary: bytes) -> Iterator[bytes]:
    for part in parts_of(multipart.body_of_request().read, boundary):
        if part.name == "log":
            yield from part.pieces
            return


def _urlencoded_log(body: bytes) -> Iterator[bytes]:
    if request.mimetype != "application/x-www-form-urlencoded":
        raise InvalidInput("expected a form with the field log")
    start = 0 if body.startswith(b"log=") else body.find(b"&log=") + 1
    if not body.startswith(b"log=", start):
        return
    start += len(b"log=")
    end = body.find(b"&", start)
    end = len(body) if end < 0 else end
    while start < end:
        stop = min(start + _PIECE_BYTES, end)
        # Not between the sign and the digits of one byte.
        cut = body.find(b"%", stop - 2, stop)
        if cut >= 0 and stop < end:
            stop = cut if cut > start else stop
        yield unquote_to_bytes(body[start:stop].replace(b"+", b" "))
        start = stop


def _too_large(most: int) -> Refused:
    return Refused(f"A log may have at most {most} bytes.", reason="too large", extra={"most": most})
