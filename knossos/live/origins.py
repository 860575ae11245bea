"""Which pages may open a WebSocket: a pure rule.

A browser sends the cookies of this server along whatever page opens the socket, so the page's origin decides.
Programs that are no browsers send none.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from knossos.settings import Settings

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def may_connect(origin: str | None, host: str, settings: Settings) -> bool:
    """Say whether a page of ``origin`` may open a socket to us, who were called ``host`` (with or without a port).

    The port does not matter for our own name: without a proxy the pages come from the HTTP server's port.
    """
    if origin is None:
        return True
    page = _split(origin)
    if page is None or page.scheme not in ("http", "https"):
        return False
    own = _split(f"//{host}")
    if own is not None and own.hostname == page.hostname:
        return True
    return any(_same(page, allowed) for allowed in (settings.public_url, *settings.allowed_origins) if allowed)


def _same(page: SplitResult, allowed: str) -> bool:
    other = _split(allowed)
    return other is not None and _place(other) == _place(page)


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _split(address: str) -> SplitResult | None:
    """Take an address apart; None when it is none (``urlsplit`` raises on some)."""
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None
