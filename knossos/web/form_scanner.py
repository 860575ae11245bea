"""Cutting a multipart/form-data body into its parts as it arrives: the format only.

Memory stays flat whatever a part's size. Most pieces are handed on as they came from the connection, without a copy,
which is what uploads of many gigabytes need. What breaks the format, and a body that ends too early, is a
`MalformedForm`; a part is whole only when its iterator has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from werkzeug.http import parse_options_header

from knossos.errors import InvalidInput

#: Bytes that are read at a time: few enough to be still in the processor's cache when they are hashed and written.
PIECE_BYTES = 256 * 1024
#: Most bytes of the headers of one part, and most parts of a body unless it is said otherwise.
MAX_HEADER_BYTES = 16 * 1024
MAX_PARTS = 20

#: Reads at most so many bytes; none where the body has ended.
Read = Callable[[int], bytes]


class MalformedForm(InvalidInput):
    """The body is not a well-formed form of the kind that it says it is."""

    code = "malformed_form"


@dataclass(frozen=True)
class Part:
    """One field or file. What is not read of ``pieces`` is passed over when the next part is asked for."""

    name: str
    #: None for a field.
    filename: str | None
    pieces: Iterator[bytes]
    #: Call it with the number of bytes that the part has at least, before the first piece: the search for its end
    #: begins only there. A part that is shorter makes the form malformed.
    expect: Callable[[int], None]


def parts_of(read: Read, boundary: bytes, max_parts: int = MAX_PARTS) -> Iterator[Part]:
    """The parts of a body with this boundary, one after the other."""
    scanner = _Scanner(read, boundary)
    for _ in scanner.until_delimiter():
        pass  # what stands before the first part
    for _ in range(max_parts + 1):
        if scanner.is_last():
            while read(PIECE_BYTES):
                pass  # what stands after the last part
            return
        name, filename = scanner.header()
        pieces = scanner.until_delimiter()
        yield Part(name, filename, pieces, scanner.expect)
        for _ in pieces:
            pass
    raise MalformedForm(f"The form has more than {max_parts} parts.")


class _Scanner:
    def __init__(self, read: Read, boundary: bytes) -> None:
        self._read = read
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter may stand at the very beginning, without the line end before it.
        self._held = b"\r\n"
        self._expected = 0

    def expect(self, count: int) -> None:
        self._expected = count

    def until_delimiter(self) -> Iterator[bytes]:
        """What comes before the next delimiter, which is passed over."""
        data, self._held = self._held, b""
        while True:
            if len(data) <= self._expected:
                self._expected -= len(data)
                if data:
                    yield data
                data = self._more()
                continue
            at = data.find(self._delimiter, self._expected)
            self._expected = 0
            if at >= 0:
                self._held = data[at + len(self._delimiter) :]
                if at:
                    yield data[:at]
                return
            rest = self._beginning_of_delimiter(data)
            if len(data) > len(rest):
                yield data[: len(data) - len(rest)]
            more = self._more()
            data = rest + more if rest else more

    def is_last(self) -> bool:
        """Whether the delimiter that was just passed ends the body."""
        while len(self._held) < 2:
            self._held += self._more()
        return self._held.startswith(b"--")

    def header(self) -> tuple[str, str | None]:
        """Name and file name of the part that begins."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > MAX_HEADER_BYTES:
                raise MalformedForm("The headers of a part are too long.")
            self._held += self._more()
        # The line that ends the headers may begin the next delimiter, too: such a part is empty (RFC 2046, 5.1.1).
        while len(self._held) < end + 2 + len(self._delimiter):
            self._held += self._more()
        rest = end + 2 if self._held.startswith(self._delimiter, end + 2) else end + 4
        lines, self._held = self._held[:end].decode("utf-8", "replace").split("\r\n"), self._held[rest:]
        for line in lines[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == "content-disposition":
                _, options = parse_options_header(value.strip())
                if "name" in options:
                    return options["name"], options.get("filename")
        raise MalformedForm("A part of the form has no name.")

    def _more(self) -> bytes:
        data = self._read(PIECE_BYTES)
        if not data:
            raise MalformedForm("The form ends before it is complete.")
        return data

    def _beginning_of_delimiter(self, data: bytes) -> bytes:
        """The end of ``data`` that may be the beginning of a delimiter. It has a carriage return only at its start."""
        at = data.rfind(b"\r", max(0, len(data) - len(self._delimiter) + 1))
        return data[at:] if at >= 0 and self._delimiter.startswith(data[at:]) else b""
