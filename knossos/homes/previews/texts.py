"""Text out of bytes of which nobody said how they are encoded, such that whatever is in it can be looked at safely."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

#: Bytes of a file that are shown as text.
TEXT_BYTES = 100_000

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
#: What texts have beside what is printed. Terminals' escapes are in logs.
_USUAL_CONTROLS = frozenset(b"\t\n\v\f\r\b\x1b")
#: Share of other control characters from which on it is no text.
_MOST_CONTROLS = 0.02
#: What is not seen, or turns what is around it: controls, marks of direction, and characters of no width.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


@dataclass(frozen=True)
class Text:
    """What some bytes say. ``encoding`` is what it was taken for, as people write it."""

    text: str
    encoding: str


def read_text(data: bytes, *, whole: bool) -> Text | None:
    """The text that some bytes are; None where they are none.

    Args:
        whole: these are all bytes of the file; else the last character may be cut, and is left out.
    """
    for mark, codec, name in _MARKS:
        if data.startswith(mark):
            return Text(_decode(data[len(mark) :], codec, whole=whole), name)
    if b"\0" in data:
        return None
    try:
        return None if _is_binary(data) else Text(_strictly(data, whole=whole), "UTF-8")
    except UnicodeDecodeError:
        # All bytes mean something there, so that it says whether they can have been meant.
        return None if _is_binary(data) else Text(data.decode("cp1252", "replace"), "Windows-1252")


def _strictly(data: bytes, *, whole: bool) -> str:
    return codecs.getincrementaldecoder("utf-8")("strict").decode(data, final=whole)


def _decode(data: bytes, codec: str, *, whole: bool) -> str:
    return codecs.getincrementaldecoder(codec)("replace").decode(data, final=whole)


def _is_binary(data: bytes) -> bool:
    odd = sum(byte < 32 and byte not in _USUAL_CONTROLS for byte in data[:TEXT_BYTES])
    return odd > len(data[:TEXT_BYTES]) * _MOST_CONTROLS


def visible(text: str) -> str:
    """A text in which whatever is not seen, or would turn what is around it, is seen; lines and tabs stay."""
    return _UNSEEN.sub(_seen, text.replace("\r\n", "\n").replace("\r", "\n"))


def _seen(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"
