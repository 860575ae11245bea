"""The picture of a hoster's question, fetched by this server through the guard and passed on.

A visitor's browser speaks to this server only, so the picture takes this way. Only small raster images pass, told
by their first bytes and not by what the hoster claims.
"""

from __future__ import annotations

import base64
import binascii
import re

from knossos.errors import NotFound
from knossos.jobs import Event
from knossos.outgoing import BrokenAnswer, OutgoingHttp

MAX_BYTES = 1024 * 1024

_KINDS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,", re.ASCII)


def image_address(events: list[Event]) -> str:
    """Where the picture of the open question is. Raises NotFound where no question is open.

    The one that came with the question is preferred: many hosters draw another code for each request.
    """
    for event in reversed(events):
        if event.type == "question":
            details = event.data.get("data") or {}
            for address in (details.get("inline"), details.get("image")):
                if isinstance(address, str) and address:
                    return address
    raise NotFound("no question is open")


def fetch_image(http: OutgoingHttp, address: str) -> tuple[bytes, str]:
    """The picture and its MIME type.

    Raises:
        OutgoingError: it could not be fetched, or is no picture of a kind that browsers show safely.
    """
    data = _embedded(address) if address.startswith("data:") else _fetched(http, address)
    for first_bytes, kind in _KINDS:
        if first_bytes.match(data):
            return data, kind
    raise BrokenAnswer("the hoster sent something that is no picture")


def _fetched(http: OutgoingHttp, address: str) -> bytes:
    with http.open(address) as reply:
        if reply.status != 200:
            raise BrokenAnswer(f"the hoster answered {reply.status} instead of a picture")
        return reply.read(MAX_BYTES)


def _embedded(address: str) -> bytes:
    found = _DATA_URL.match(address)
    try:
        return base64.b64decode(address[found.end() :], validate=True) if found else b""
    except binascii.Error:
        return b""
