"""Links in a description: complete http or https URLs, nothing else.

Whether the address behind one may be reached is decided when it is fetched, not here.
"""

from __future__ import annotations

from urllib.parse import urlsplit

#: Longest link in characters.
MAX_LINK_CHARS = 4000


def web_link(text: str) -> str:
    """A complete http(s) URL, without the blanks around it. Raises ``ValueError`` that says what was expected."""
    link = text.strip()
    expected = 'expected a complete link such as "https://example.org/mod.7z"'
    if not link:
        raise ValueError(f"{expected}, but it is empty")
    if len(link) > MAX_LINK_CHARS:
        raise ValueError(f"expected a link of at most {MAX_LINK_CHARS} characters")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in link):
        raise ValueError(f"{expected}, without control characters")
    try:
        parts = urlsplit(link)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError(f"{expected}; only http and https are allowed")
    if not host or " " in parts.netloc or "\\" in parts.netloc:
        raise ValueError(f"{expected}; the host is missing or broken")
    return link
