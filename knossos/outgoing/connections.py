"""Connections that only ever go to checked addresses: the place where the guard cannot be walked around.

Owns how a socket is opened for urllib3 and how a `Pace` gets to it. The name in the URL stays the name of the
connection, so TLS server names, certificate checks and the Host header are the ordinary ones; only the step from the
name to a connected socket is ours.
"""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from knossos.outgoing.errors import UnreachableHost
from knossos.outgoing.guard import Guard, Target
from knossos.outgoing.pace import PacedSocket, PacedTLSSocket, current_pace


def connect(targets: list[Target], timeout_seconds: float, options: Any = ()) -> socket.socket:
    """Connect to the first of `targets` that answers; together they get `timeout_seconds`. Raises OSError."""
    deadline = time.monotonic() + timeout_seconds
    problem: OSError = OSError("no address")
    for index, (family, kind, protocol, sockaddr) in enumerate(targets):
        share = (deadline - time.monotonic()) / (len(targets) - index)
        connection = None
        try:
            connection = PacedSocket(family, kind, protocol)
            for option in options:
                connection.setsockopt(*option)
            connection.settimeout(max(share, 0.1))
            connection.connect(sockaddr)
            return connection
        except OSError as error:
            problem = error
            if connection is not None:
                connection.close()
    raise problem


class _Guarded(HTTPConnection):
    """What plain and TLS connections share. `guard` is the rule that holds for them."""

    def __init__(self, *args: Any, guard: Guard, **options: Any) -> None:
        self._guard = guard
        super().__init__(*args, **options)

    def _new_conn(self) -> socket.socket:
        scheme = "https" if isinstance(self, HTTPSConnection) else "http"
        host = f"[{self._dns_host}]" if ":" in self._dns_host else self._dns_host
        url = f"{scheme}://{host}:{self.port}/"
        targets = self._guard.resolve(self._dns_host, self.port, url)
        timeout = self.timeout if isinstance(self.timeout, int | float) else 15.0
        try:
            return connect(targets, timeout, self.socket_options or ())
        except OSError as error:
            reason = "it takes too long" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise UnreachableHost(f"no connection to {host}:{self.port} can be made: {reason}", url=url) from error

    def getresponse(self) -> Any:
        pace = current_pace.get()
        if self.sock is not None:
            cast(PacedSocket, self.sock).pace = pace
        response = super().getresponse()
        if pace is not None:
            pace.head_is_complete()
        return response


class GuardedHTTPConnection(_Guarded):
    """A guarded connection without TLS."""


class GuardedHTTPSConnection(_Guarded, HTTPSConnection):
    """A guarded connection with TLS."""


class GuardedHTTPPool(HTTPConnectionPool):
    """Connections to one host."""

    ConnectionCls = GuardedHTTPConnection


class GuardedHTTPSPool(HTTPSConnectionPool):
    """TLS connections to one host."""

    ConnectionCls = GuardedHTTPSConnection


class GuardedAdapter(HTTPAdapter):
    """The adapter that a session mounts for http and https. No proxies: one would resolve names on its own."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__(pool_connections=32, pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": cast(type[HTTPConnectionPool], partial(GuardedHTTPPool, guard=self._guard)),
            "https": cast(type[HTTPConnectionPool], self._https_pool),
        }

    def _https_pool(self, *args: Any, **options: Any) -> HTTPSConnectionPool:
        context = create_urllib3_context()
        context.sslsocket_class = PacedTLSSocket
        return GuardedHTTPSPool(*args, guard=self._guard, ssl_context=context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        raise NotImplementedError("guarded requests never go through a proxy")
