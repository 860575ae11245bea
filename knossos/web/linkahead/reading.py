"""Reading the form of a call as it arrives: fields in memory, within bounds, and files to disk.

Both encodings give the same call. What a call may hold is `knossos.scripting.arguments`; this owns the bytes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from knossos.scripting.arguments import BadArgument, CallFields, ScriptCall
from knossos.scripting.incoming import IncomingFiles
from knossos.web.form_scanner import MalformedForm, Part, parts_of
from knossos.web.multipart import body_of_request, boundary_of_request

#: Most bytes of a form without files, read in one go: far more than its arguments may take once they are decoded.
MAX_PLAIN_BYTES = 8 * 1024 * 1024
#: Fields that a form may have besides arguments and files: buttons and the like, which mean nothing here.
OTHER_FIELDS = 100

#: Is given the script's name before the first file is kept, and raises to refuse the call.
Admit = Callable[[str], object]


def read_call(fields: CallFields, files: IncomingFiles, admit: Admit) -> ScriptCall:
    """The call that the current request's body is.

    Raises:
        BadArgument: a field breaks a rule.
        MalformedForm: the body is no form, or broken.
        RequestEntityTooLarge: it is longer than ``request.max_content_length``.
    """
    most = fields.max_arguments + OTHER_FIELDS
    boundary = boundary_of_request()
    if boundary is not None:
        _read_parts(parts_of(body_of_request().read, boundary, most), fields, files, admit)
    elif request.mimetype == "application/x-www-form-urlencoded" or not request.content_length:
        for number, (name, value) in enumerate(_pairs(_plain_body())):
            if number >= most:
                raise MalformedForm(f"The form has more than {most} fields.")
            fields.add(name, value)
    else:
        raise MalformedForm("Expected a form: application/x-www-form-urlencoded, or multipart/form-data.")
    return fields.call()


def _read_parts(parts: Iterator[Part], fields: CallFields, files: IncomingFiles, admit: Admit) -> None:
    admitted = False
    for part in parts:
        name = _field_name(part.name)
        if part.filename is None:
            fields.add(name, _value(part, fields.room()))
            continue
        pieces = part.pieces
        first = next(pieces, b"")
        if not part.filename and not first:
            continue  # a browser's field for a file that nobody chose
        base = fields.add_file(name, part.filename)
        if fields.script and not admitted:
            admit(fields.script)
            admitted = True
        incoming = files.add(base)
        incoming.write(first)
        for piece in pieces:
            incoming.write(piece)
        incoming.close()


def _value(part: Part, room: int) -> bytes:
    """The text of a field: all of it, or enough to see that it is too long."""
    value = bytearray()
    for piece in part.pieces:
        value += piece
        if len(value) > room:
            break
    return bytes(value)


def _plain_body() -> bytes:
    if request.max_content_length is None or request.max_content_length > MAX_PLAIN_BYTES:
        request.max_content_length = MAX_PLAIN_BYTES
    if (request.content_length or 0) > request.max_content_length:
        raise RequestEntityTooLarge(f"A form without files may have {request.max_content_length} bytes.")
    return request.get_data(cache=False)


def _pairs(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and values of a urlencoded form, one after the other: a list of them could be much larger than the body."""
    start = 0
    while start < len(body):
        end = body.find(b"&", start)
        end = len(body) if end < 0 else end
        name, _, value = body[start:end].replace(b"+", b" ").partition(b"=")
        start = end + 1
        if name or value:
            yield _decoded(unquote_to_bytes(name)), unquote_to_bytes(value)


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadArgument("The name of a field is no UTF-8.", field="") from error


def _field_name(name: str) -> str:
    """The LinkAhead client writes names that are not ASCII as words of a mail's header."""
    if not name.startswith("=?"):
        return name
    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, ValueError) as error:
        raise BadArgument("The name of a field cannot be read.", field="") from error
