"""``/mirror/...``: the mirror folder over HTTP, with Range, ETag and Last-Modified.

Only plain files whose real path lies below the mirror folder are served, so neither ``..`` nor a symbolic
link leads out of it, and no hidden file (an upload on its way) is. In production nginx takes this path over.

What is mirrored comes from strangers: it is always sent as a download in a sandbox of its own, so that no
mirrored page or image can act as a page of this server.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from flask import Blueprint, Response, send_file

from knossos.errors import NotFound
from knossos.web.addresses import MIRROR_ROUTE
from knossos.web.services import services

#: Seconds for which a mirrored file may be kept without asking again.
MAX_AGE_SECONDS = 3600

blueprint = Blueprint("mirror", __name__)


def find_file(root: Path, name: str) -> Path:
    """The file called ``name`` below ``root``.

    Raises:
        NotFound: there is no such plain file, it is hidden, or its path leads out of the folder.
    """
    parts = name.split("/")
    if "\0" in name or any(part.startswith(".") or not part for part in parts):
        raise NotFound(f"there is no {name} in the mirror")
    try:
        real_root = root.resolve(strict=True)
        path = real_root.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise NotFound(f"there is no {name} in the mirror") from error
    if not path.is_relative_to(real_root) or not path.is_file():
        raise NotFound(f"there is no {name} in the mirror")
    return path


@blueprint.get(f"{MIRROR_ROUTE}/<path:name>")
def mirrored(name: str) -> Response:
    path = find_file(services().settings.mirror_folder, name)
    response = send_file(
        path,
        mimetype=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        as_attachment=True,
        download_name=path.name,
        conditional=True,
        max_age=MAX_AGE_SECONDS,
    )
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
