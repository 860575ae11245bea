"""MediaFire: a landing page with a download button, sometimes behind a captcha.

The button is `<a id="downloadButton" href="https://downloadN.mediafire.com/...">`; on newer pages its `href` is empty
or a script, and the address stands in `data-scrambled-url`, in Base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from knossos.outgoing import OutgoingHttp
from knossos.packaging.downloads.hosters.base import Ask, DirectLink, Visit, host_of
from knossos.packaging.downloads.hosters.html import Page

HOSTS = ("mediafire.com", "www.mediafire.com", "m.mediafire.com", "app.mediafire.com")


class MediaFire:
    """The hoster MediaFire; `hosts` are those (with port) that serve its landing pages."""

    name = "MediaFire"

    def __init__(self, hosts: Sequence[str] = HOSTS) -> None:
        self._hosts = frozenset(hosts)

    def matches(self, url: str) -> bool:
        return host_of(url) in self._hosts

    def resolve(self, url: str, http: OutgoingHttp, ask: Ask) -> DirectLink:
        visit = Visit(self.name, url, http, ask)
        found = visit.get(url)
        while isinstance(found, Page):
            if (address := _button(found)) is not None:
                return DirectLink(address, {"Referer": found.url})
            if urlsplit(found.url).path.endswith("/error.php"):
                raise visit.refuse("the file was removed, or is not public")
            form = found.captcha()
            if form is None:
                raise visit.refuse("there is no download button on the page")
            found = visit.answer(found, form)
        return found


def _button(page: Page) -> str | None:
    for link in page.links:
        if link.get("id", "").lower() != "downloadbutton":
            continue
        for address in (_unscramble(link.get("data-scrambled-url", "")), link.get("href", "")):
            full = urljoin(page.url, address) if address else ""
            if full.startswith(("http://", "https://")) and full.split("#")[0] != page.url:
                return full
    return None


def _unscramble(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
