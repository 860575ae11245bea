"""Forms of scripts as HTML forms bring them: the body is read as it arrives, and files go to disk.

Owns nothing of what the fields mean (`knossos.scripting.forms`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from werkzeug.exceptions import BadRequest

from knossos.scripting.arguments import BadArgument, base_name
from knossos.scripting.form_fields import FieldBase, FileField, Form, GroupField
from knossos.scripting.incoming import IncomingFile, IncomingFiles
from knossos.web.form_scanner import MalformedForm, parts_of
from knossos.web.multipart import body_of_request, boundary_of_request

#: Most parts of a form, and most bytes of all its texts.
MAX_PARTS = 5000
MAX_TEXT_BYTES = 4 * 1024 * 1024

#: Names of the buttons that add and remove a row where there are no scripts. No field is called so.
ADD, REMOVE = ":add", ":remove"
#: The button for having it run at a time, and what begins the names of the fields around the form's own.
SCHEDULE, ASIDE = ":schedule", ":"


@dataclass
class Sent:
    """What a form has brought."""

    #: Names and values; a file has its base name as the value.
    pairs: list[tuple[str, str]] = field(default_factory=list)
    files: list[IncomingFile] = field(default_factory=list)
    #: What was wrong with the names of files, by path.
    errors: dict[str, str] = field(default_factory=dict)
    #: The button's name and value, where it is one of `ADD` and `REMOVE`.
    button: tuple[str, str] | None = None
    #: The fields around the form's own, without the colon.
    aside: dict[str, str] = field(default_factory=dict)


def receive(form: Form, places: IncomingFiles) -> Sent:
    """Read the current request's form to its end. Files of fields that the form does not have are dropped.

    Raises:
        MalformedForm: it is cut off, or longer than a form is.
        BadRequest: it is no multipart form.
    """
    boundary = boundary_of_request()
    if boundary is None:
        raise BadRequest("Expected a form as multipart/form-data.")
    sent, room = Sent(), MAX_TEXT_BYTES
    patterns = set(_file_paths(form.fields, ""))
    for part in parts_of(body_of_request().read, boundary, MAX_PARTS):
        if part.filename is None:
            text = b"".join(_at_most(part.pieces, room))
            room -= len(text)
            _take(sent, part.name, text.decode("utf-8", "replace"))
        elif part.filename and _without_numbers(part.name) in patterns:
            try:
                name = base_name(part.name, part.filename)
            except BadArgument as error:
                sent.errors[part.name] = f"{error.errors[0]['message'].capitalize()}."
                continue
            file = places.add(name)
            for piece in part.pieces:
                file.write(piece)
            sent.files.append(file)
            sent.pairs.append((part.name, name))
    return sent


def _take(sent: Sent, name: str, text: str) -> None:
    if name in (ADD, REMOVE):
        sent.button = (name, text)
    elif name.startswith(ASIDE):
        sent.aside[name.removeprefix(ASIDE)] = text
    else:
        sent.pairs.append((name, text))


def _at_most(pieces: Iterator[bytes], room: int) -> Iterator[bytes]:
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise MalformedForm(f"The texts of the form take more than {MAX_TEXT_BYTES} bytes.")
        yield piece


def _file_paths(fields: Sequence[FieldBase], path: str) -> Iterator[str]:
    """The paths of the fields that take files, without the numbers of rows."""
    for one in fields:
        own = f"{path}.{one.name}" if path else one.name
        if isinstance(one, GroupField):
            yield from _file_paths(one.fields, own)
        elif isinstance(one, FileField):
            yield own


def _without_numbers(path: str) -> str:
    return ".".join(part for part in path.split(".") if not part.isdigit())
