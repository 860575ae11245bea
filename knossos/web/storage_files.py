"""``/storage/files/<sha256>/<name>`` and ``/storage/images/<sha256>.<extension>``: published files, by contents.

What these addresses stand for never changes, so caches may keep it for ever; the sum is the validator. Files come from
strangers: they are downloads, and images are sent as such only where they were found to be images when they came in;
neither may do anything as a page of this server. In production nginx serves both where the storage is a folder.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import Blueprint, Response, request

from knossos.errors import NotFound
from knossos.publishing.blobs import ANY_FILE, IMAGE_EXTENSIONS
from knossos.publishing.documents import FILES_ROUTE, IMAGES_ROUTE
from knossos.storage import Storage, blob_key
from knossos.web.services import services
from knossos.web.stored_answers import FOR_EVER, NO_RIGHTS, stored_answer

SHA256 = re.compile(r"[0-9a-f]{64}")
#: Longest name of a file in an address.
MAX_NAME = 255
#: Seconds for which a signed address is good: a player on a slow line needs it only to begin.
LINK_SECONDS = 3600

blueprint = Blueprint("storage", __name__)


@blueprint.get(f"{FILES_ROUTE}/<sha256>/<name>")
def stored_file(sha256: str, name: str) -> Response:
    if not SHA256.fullmatch(sha256) or not _is_plain(name):
        raise NotFound("There is nothing at this address.")
    storage = services().publisher.storage
    if link := _elsewhere(storage, blob_key(sha256)):
        return link
    response = stored_answer(storage, blob_key(sha256), content_type=ANY_FILE, cache=FOR_EVER, etag=sha256)
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return response


@blueprint.get(f"{IMAGES_ROUTE}/<name>")
def stored_image(name: str) -> Response:
    sha256, _, extension = name.partition(".")
    blob = services().publisher.blobs.find(sha256) if SHA256.fullmatch(sha256) else None
    if blob is None or IMAGE_EXTENSIONS.get(blob.content_type) != extension:
        raise NotFound("There is nothing at this address.")
    storage = services().publisher.storage
    return stored_answer(storage, blob_key(sha256), content_type=blob.content_type, cache=FOR_EVER, etag=sha256)


def _elsewhere(storage: Storage, key: str) -> Response | None:
    """Where the object store itself gives the file out; None where it does not, or there is none."""
    if not services().settings.storage_redirect or request.method != "GET" or storage.head(key) is None:
        return None
    link = storage.link(key, LINK_SECONDS)
    if link is None:
        return None
    return Response(status=302, headers={"Location": link, "Cache-Control": "no-store", **NO_RIGHTS})


def _is_plain(name: str) -> bool:
    return len(name) <= MAX_NAME and name.isprintable() and not set("/\\") & set(name)
