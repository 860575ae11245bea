"""``multiupload/*``: files of many gigabytes in parts, three at once, over bad lines.

The body of a part goes to its place as it arrives. Clients send the fields before or after the file; where the file
comes first, it waits in a nameless file until it is known what it is.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import IO

from flask import Response, request

from knossos.accounts.tokens import Identity, Scope
from knossos.errors import InvalidInput
from knossos.publishing.uploads import PART_BYTES, Uploads
from knossos.publishing.uploads.places import PartWriter
from knossos.publishing.uploads.upload_file import storage_errors
from knossos.web import multipart
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import caller, field, whole_number
from knossos.web.services import services

#: Bytes that the body of a part may have beside the part.
_BESIDE_BYTES = 64 * 1024
#: Larger numbers are of no file.
_MOST = 2**53
_PIECE_BYTES = 256 * 1024


@blueprint.post("/multiupload/start")
def start_upload() -> Response:
    identity = caller(Scope.UPLOAD)
    size, parts = whole_number("size", least=0, most=_MOST), whole_number("parts", least=0, most=_MOST)
    started = _uploads().start(identity, field("id"), size, parts)
    return answer(done=started.done, finished_parts=started.finished_parts)


@blueprint.post("/multiupload/part")
def upload_part() -> Response:
    identity = caller(Scope.UPLOAD)
    boundary = multipart.boundary_of_request()
    if boundary is None or request.content_length is None:
        raise InvalidInput.at("", "expected a multipart form with a Content-Length")
    if request.content_length > PART_BYTES + _BESIDE_BYTES:
        raise InvalidInput.at("file", f"a part has at most {PART_BYTES} bytes")
    request.max_content_length = PART_BYTES + _BESIDE_BYTES
    with storage_errors(), contextlib.ExitStack() as stack:
        incoming = _IncomingPart(_uploads(), identity, stack)
        form = multipart.receive(multipart.body_of_request(), boundary, incoming.choose)
        incoming.complete(form)
    return Response("OK", mimetype="text/plain")


@blueprint.post("/multiupload/verify_part")
def verify_part() -> Response:
    identity = caller(Scope.UPLOAD)
    number = whole_number("part", least=0, most=_MOST)
    _uploads().verify_part(identity, field("id"), number, field("checksum"))
    return answer()


@blueprint.post("/multiupload/finish")
def finish_upload() -> Response:
    identity = caller(Scope.UPLOAD)
    _uploads().finish(
        identity,
        field("id"),
        field("checksum", required=False),
        content_checksum=_checksum("content_checksum"),
        vp_checksum=_checksum("vp_checksum"),
    )
    return answer()


class _IncomingPart:
    """Where the file of a form goes, before or after it is known which part it is."""

    def __init__(self, uploads: Uploads, identity: Identity, stack: contextlib.ExitStack) -> None:
        self._uploads, self._identity, self._stack = uploads, identity, stack
        self._writer: PartWriter | None = None
        self._waiting: IO[bytes] | None = None

    def choose(self, name: str, _filename: str, fields: dict[str, str]) -> multipart.Sink | None:
        if name != "file" or self._writer or self._waiting:
            return None
        if "id" in fields and "part" in fields:
            self._writer = self._open(fields)
            return self._writer
        folder = services().settings.data_path / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        self._waiting = self._stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
        return self._waiting

    def complete(self, form: multipart.Form) -> None:
        if self._waiting is not None:
            self._writer = self._open(form.fields)
            self._waiting.seek(0)
            while piece := self._waiting.read(_PIECE_BYTES):
                self._writer.write(piece)
        if self._writer is None:
            raise InvalidInput.at("file", "this file is required")
        self._writer.complete()

    def _open(self, fields: dict[str, str]) -> PartWriter:
        for name in ("id", "part"):
            if name not in fields:
                raise InvalidInput.at(name, "this field is required")
        text = fields["part"].strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            raise InvalidInput.at("part", "expected a whole number")
        return self._stack.enter_context(self._uploads.receive(self._identity, fields["id"], int(text)))


def _checksum(name: str) -> str | None:
    """A checksum that clients may leave out, or send as the text None, or twice: then the last one counts."""
    values = request.form.getlist(name)
    text = values[-1].strip() if values else ""
    if len(text) > 200:
        raise InvalidInput.at(name, "expected at most 200 characters")
    return None if text in ("", "None") else text


def _uploads() -> Uploads:
    return services().publisher.uploads
