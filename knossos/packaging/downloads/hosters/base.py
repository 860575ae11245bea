"""The small interface that all hosters have, and what they share: visiting a page, answering its captcha.

What always holds: a hoster's pages are read through the same guard as everything else, a page is at most
`MAX_PAGE_BYTES` long, and the user is asked at most `MAX_QUESTIONS` times for one file.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from knossos.outgoing import OutgoingError, OutgoingHttp, Reply
from knossos.packaging.downloads.errors import LinkFailed, LinkRefused
from knossos.packaging.downloads.hosters.html import Form, Page

MAX_PAGE_BYTES = 2 * 1024 * 1024
MAX_IMAGE_BYTES = 256 * 1024
MAX_QUESTIONS = 3
#: Pages that one file may lead through, captchas included.
MAX_PAGES = 8

#: Puts the question to the user and returns the answer. The question has `image`, the absolute URL of the picture,
#: and, where it could be fetched, `inline`: the picture itself as a data URL (the one that this visitor was shown).
Ask = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class DirectLink:
    """Where the file is. `opened`: the answer that already brings it, for hosters that answer a form with the file."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    opened: Reply | None = None


class Hoster(Protocol):
    """One file hoster."""

    name: str

    def matches(self, url: str) -> bool:
        """Whether this is a link to a page of this hoster; no for its direct links."""

    def resolve(self, url: str, http: OutgoingHttp, ask: Ask) -> DirectLink:
        """Find the file behind the page.

        Args:
            http: a visitor with cookies of its own, which will also fetch the direct link.
            ask: see `Ask`.
        Raises:
            LinkRefused: the file is gone, the page is not understood, or the captcha was not solved.
            LinkFailed: the hoster does not answer as it should just now.
            OutgoingError: the same, below HTTP.
        """


def host_of(url: str) -> str:
    """Host and port of a URL in lower case; "" where it has none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


class Visit:
    """One way through the pages of a hoster to one file."""

    def __init__(self, hoster: str, url: str, http: OutgoingHttp, ask: Ask) -> None:
        self._hoster = hoster
        self._url = url
        self._http = http
        self._ask = ask
        self._pages = 0
        self._questions = 0

    def get(self, url: str) -> Page | DirectLink:
        """The page at `url`, or, where it is none, the file that comes instead."""
        return self._read(self._http.open(url, headers={"Referer": self._url}))

    def answer(self, page: Page, form: Form) -> Page | DirectLink:
        """Show the form's picture to the user, send the form with the answer, and return what comes."""
        if self._questions >= MAX_QUESTIONS:
            raise self.refuse("the code was wrong too often")
        if not form.images or not form.text_field:
            raise self.refuse("its captcha has no picture that could be shown here")
        self._questions += 1
        image = urljoin(page.url, form.images[0])
        question: dict[str, Any] = {"image": image}
        if (inline := self._picture(image)) is not None:
            question["inline"] = inline
        code = self._ask(question).strip()
        fields = {**form.fields, form.text_field: code}
        return self._read(self._http.open(urljoin(page.url, form.action or page.url), form=fields))

    def refuse(self, reason: str) -> LinkRefused:
        """The error for a page that leads nowhere."""
        return LinkRefused(f"{self._url}: {self._hoster}: {reason}", url=self._url)

    def _read(self, reply: Reply) -> Page | DirectLink:
        self._pages += 1
        kind = reply.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if reply.status == 200 and kind not in ("text/html", "application/xhtml+xml"):
            return DirectLink(reply.url, opened=reply)
        with reply:
            if self._pages > MAX_PAGES:
                raise self.refuse("the pages lead in a circle")
            if reply.status in (404, 410):
                raise self.refuse("the file was removed")
            if reply.status != 200:
                raise LinkFailed(f"{self._url}: {self._hoster} answers {reply.status}", url=self._url)
            return Page(reply.url, reply.text(MAX_PAGE_BYTES))

    def _picture(self, image: str) -> str | None:
        try:
            with self._http.open(image) as reply:
                kind = reply.headers.get("Content-Type", "").split(";")[0].strip().lower()
                if reply.status != 200 or kind not in ("image/png", "image/jpeg", "image/gif", "image/webp"):
                    return None
                return f"data:{kind};base64,{base64.b64encode(reply.read(MAX_IMAGE_BYTES)).decode()}"
        except OutgoingError:
            return None  # the user's browser may still be able to show it
