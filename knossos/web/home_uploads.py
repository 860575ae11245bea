"""Files that a form sends into a home, where the browser runs no scripts: each goes there as it arrives."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import LengthRequired

from knossos.errors import InvalidInput
from knossos.homes import Home, PathTaken
from knossos.web.form_scanner import Part, parts_of
from knossos.web.multipart import body_of_request, boundary_of_request

#: The field that says that files may replace others; it has to come before them.
REPLACE = "replace"
#: Most parts of a form: more files are sent as an archive.
MAX_PARTS = 1000


def take_files(home: Home, path: str) -> int:
    """Store the files of the current request's form in a folder of a home, and answer how many there were.

    Those that had arrived before something went wrong stay.

    Raises:
        PathTaken: there is a file of that name, and it may not be replaced.
        MalformedForm: it is cut off.
        LengthRequired: nobody said how long it is, so that its end could not be told from a break.
        HomeFull, and what storing a file raises.
    """
    boundary, left = boundary_of_request(), request.content_length
    if boundary is None:
        raise InvalidInput("Expected a form as multipart/form-data.", errors=[])
    if left is None:
        raise LengthRequired
    # The quota is what limits it, and is looked at for each file.
    request.max_content_length = left
    count, replace = 0, False
    for part in parts_of(body_of_request().read, boundary, MAX_PARTS):
        if part.filename:
            left -= _take_file(home, path, part, left, replace=replace)
            count += 1
        elif part.filename is None:
            replace |= part.name == REPLACE and any(part.pieces)
    return count


def _take_file(home: Home, path: str, part: Part, most: int, *, replace: bool) -> int:
    """Store a file that has at most so many bytes, and answer how many it had."""
    name = (part.filename or "").rpartition("/")[2]
    size = 0
    try:
        with home.receive(f"{path}/{name}", most, replace=replace, exactly=False) as upload:
            for piece in part.pieces:
                size += len(piece)
                upload.write(piece)
    except PathTaken as error:
        said = f"There is a file {name} already. Choose “Replace files of the same names” to put this one in its place."
        raise PathTaken(said) from error
    return size
