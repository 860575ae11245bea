"""Public addresses of this server, its mirror and its WebSockets, worked out from the settings and a request.

Pure functions: they take the scheme and host that the browser used (behind trusted proxies Flask has already
put the forwarded ones there) and return addresses without a slash at their end.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from knossos.settings import Settings

#: Where this server itself serves the mirror folder.
MIRROR_ROUTE = "/mirror"

_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def is_plain_host(host: str) -> bool:
    """Whether a Host header is a name or an address with an optional port, and nothing that could break out."""
    return _HOST.fullmatch(host) is not None


def public_base(settings: Settings, scheme: str, host: str) -> str:
    return settings.public_url or f"{scheme}://{host}"


def mirror_base(settings: Settings, scheme: str, host: str) -> str:
    """The absolute address of the mirror folder, for links in results and answers."""
    return settings.mirror_url or public_base(settings, scheme, host) + MIRROR_ROUTE


def websocket_base(settings: Settings, scheme: str, host: str) -> str:
    """The WebSocket server's address: WS_URL, else the same host behind a proxy, else the port of WS_LISTEN."""
    if settings.ws_url:
        return re.sub(r"^http", "ws", settings.ws_url)
    websocket_scheme = "wss" if scheme == "https" else "ws"
    if settings.trusted_proxies:
        return f"{websocket_scheme}://{host}"
    name = urlsplit(f"//{host}").hostname or "127.0.0.1"
    if ":" in name:
        name = f"[{name}]"
    return f"{websocket_scheme}://{name}:{settings.ws_listen[1]}"


def origin_of(address: str) -> str:
    """The scheme, host and port of an address, as browsers write an origin."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
