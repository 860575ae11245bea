"""Static files of the pages: our own (``static/``) and what comes from others (``third_party/``).

Each URL holds a version made from the contents of all files, so that modules which import each other by
relative paths get it too. Under the current version a browser may keep a file for a year; under any other
one it has to ask, and the ETag spares it the body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, send_from_directory, url_for

from knossos.settings import ROOT
from knossos.web import third_party

STATIC_FOLDER = ROOT / "static"
THIRD_PARTY_FOLDER = third_party.FOLDER

#: Seconds for which a browser keeps a file that has its version in its URL.
YEAR_SECONDS = 365 * 86400

blueprint = Blueprint("assets", __name__)


def version_of(folders: Iterable[Path]) -> str:
    """A short hash over the names and contents of all files in some folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(folder)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def install(app: Flask) -> None:
    """Serve the files, and give templates ``asset(path)`` and ``third_party(path)``."""
    version = version_of((STATIC_FOLDER, THIRD_PARTY_FOLDER))
    app.config["ASSETS_VERSION"] = version
    hashes = {file.path: file.integrity for file in third_party.manifest().files}

    def asset(path: str) -> str:
        return url_for("assets.own", version=version, path=path)

    def third_party_url(path: str) -> str:
        return url_for("assets.others", version=version, path=path)

    app.jinja_env.globals.update(asset=asset, third_party=third_party_url, integrity=hashes.__getitem__)
    app.register_blueprint(blueprint)


@blueprint.get("/static/<version>/<path:path>")
def own(version: str, path: str) -> Response:
    return _send(STATIC_FOLDER, version, path)


@blueprint.get("/third_party/<version>/<path:path>")
def others(version: str, path: str) -> Response:
    return _send(THIRD_PARTY_FOLDER, version, path)


def _send(folder: Path, version: str, path: str) -> Response:
    response = send_from_directory(folder, path, max_age=0)
    if version == current_app.config["ASSETS_VERSION"]:
        response.cache_control.no_cache = None
        response.cache_control.public = True
        response.cache_control.max_age = YEAR_SECONDS
        response.cache_control.immutable = True
    return response
