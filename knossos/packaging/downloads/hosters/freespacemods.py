"""freespacemods.net: `download.php?view.ID` describes a file and links to `request.php?ID`, which asks for a code.

The site runs e107: the form has a picture, hidden fields and one field for the code; the answer to the right code is
the file, or a redirect to it, and to a wrong one the form again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from knossos.outgoing import OutgoingHttp
from knossos.packaging.downloads.hosters.base import Ask, DirectLink, Visit, host_of
from knossos.packaging.downloads.hosters.html import Page

HOSTS = ("freespacemods.net", "www.freespacemods.net")

_PAGES = ("/download.php", "/request.php")
_REQUEST = re.compile(r"(?:^|/)request\.php\?(\d+)$")


class FreeSpaceMods:
    """The hoster freespacemods.net; `hosts` are those (with port) that serve it."""

    name = "freespacemods.net"

    def __init__(self, hosts: Sequence[str] = HOSTS) -> None:
        self._hosts = frozenset(hosts)

    def matches(self, url: str) -> bool:
        return host_of(url) in self._hosts and urlsplit(url).path.endswith(_PAGES)

    def resolve(self, url: str, http: OutgoingHttp, ask: Ask) -> DirectLink:
        visit = Visit(self.name, url, http, ask)
        found = visit.get(url)
        while isinstance(found, Page):
            if (form := found.captcha()) is not None:
                found = visit.answer(found, form)
            elif (address := _request(found)) is not None:
                found = visit.get(address)
            else:
                raise visit.refuse("there is no download link on the page")
        return found


def _request(page: Page) -> str | None:
    for link in page.links:
        if _REQUEST.search(link.get("href", "")):
            address = urljoin(page.url, link["href"])
            return address if address != page.url else None
    return None
