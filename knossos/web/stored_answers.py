"""Answers that are stored files: whole or in part, or "you have it already".

Owns what HTTP asks of a file that is read from the storage, in a folder or in an object store: validators, ranges,
HEAD. Memory stays flat whatever the size. Which file a URL stands for, and who may see it, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import dump_options_header, parse_if_range_header, unquote_etag
from werkzeug.sansio.http import is_resource_modified

from knossos.errors import NotFound
from knossos.storage import Storage, StoredObject

#: A file whose address has its contents in it never changes; a year is the most that caches care for.
FOR_EVER = "public, max-age=31536000, immutable"

#: Headers of files that strangers made: wherever a browser shows one, it is in a sandbox; all sites may read it.
NO_RIGHTS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
}


#: Answers bytes of a file, in pieces: from a start on, so many.
Reader = Callable[[int, int], Iterable[bytes]]


class NoSuchRange(Exception):
    """Nothing of the file lies in the range that was asked for."""


def attachment(name: str) -> str:
    """The header Content-Disposition of a download, whatever a program has called the file (RFC 6266)."""
    if name.isascii():
        return dump_options_header("attachment", {"filename": name})
    return f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def stored_answer(storage: Storage, key: str, *, content_type: str, cache: str, etag: str = "") -> Response:
    """What is stored under a key, as the current request asks for it.

    Args:
        cache: the Cache-Control of the answer.
        etag: the file's strong validator; "": the storage's own.

    Raises:
        NotFound: nothing is stored there.
    """
    about = storage.head(key)
    if about is None:
        raise NotFound("There is nothing at this address.")
    read = partial(storage.read, key)
    return file_answer(replace(about, etag=etag or about.etag), read, content_type=content_type, cache=cache)


def file_answer(about: StoredObject, read: Reader, *, content_type: str, cache: str) -> Response:
    """A file, as the current request asks for it. ``read`` answers so many bytes from a start on, in pieces."""
    etag = about.etag
    response = Response(content_type=content_type, headers={"Accept-Ranges": "bytes", "Cache-Control": cache})
    response.set_etag(etag)
    response.last_modified = modified = datetime.fromtimestamp(about.modified, UTC).replace(microsecond=0)
    response.headers.update(NO_RIGHTS)
    if not is_resource_modified(
        http_if_none_match=request.headers.get("If-None-Match"),
        http_if_modified_since=request.headers.get("If-Modified-Since"),
        etag=f'"{etag}"',
        last_modified=modified,
    ):
        response.status_code = 304
        del response.headers["Content-Type"]
        return response
    try:
        span = requested_span(request.headers.get("Range", ""), about.size) if _may_be_part(etag, modified) else None
    except NoSuchRange:
        response.status_code = 416
        response.headers["Content-Range"] = f"bytes */{about.size}"
        return response
    return _send(response, read, about, span)


def requested_span(header: str, size: int) -> tuple[int, int] | None:
    """First byte and end (exclusive) of what a Range header asks for; None: all of it.

    A header that is not one range of bytes asks for all, as RFC 9110 allows.

    Raises:
        NoSuchRange
    """
    unit, _, text = header.partition("=")
    first, dash, last = text.strip().partition("-")
    numbers = (first + last).strip()
    if unit.strip().lower() != "bytes" or not dash or not numbers or not _are_digits(first, last):
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise NoSuchRange
    return start, end


def _are_digits(*texts: str) -> bool:
    return all(not text or (text.isascii() and text.isdigit() and len(text) < 20) for text in texts)


def _may_be_part(etag: str, modified: datetime) -> bool:
    """Whether If-Range, where it is there, names the very file that is stored."""
    header = request.headers.get("If-Range")
    if header is None:
        return True
    if header.startswith('"'):
        return unquote_etag(header) == (etag, False)
    return parse_if_range_header(header).date == modified


def _send(response: Response, read: Reader, about: StoredObject, span: tuple[int, int] | None) -> Response:
    start, end = span or (0, about.size)
    if span:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{about.size}"
    response.content_length = end - start
    if request.method != "HEAD":
        response.response = read(start, end - start)
        response.direct_passthrough = True
    return response
