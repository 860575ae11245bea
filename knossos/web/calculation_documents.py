"""The XML of the calculation service, in pieces: whatever a program wrote, no more than a piece of it is in memory.

A file is text where it is UTF-8 and holds only what XML can hold, else base64; which of them is known before its first
byte goes out, so each is read twice.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
#: What XML 1.0 has no way to write.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: A carriage return as it is would be read as a line's end.
_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))
_UTF8 = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True)
class ListedFile:
    """A file of a list; ``read`` gives its bytes in pieces, each time anew."""

    name: str
    read: Callable[[], Iterable[bytes]]


def status(sha1: str, job: str, state: str, text: str) -> str:
    """``<status>``."""
    return (
        f"{DECLARATION}<status sha1={_quoted(sha1)} job={_quoted(job)} state={_quoted(state)}>{_text(text)}</status>\n"
    )


def files(sha1: str, listed: Iterable[ListedFile]) -> Iterator[str]:
    """``<files>``."""
    yield f"{DECLARATION}<files sha1={_quoted(sha1)}>\n"
    for file in listed:
        is_text = all(_decoded(file.read()))
        encoding = "utf-8" if is_text else "base64"
        yield f'<file name={_quoted(file.name)} encoding="{encoding}">'
        yield from _texts(file.read()) if is_text else _base64(file.read())
        yield "</file>\n"
    yield "</files>\n"


def _decoded(pieces: Iterable[bytes]) -> Iterator[bool]:
    """For each piece, whether it is text that XML can hold."""
    decoder = _UTF8("strict")
    try:
        for piece in pieces:
            yield not _NO_XML.search(decoder.decode(piece))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        yield False


def _texts(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = _UTF8("replace")
    for piece in pieces:
        yield _escaped(decoder.decode(piece))


def _base64(pieces: Iterable[bytes]) -> Iterator[str]:
    left = b""
    for piece in pieces:
        data = left + piece
        whole = len(data) - len(data) % 3
        left = data[whole:]
        yield base64.b64encode(data[:whole]).decode("ascii")
    yield base64.b64encode(left).decode("ascii")


def _text(value: str) -> str:
    return _escaped(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", value))


def _escaped(text: str) -> str:
    """One after another: for large texts that is many times as fast as `str.translate`."""
    for character, written in _ESCAPES:
        text = text.replace(character, written)
    return text


def _quoted(value: str) -> str:
    return quoteattr(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", value), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
