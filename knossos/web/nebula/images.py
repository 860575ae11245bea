"""``upload/file`` and ``upload/check``: images, and whether a file is stored already."""

from __future__ import annotations

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from knossos.accounts.tokens import Scope
from knossos.errors import InvalidInput
from knossos.publishing.errors import Refused
from knossos.publishing.images import IncomingImage
from knossos.publishing.tables import Blob
from knossos.web import multipart
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import caller, field
from knossos.web.services import services

#: Bytes of a body that are not the image: the other fields and the form around it.
_FORM_BYTES = 128 * 1024
#: Longest sum of contents that old clients send.
_MAX_CHECKSUM = 200


@blueprint.post("/upload/file")
def upload_file() -> Response:
    identity = caller(Scope.UPLOAD)
    boundary = multipart.boundary_of_request()
    if boundary is None:
        raise InvalidInput("file: expected a multipart form with a file")
    images = services().publisher.images
    with images.receive() as incoming:
        form = _read(boundary, incoming)
        checksum = form.fields.get("checksum", "").strip().lower()
        if not checksum or "file" not in form.files:
            raise InvalidInput("expected the fields checksum and file")
        images.store(
            incoming,
            checksum,
            identity,
            content_checksum=_old_checksum(form.fields.get("content_checksum")),
            vp_checksum=_old_checksum(form.fields.get("vp_checksum")),
        )
    return answer()


@blueprint.post("/upload/check")
def upload_check() -> Response:
    identity = caller(Scope.UPLOAD)
    blobs = services().publisher.blobs
    checksum = field("checksum", required=False).strip().lower()
    content_checksum = _old_checksum(field("content_checksum", required=False))
    found: Blob | None = None
    if checksum and checksum != "none":
        found = blobs.find(checksum)
    elif content_checksum:
        found = blobs.find_by_content(content_checksum, identity.user_id)
    # It must not vanish before the release that was asked for it.
    if found is None or not blobs.touch(found.sha256):
        return answer(result=False)
    return answer(checksum=found.sha256, filesize=found.size, vp_checksum=found.vp_checksum)


def _read(boundary: bytes, incoming: IncomingImage) -> multipart.Form:
    """Read the form; the first file goes to ``incoming``."""
    most = services().settings.image_max_bytes
    request.max_content_length = most + _FORM_BYTES
    taken: list[str] = []

    def accept(name: str, _filename: str, _fields: dict[str, str]) -> IncomingImage | None:
        if name != "file" or taken:
            return None
        taken.append(name)
        return incoming

    try:
        return multipart.receive(multipart.body_of_request(), boundary, accept)
    except RequestEntityTooLarge as error:
        raise Refused(f"An image may have at most {most} bytes.", reason="too large", extra={"most": most}) from error


def _old_checksum(text: str | None) -> str | None:
    """What a client says the contents of a file are; some write that they do not know as ``None``."""
    text = (text or "").strip()
    return text[:_MAX_CHECKSUM] if text and text != "None" else None
