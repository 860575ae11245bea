"""Which picture some bytes are the beginning of, by what they are and not by a name. The list is short: what every
browser draws in an <img>, where nothing of it runs."""

from __future__ import annotations

import re

#: Bytes that are enough to tell.
HEAD_BYTES = 4096

#: Comments are such that each can be read in one way only: a stranger's bytes must not take long.
_COMMENT = rb"<!--(?:[^-]|-(?!->))*-->\s*"
_SVG = (
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?"
    rb"(?:" + _COMMENT + rb")*(?:<!DOCTYPE svg[^>\[]*>\s*)?(?:" + _COMMENT + rb")*<svg[\s>]"
)
_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(_SVG, re.DOTALL), "image/svg+xml"),
)


def picture_type(head: bytes) -> str | None:
    """The media type of a picture that begins so; None where it is no picture that pages show."""
    return next((kind for pattern, kind in _SIGNATURES if pattern.match(head[:HEAD_BYTES])), None)
