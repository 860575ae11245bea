"""Who may read the figures: programs on this machine, and whoever has METRICS_TOKEN."""

from __future__ import annotations

import hmac
import ipaddress

from knossos.settings import Settings


def may_read_figures(settings: Settings, *, address: str, forwarded: bool, authorization: str) -> bool:
    """Whether a request for /metrics is answered.

    Args:
        address: whom the connection is from, as no header says it; "" for a Unix socket.
        forwarded: whether a proxy says that it asks for somebody else: then the address is the proxy's.
        authorization: the header of that name; METRICS_TOKEN is in it as "Bearer ...".
    """
    scheme, _, given = authorization.partition(" ")
    if settings.metrics_token and scheme.lower() == "bearer":
        return hmac.compare_digest(given.strip().encode(), settings.metrics_token.encode())
    if forwarded:
        return False
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
