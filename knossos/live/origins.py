"""Which pages may open a WebSocket: a pure rule.

A browser sends the cookies of this server along whatever page opens the socket, so the page's origin decides.
Programs that are no browsers send none.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from knossos.settings import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443}

#: Scheme, host and port.
Place = tuple[str, str | None, int | None]


def may_connect(origin: str | None, host: str, settings: Settings, scheme: str = "http") -> bool:
    """Say whether a page of ``origin`` may open a socket to us.

    Args:
        origin: as browsers send it; None for a program.
        host: what we were called, with or without a port.
        scheme: ``http``, or ``https`` for a socket that came encrypted, to us or to the proxy in front of us.
    """
    if origin is None:
        return True
    page = _split(origin)
    if page is None or page.scheme not in _DEFAULT_PORTS:
        return False
    return _place(page) in _allowed(host, settings, scheme)


def _allowed(host: str, settings: Settings, scheme: str) -> set[Place]:
    """Where pages may come from: what the settings name, this very address, and, where nothing stands in front of us
    and PUBLIC_URL does not say otherwise, the HTTP server beside us."""
    named = (settings.public_url, *settings.allowed_origins)
    places = {_place(parts) for address in named if address and (parts := _split(address))}
    own = _split(f"{scheme}://{host}")
    if own is not None:
        places.add(_place(own))
        if not settings.public_url and not settings.trusted_proxies:
            places.add((own.scheme, own.hostname, settings.api_listen[1]))
    return places


def _place(parts: SplitResult) -> Place:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _split(address: str) -> SplitResult | None:
    """Take an address apart; None when it is none (``urlsplit`` raises on some)."""
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None
