"""Which addresses a request may go to: pure decisions about URLs and IP addresses, and the checked resolution of names.

Owns the rule "public addresses only, except the networks that the operator has allowed"; opens no connection.
`check_url` is quick and asks no name server, for use where a URL comes in; it cannot know where a name leads. The rule
is therefore held again by `resolve` at every single connection, whose answers are the only addresses that
`knossos.outgoing.connections` connects to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests_hardened.ip_filter import EXTRA_BLOCKED_NET_RANGES
from urllib3.util import parse_url

from knossos.outgoing.errors import AddressRefused, UnreachableHost

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Family, type, protocol and socket address, as a socket needs them.
Target = tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]

#: The only block from which public IPv6 addresses are given out.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: NAT64 prefix: the IPv4 address that is reached stands in the last 32 bits.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Addresses of one name that are tried.
MAX_ADDRESSES = 8

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_USERINFO = re.compile(r"//[^/?#]*@")


def without_password(url: str) -> str:
    """The URL for a message: without user name and password, and not longer than a line."""
    return _USERINFO.sub("//", url)[:500]


class Guard:
    """The rule, with the operator's exceptions (`networks`: CIDR blocks such as "10.0.0.0/8")."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(network) for network in networks)

    def allows(self, address: Address) -> bool:
        """Whether this address may be connected to."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks):
            inner = _ipv4_inside(address)
            return inner is None or self.allows(inner)
        return _is_public(address)

    def check_url(self, url: str) -> str:
        """Refuse what can be refused without asking a name server; return the URL as it will be requested.

        Raises:
            AddressRefused: not http or https, with a user name in it, broken, or its host is an address (in any
                spelling) or a local name that the rule does not allow, or a spelling that leads nowhere.
        """
        if _FORBIDDEN.search(url.strip()):
            raise refusal(url, "it has a backslash or a control character in it")
        try:
            prepared = requests.Request("GET", url.strip()).prepare().url or ""
            scheme = prepared[: prepared.index("://")]
            parsed = urlsplit(prepared)
            host = parsed.hostname
            # As it was written: requests drops a port of 0, and would ask the scheme's own port instead.
            port = parse_url(url.strip()).port if parsed.port is None else parsed.port
        except (requests.RequestException, ValueError) as error:
            raise refusal(url, "it is not a complete address such as https://example.org/file.7z") from error
        if scheme.lower() not in ("http", "https"):
            raise refusal(url, "only http and https are allowed")
        if "@" in parsed.netloc:
            raise refusal(url, "it has a user name or a password in it")
        if not host or " " in host:
            raise refusal(url, "it names no host")
        if "%" in host:
            raise refusal(url, "its host has a % in it, as no name and no address of the internet has")
        if port == 0:
            raise refusal(url, "it names port 0; expected a port from 1 to 65535")
        if host.endswith(".") and _literal(host.rstrip(".")) is not None:
            raise refusal(url, "its host is an IP address with a dot at its end")
        local = host.rstrip(".").lower()
        if local == "localhost" or local.endswith(".localhost"):
            if not self.allows(ipaddress.IPv4Address("127.0.0.1")) and not self.allows(ipaddress.IPv6Address("::1")):
                raise refusal(url, "its host is this server itself")
        elif (literal := _literal(host)) is not None and not self.allows(literal):
            raise refusal(url, "its address is not public")
        return prepared

    def resolve(self, host: str, port: int, url: str) -> list[Target]:
        """The addresses of `host`, each of them checked.

        One address that is not allowed spoils them all: a name with a public and a private address is what an
        attack looks like, not a download server.

        Raises:
            AddressRefused: an address is not allowed.
            UnreachableHost: the name has no address, or no name server answers.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnreachableHost(f"there is no host {host}", url=url) from error
        targets: list[Target] = []
        for family, kind, protocol, _, sockaddr in found:
            if family not in (socket.AF_INET, socket.AF_INET6) or not self.allows(_address(str(sockaddr[0]))):
                raise refusal(url, "its host leads to an address that is not public")
            targets.append((family, kind, protocol, sockaddr))
        return targets[:MAX_ADDRESSES]


def refusal(url: str, reason: str) -> AddressRefused:
    """The error for a URL that the guard does not let through."""
    shown = without_password(url)
    hint = "; the operator can allow it in ALLOWED_PRIVATE_NETWORKS" if "public" in reason or "itself" in reason else ""
    return AddressRefused(f"{shown} is refused: {reason}{hint}", url=shown, reason=reason)


def _address(text: str) -> Address:
    return ipaddress.ip_address(text)


def _literal(host: str) -> Address | None:
    """The address that `host` spells, read as a connection would read it: also `2130706433`, `0x7f.1` and `0177.1`."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return _address(str(found[0][4][0]))


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in EXTRA_BLOCKED_NET_RANGES)


def _ipv4_inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a gateway would pass this one on to (6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour
