"""``/api/files``: the home of who asks, and nothing else; ``/api/home``: how full it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from flask import Response, jsonify, request
from werkzeug.exceptions import LengthRequired, PreconditionFailed

from knossos.accounts.tokens import Scope
from knossos.errors import InvalidInput
from knossos.homes import Entry, EntryKind, Home, OpenedFolder, PathTaken
from knossos.homes.paths import is_text, parts_of
from knossos.web.home_files import home_file, quoted, sent_path, zip_answer
from knossos.web.multipart import move_body
from knossos.web.script_server.blueprint import blueprint, iso
from knossos.web.script_server.callers import caller, json_object, text_of
from knossos.web.services import services

#: Entries of a folder in one piece of an answer.
ENTRIES = 500
_PREFIX = "/api/files/"


@blueprint.get("/api/home")
def about_home() -> Response:
    with _home() as home:
        return jsonify(used=home.used(), quota=home.quota)


@blueprint.get("/api/files/")
@blueprint.get("/api/files/<home_path:path>", merge_slashes=False)
def look(path: str = "") -> Response:
    path = sent_path(_PREFIX)
    with _home() as home:
        found = home.open(path)
    try:
        if not isinstance(found, OpenedFolder):
            response = home_file(found)
        elif "zip" in request.args:
            response = folder_zip(found, path)
        else:
            response = Response(_listing(found.entries()), mimetype="application/json")
    except BaseException:
        found.close()
        raise
    response.call_on_close(found.close)
    return response


@blueprint.put("/api/files/<home_path:path>", merge_slashes=False)
def store(path: str) -> Response:
    with _home() as home:
        size = _announced_size()
        replace = request.headers.get("If-None-Match", "").strip() != "*"
        try:
            with home.receive(sent_path(_PREFIX), size, replace=replace) as upload:
                # The quota is what limits it, and has been looked at.
                upload.fill(move_body)
        except PathTaken as error:
            raise PreconditionFailed("There is a file at this path already.") from error
    return jsonify(size=size)


@blueprint.post("/api/files/")
@blueprint.post("/api/files/<home_path:path>", merge_slashes=False)
def change(path: str = "") -> Response:
    path = sent_path(_PREFIX)
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
                raise InvalidInput.at("command", 'expected "move", "copy" or "mkdir"')
    return jsonify(error=False)


@blueprint.delete("/api/files/<home_path:path>", merge_slashes=False)
def remove(path: str) -> Response:
    with _home() as home:
        home.remove(sent_path(_PREFIX))
    return jsonify(error=False)


def _home() -> Home:
    return services().homes.open(caller(Scope.HOME).user_id)


def _announced_size() -> int:
    """The size of the body. One whose end is only seen when it comes cannot be told from one that broke off."""
    text = request.headers.get("Content-Length", "")
    if request.headers.get("Transfer-Encoding") or not text:
        raise LengthRequired("Say how many bytes will come, in the header Content-Length.")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidInput.at("Content-Length", "expected a number of bytes")
    return int(text)


def folder_zip(folder: OpenedFolder, path: str) -> Response:
    """A folder as a zip, or those of its entries that the parameters ``name`` say."""
    names = list(dict.fromkeys(request.args.getlist("name")))
    for name in names:
        if parts_of(name) != (name,):
            raise InvalidInput.at("name", "expected the name of something in this folder")
    parts = parts_of(path)
    return zip_answer(
        folder, names or [entry.own_name for entry in folder.entries()], f"{parts[-1] if parts else 'home'}.zip"
    )


def _listing(entries: Iterator[Entry]) -> Iterator[str]:
    """A JSON list, in pieces: the first of a folder with many files comes before all of them were looked at."""
    before = "["
    while some := [json.dumps(_about(entry)) for entry in islice(entries, ENTRIES)]:
        yield before + ",".join(some)
        before = ","
    yield "[]" if before == "[" else "]"


def _about(entry: Entry) -> dict[str, str | int | bool | None]:
    about: dict[str, str | int | bool | None] = {"name": entry.name, "mtime": iso(entry.modified)}
    if entry.size is not None:
        about["size"] = entry.size
    if entry.kind is EntryKind.LINK:
        about["link"] = True
    if not is_text(entry.own_name):
        about["address"] = quoted(entry.own_name)
    return about
