"""What a directory listing of a web server holds: Apache's and nginx's HTML pages, and nginx's JSON. Pure.

Only what lies below the listing itself is returned: links to parent folders, other hosts and sort orders are not.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin, urlsplit

from knossos.errors import InvalidInput


@dataclass(frozen=True)
class ListingEntry:
    name: str
    url: str
    is_folder: bool


def read_listing(url: str, content_type: str, text: str) -> list[ListingEntry]:
    """The entries of the listing at ``url``, in its order, each once.

    Raises:
        InvalidInput: the JSON is none that nginx writes.
    """
    base = url if urlsplit(url).path.endswith("/") else f"{url}/"
    found = _from_json(base, text) if "json" in content_type or text.lstrip()[:1] == "[" else _from_html(base, text)
    return list({entry.url: entry for entry in found}.values())


def _from_json(base: str, text: str) -> list[ListingEntry]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{base}: expected a listing as nginx writes it: {error}") from error
    if not isinstance(items, list):
        raise InvalidInput(f"{base}: expected a list, as nginx writes it")
    found = []
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and _is_name(name):
            folder = item.get("type") == "directory"
            found.append(ListingEntry(name, urljoin(base, quote(name) + ("/" if folder else "")), folder))
    return found


def _from_html(base: str, text: str) -> list[ListingEntry]:
    links = _Links()
    with contextlib.suppress(AssertionError):  # Python's parser gives up so at a broken declaration
        links.feed(text)
        links.close()
    origin = urlsplit(base)
    found = []
    for link in links.found:
        try:
            target = urlsplit(urljoin(base, link.strip()))
        except ValueError:
            continue
        if (target.scheme, target.netloc) != (origin.scheme, origin.netloc) or target.query:
            continue
        below = target.path.removeprefix(origin.path)
        folder = below.endswith("/")
        name = unquote(below.removesuffix("/"))
        if target.path.startswith(origin.path) and _is_name(name):
            found.append(ListingEntry(name, target._replace(fragment="").geturl(), folder))
    return found


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\\" not in name and name.isprintable()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]
