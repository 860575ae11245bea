"""Box: the page of a shared link, `https://app.box.com/s/<shared name>`, whose scripts name the file.

The page sets `Box.postStreamData` to a JSON object that describes the shared item, and `Box.config` with a
`requestToken` that only Box's own scripts need. The file itself is at a fixed address made of the shared name and the
item's number, and needs the cookies that the page has set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from knossos.outgoing import OutgoingHttp
from knossos.packaging.downloads.hosters.base import Ask, DirectLink, Visit, host_of
from knossos.packaging.downloads.hosters.html import Page

HOSTS = ("box.com", "box.net")

_SHARED = re.compile(r"^/s/([A-Za-z0-9]+)(?:/file/(\d+))?/?$")
_STREAM_DATA = re.compile(r"Box\.postStreamData\s*=\s*")


class Box:
    """The hoster Box; `hosts` (with port) are those that serve its pages, sub-domains included."""

    name = "Box"

    def __init__(self, hosts: Sequence[str] = HOSTS) -> None:
        self._hosts = tuple(hosts)

    def matches(self, url: str) -> bool:
        host = host_of(url)
        ours = any(host == known or host.endswith("." + known) for known in self._hosts)
        return ours and _SHARED.match(urlsplit(url).path) is not None

    def resolve(self, url: str, http: OutgoingHttp, ask: Ask) -> DirectLink:
        visit = Visit(self.name, url, http, ask)
        found = visit.get(url)
        if not isinstance(found, Page):
            return found
        shared = _SHARED.match(urlsplit(url).path)
        name = shared[1] if shared else ""
        number = (shared[2] if shared else None) or _file_number(found)
        if number is None:
            raise visit.refuse("the page names no file: it was removed, needs a password, or is a folder")
        query = urlencode({"rm": "box_download_shared_file", "shared_name": name, "file_id": f"f_{number}"})
        return DirectLink(urljoin(found.url, f"/index.php?{query}"), {"Referer": found.url})


def _file_number(page: Page) -> str | None:
    for script in page.scripts:
        for start in _STREAM_DATA.finditer(script):
            try:
                data, _ = json.JSONDecoder().raw_decode(script, start.end())
            except ValueError:
                continue
            for item in _objects(data):
                typed = str(item.get("typedID", ""))
                if typed.startswith("f_") and typed[2:].isdigit():
                    return typed[2:]
                if item.get("itemType") == "file" and str(item.get("itemID", "")).isdigit():
                    return str(item["itemID"])
    return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
