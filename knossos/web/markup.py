"""A mod's description as HTML: the few BBCode tags that the mod managers know, line breaks, and links.

Pure functions. Everything that is not one of these tags is text and is escaped; only http and https addresses become
links; pictures become links too, because the pages load nothing from other servers. Tags that are not closed, or are
closed in the wrong order, are closed here, so the result is always whole. The time grows with the text and no faster.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

#: BBCode tags and the elements they become.
_ELEMENTS = {"b": "strong", "i": "em", "u": "u", "s": "s", "code": "code", "quote": "q", "url": "a"}
_ELEMENTS |= {f"h{level}": "strong" for level in range(1, 7)}

#: Tags that only say how something looks: their contents stay.
_IGNORED = frozenset({"center", "color", "font", "img", "indent", "left", "list", "right", "size", "ul", "ol", "li"})

#: Deepest nesting of elements; what is deeper stays plain.
MAX_DEPTH = 20

#: Characters of a text that are looked at for its beginning.
MAX_PLAIN_CHARS = 400

_NAMES = "|".join(sorted(_ELEMENTS | dict.fromkeys(_IGNORED, "")))
_TOKEN = re.compile(
    rf"\[(?P<close>/?)(?P<tag>{_NAMES})(?:=(?P<value>[^\]\n]{{0,2000}}))?\]"
    r"|(?P<item>\[\*\])"
    r"|(?P<address>\bhttps?://[^\s<>\"'\[\]]+)",
    re.IGNORECASE,
)
#: What ends a sentence rather than an address.
_AFTER_AN_ADDRESS = ".,;:!?)"

_BLANK_LINES = re.compile(r"\n{3,}")


def is_web_address(text: str) -> bool:
    return re.match(r"https?://[^\s/]", text, re.IGNORECASE) is not None


def outside_link(address: str, text: str | None = None) -> Markup:
    """A link that leads to another server, with nothing given away; plain text where it is no web address."""
    if not is_web_address(address):
        return escape(text or address)
    return Markup('<a href="{}" rel="nofollow noopener noreferrer">{}</a>').format(address, text or address)


def plain(text: str) -> str:
    """The beginning of a text of a modder in one line, without its tags."""
    return " ".join(_TOKEN.sub(_only_address, text[:MAX_PLAIN_CHARS]).split())


def _only_address(found: re.Match[str]) -> str:
    return found["address"] or ("\u2022" if found["item"] else "")


def markup(text: str) -> Markup:
    """A text of a modder as HTML for an element that keeps line breaks (``white-space: pre-line``)."""
    plain = _BLANK_LINES.sub("\n\n", text.replace("\r\n", "\n").replace("\r", "\n").strip())
    writer = _Writer()
    position = 0
    for found in _TOKEN.finditer(plain):
        writer.text(plain[position : found.start()])
        position = found.end()
        if found["item"]:
            writer.text("\u2022 ")
        elif found["address"]:
            position = found.start() + writer.address(found["address"])
        elif found["close"]:
            writer.close(found["tag"].lower())
        else:
            writer.open(found["tag"].lower(), found["value"])
    writer.text(plain[position:])
    return writer.finish()


class _Writer:
    def __init__(self) -> None:
        self._out: list[Markup] = []
        #: Open tags; those that became no element have "" in the second place.
        self._open: list[tuple[str, str]] = []

    def text(self, text: str) -> None:
        self._out.append(escape(text))

    def address(self, address: str) -> int:
        """Write an address, as a link unless it stands in one; return how much of it belongs to it."""
        own = address.rstrip(_AFTER_AN_ADDRESS)
        if any(element == "a" for _, element in self._open):
            self.text(own)
        else:
            self._out.append(outside_link(own))
        return len(own)

    def open(self, tag: str, value: str | None) -> None:
        if tag in _IGNORED:
            return
        element = _ELEMENTS[tag]
        if element == "a":
            # [url]address[/url]: the address in it becomes the link.
            target = (value or "").strip().strip("\"'")
            is_link = is_web_address(target) and not any(one == "a" for _, one in self._open)
            start = Markup('<a href="{}" rel="nofollow noopener noreferrer">').format(target)
        else:
            is_link, start = True, Markup("<{}>").format(element)
        if not is_link or len(self._open) >= MAX_DEPTH:
            element = ""
        else:
            self._out.append(start)
        if len(self._open) < MAX_DEPTH:
            self._open.append((tag, element))

    def close(self, tag: str) -> None:
        """Close the newest such tag, and what was opened in it; without one there is nothing to close."""
        if not any(one == tag for one, _ in self._open):
            return
        while self._open:
            one, element = self._open.pop()
            if element:
                self._out.append(Markup("</{}>").format(element))
            if one == tag:
                return

    def finish(self) -> Markup:
        while self._open:
            _, element = self._open.pop()
            if element:
                self._out.append(Markup("</{}>").format(element))
        return Markup("").join(self._out)
