"""Telling a web page from a file: a dead or private link often answers 200 with a page that says so."""

from __future__ import annotations

#: Bytes of a body that are enough to decide.
HEAD_BYTES = 64

_PAGE_STARTS = (b"<!doctype html", b"<html")
_PAGE_TYPES = ("text/html", "application/xhtml+xml")


def is_web_page(content_type: str, head: bytes) -> bool:
    """Whether this is a page and not a file.

    Args:
        content_type: the header as it came. Some servers call every file a page, so it alone decides nothing.
        head: the first `HEAD_BYTES` of the body (all of it, where it is shorter).
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_PAGE_STARTS):
        return True
    named_so = content_type.split(";")[0].strip().lower() in _PAGE_TYPES
    return named_so and (not start or start.startswith(b"<"))
