"""Reading a multipart/form-data body as it arrives: files go to where the caller says, memory stays flat.

Owns what becomes of the parts; how the body is cut into them is `form_scanner.py`. Fields are kept as text, up to a
bound; which files are wanted, and where their bytes go, the caller decides before the first of them is kept. Names of
fields may be quoted or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from knossos.web.form_scanner import MalformedForm as MalformedForm
from knossos.web.form_scanner import parts_of
from knossos.web.request_bodies import BodyBroke, CountingBody

#: Most bytes that all fields that are no files may take.
_FIELDS_BYTES = 64 * 1024
_BROKE = "The body does not arrive any more."


class Body(Protocol):
    """What a body is read from: ``read`` gives at most so many bytes, and none where it has ended."""

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """Where the bytes of a file go. Where it knows how many must come, ``least_bytes`` says so, which saves time."""

    def write(self, data: bytes, /) -> object: ...


@dataclass
class Form:
    """What has arrived: the fields, and the names of the files that arrived with their end."""

    fields: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


#: Is given the name of a file's field, the file's name, and the fields before it; answers where the bytes go, or None
#: where nobody wants them. It may raise to refuse the whole form.
Accept = Callable[[str, str, dict[str, str]], Sink | None]


def boundary_of_request() -> bytes | None:
    """The boundary of the current request's multipart form; None where it is none."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        return None
    return boundary.encode("latin-1", "replace")


def body_of_request() -> Body:
    """The current request's body, past Werkzeug's stream, which copies each piece twice.

    Raises:
        RequestEntityTooLarge: it is longer than ``request.max_content_length``.
    """
    length = request.content_length
    if length is None:
        return request.stream
    if request.max_content_length is not None and length > request.max_content_length:
        raise RequestEntityTooLarge
    return _PlainBody(request.input_stream, length)


def move_body(target: int, size: int) -> int:
    """Bring the current request's body, whose length is ``size``, to where a file is open; answers how much came. How
    long it may be its caller has looked at.

    Raises:
        MalformedForm: it does not arrive any more.
    """
    if not size:
        return 0
    body: CountingBody = request.environ["wsgi.input"]
    try:
        return body.move(target, size)
    except BodyBroke as error:
        raise MalformedForm(_BROKE) from error


class _PlainBody:
    def __init__(self, stream: Body, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        try:
            data = self._stream.read(min(size, self._left))
        except OSError as error:  # the server's word for a client that is gone, or says nothing for too long
            raise MalformedForm(_BROKE) from error
        self._left -= len(data)
        return data


def receive(stream: Body, boundary: bytes, accept: Accept, *, keep_fields: bool = True) -> Form:
    """Read a form to its end.

    Args:
        keep_fields: False where nobody wants the fields, however long they are.

    Raises:
        MalformedForm: it is cut off or broken, or its fields are too long.
    """
    form, room = Form(), _FIELDS_BYTES
    for part in parts_of(stream.read, boundary):
        if part.filename is not None:
            sink = accept(part.name, part.filename, form.fields)
            if sink is not None:
                part.expect(getattr(sink, "least_bytes", 0))
                for piece in part.pieces:
                    sink.write(piece)
                form.files.add(part.name)
        elif keep_fields:
            text = b""
            for piece in part.pieces:
                text += piece
                if len(text) > room:
                    raise MalformedForm(f"The fields of the form take more than {_FIELDS_BYTES} bytes.")
            room -= len(text)
            form.fields[part.name] = text.decode("utf-8", "replace")
    return form
