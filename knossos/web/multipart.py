"""Reading a multipart/form-data body as it arrives: files go to where the caller says, memory stays flat.

Owns the parse only. Fields are kept as text, up to a bound; which files are wanted, and where their bytes go, the
caller decides before the first of them is kept. Names of fields may be quoted or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Protocol

from flask import request
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from knossos.errors import InvalidInput

#: Bytes that are read and handed on at a time.
CHUNK_BYTES = 256 * 1024
#: Most bytes that all fields that are no files may take.
_FIELDS_BYTES = 64 * 1024
#: Most bytes that headers of a part may take, beside one chunk.
_DECODER_BYTES = 2 * 1024 * 1024
_MAX_PARTS = 20


class MalformedForm(InvalidInput):
    """The body is not a well-formed form of the kind that it says it is."""

    code = "malformed_form"


class Sink(Protocol):
    """Where the bytes of a file go."""

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


def receive(stream: IO[bytes], boundary: bytes, accept: Accept, *, keep_fields: bool = True) -> Form:
    """Read a form to its end.

    Args:
        keep_fields: False where nobody wants the fields, however long they are.

    Raises:
        MalformedForm: it is cut off or broken, or its fields are too long.
    """
    decoder = MultipartDecoder(boundary, _DECODER_BYTES, max_parts=_MAX_PARTS)
    form, room = Form(), _FIELDS_BYTES
    name, sink, text = "", None, b""
    is_field = False
    while not isinstance(event := _next(decoder, stream), Epilogue):
        if isinstance(event, File):
            name, is_field = event.name or "", False
            sink = accept(name, event.filename or "", form.fields)
        elif isinstance(event, Field):
            name, is_field, sink, text = event.name or "", keep_fields, None, b""
        elif isinstance(event, Data) and is_field:
            text += event.data
            if len(text) > room:
                raise MalformedForm(f"The fields of the form take more than {_FIELDS_BYTES} bytes.")
            if not event.more_data:
                room -= len(text)
                form.fields[name] = text.decode("utf-8", "replace")
        elif isinstance(event, Data) and sink is not None:
            sink.write(event.data)
            if not event.more_data:
                form.files.add(name)
    return form


def _next(decoder: MultipartDecoder, stream: IO[bytes]) -> Event:
    while True:
        try:
            event = decoder.next_event()
        except ValueError as error:
            raise _malformed() from error
        if not isinstance(event, NeedData):
            return event
        data = stream.read(CHUNK_BYTES) or None
        try:
            decoder.receive_data(data)
        except ValueError as error:
            raise _malformed() from error


def _malformed() -> MalformedForm:
    return MalformedForm("The upload is not a well-formed multipart/form-data body.")
