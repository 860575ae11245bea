"""``/api/files``: the home of who asks, and nothing else.

Files are what people and their scripts made: a browser that opens one gets a download, in a sandbox where nothing can
act as a page of this server.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote

from flask import Response, jsonify, request
from werkzeug.exceptions import LengthRequired

from knossos.accounts.tokens import Scope
from knossos.homes import Entry, Home, OpenedFile, OpenedFolder
from knossos.setting_kinds import MIB
from knossos.storage import StoredObject
from knossos.web.script_server.blueprint import blueprint, iso
from knossos.web.script_server.callers import caller, invalid, json_object, text_of
from knossos.web.services import services
from knossos.web.stored_answers import file_answer

#: Entries of a folder in one piece of an answer.
ENTRIES = 500


@blueprint.get("/api/files/")
@blueprint.get("/api/files/<home_path:path>", merge_slashes=False)
def look(path: str = "") -> Response:
    with _home() as home:
        found = home.open(path)
    response = _folder(found) if isinstance(found, OpenedFolder) else _file(found)
    response.call_on_close(found.close)
    return response


@blueprint.put("/api/files/<home_path:path>", merge_slashes=False)
def store(path: str) -> Response:
    with _home() as home:
        size = _announced_size()
        with home.receive(path, size) as upload:
            # The quota is what limits it, and has been looked at.
            request.max_content_length = size
            while data := request.stream.read(MIB):
                upload.write(data)
    return jsonify(size=size)


@blueprint.post("/api/files/")
@blueprint.post("/api/files/<home_path:path>", merge_slashes=False)
def change(path: str = "") -> Response:
    with _home() as home:
        sent = json_object()
        match sent.get("command"):
            case "move":
                home.move(path, text_of(sent, "to"))
            case "copy":
                home.copy(path, text_of(sent, "to"))
            case "mkdir":
                home.make_folder(path, text_of(sent, "name"))
            case _:
                raise invalid("command", 'expected "move", "copy" or "mkdir"')
    return jsonify(error=False)


@blueprint.delete("/api/files/<home_path:path>", merge_slashes=False)
def remove(path: str) -> Response:
    with _home() as home:
        home.remove(path)
    return jsonify(error=False)


def _home() -> Home:
    return services().homes.open(caller(Scope.HOME).user_id)


def _announced_size() -> int:
    """The size of the body. One whose end is only seen when it comes cannot be told from one that broke off."""
    text = request.headers.get("Content-Length", "")
    if request.headers.get("Transfer-Encoding") or not text:
        raise LengthRequired("Say how many bytes will come, in the header Content-Length.")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise invalid("Content-Length", "expected a number of bytes")
    return int(text)


def _folder(folder: OpenedFolder) -> Response:
    return Response(_listing(folder.entries()), mimetype="application/json")


def _listing(entries: Iterator[Entry]) -> Iterator[str]:
    """A JSON list, in pieces: the first of a folder with many files comes before all of them were looked at."""
    before = "["
    while some := [json.dumps(_about(entry)) for entry in islice(entries, ENTRIES)]:
        yield before + ",".join(some)
        before = ","
    yield "[]" if before == "[" else "]"


def _about(entry: Entry) -> dict[str, str | int | None]:
    about: dict[str, str | int | None] = {"name": entry.name, "mtime": iso(entry.modified)}
    if entry.size is not None:
        about["size"] = entry.size
    return about


def _file(file: OpenedFile) -> Response:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    response = file_answer(
        StoredObject(file.size, file.etag, max(0.0, min(file.modified, 253402300799.0))),
        file.read,
        content_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        cache="private, no-cache",
    )
    del response.headers["Access-Control-Allow-Origin"]
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
    return response
