"""Files of homes over HTTP, for the API and for the pages: paths as they were sent, files, pictures, zips.

What is in a home is what people and their scripts made. A browser that opens a file gets a download, in a sandbox where
nothing can act as a page of this server; a picture is that as well, and is drawn only inside of an <img>.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator
from urllib.parse import quote

from flask import Response, request

from knossos.homes import OpenedFile, OpenedFolder
from knossos.homes.paths import shown
from knossos.homes.zips import zip_of
from knossos.storage import StoredObject
from knossos.web.stored_answers import NO_RIGHTS, file_answer


def sent_path(prefix: str) -> str:
    """What follows a prefix in the current request's address, as it was sent: also where it is no UTF-8."""
    sent: str = request.environ["PATH_INFO"]
    return os.fsdecode(sent.encode("latin-1"))[len(prefix) :]


def quoted(path: str) -> str:
    """A path, or a name, of a home as a part of an address."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/")


def home_file(file: OpenedFile, kind: str | None = None) -> Response:
    """A file, or the part that is asked for. ``kind`` is its media type, where it is not to be told by the name."""
    if kind is None:
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        kind = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    about = StoredObject(file.size, file.etag, max(0.0, min(file.modified, 253402300799.0)))
    response = file_answer(about, file.read, content_type=kind, cache="private, no-cache")
    return _private(response, file.name)


def zip_answer(folder: OpenedFolder, names: list[str], name: str) -> Response:
    """Entries of a folder as a zip that is called ``name``. It has no length: nobody knows it before the end."""
    pieces: Iterator[bytes] = zip_of(folder.descriptor, names)
    if request.method == "HEAD":
        pieces = iter(())
    response = Response(pieces, mimetype="application/zip", headers={"Cache-Control": "private, no-store", **NO_RIGHTS})
    return _private(response, name)


def _private(response: Response, name: str) -> Response:
    del response.headers["Access-Control-Allow-Origin"]
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(shown(name), safe='')}"
    return response
