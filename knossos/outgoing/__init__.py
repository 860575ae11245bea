"""Requests to the outside: the one door through which downloads and webhooks leave this server.

Owns the guard that decides which addresses may be reached, the limits on how long and how much a server may answer,
and the typed errors. Does not know what is fetched or why. What always holds, for the first request and after every
redirect: the scheme is http or https, and the socket is connected to an address that was checked after the name had
been resolved, so a name that changes its answer gains nothing.
"""

from __future__ import annotations

from knossos.outgoing.errors import (
    AddressRefused,
    AnswerTooSlow,
    BadCertificate,
    BadRedirect,
    BrokenAnswer,
    OutgoingError,
    UnreachableHost,
)
from knossos.outgoing.guard import Guard
from knossos.outgoing.http import OutgoingHttp, Reply

__all__ = [
    "AddressRefused",
    "AnswerTooSlow",
    "BadCertificate",
    "BadRedirect",
    "BrokenAnswer",
    "Guard",
    "OutgoingError",
    "OutgoingHttp",
    "Reply",
    "UnreachableHost",
]
