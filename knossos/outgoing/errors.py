"""What can go wrong with a request to the outside. Each names its `url` (never with a password in it).

`retryable` says whether the same request may succeed later; the job engine honours it too.
"""

from __future__ import annotations

from knossos.errors import KnossosError


class OutgoingError(KnossosError):
    """A request to the outside failed. ``url`` is where it went."""

    code = "outgoing_failed"
    retryable = True


class AddressRefused(OutgoingError):
    """The guard does not let requests go there. ``reason`` says why in a few words."""

    code = "address_refused"
    retryable = False


class UnreachableHost(OutgoingError):
    """The host has no address, or no connection to it could be made."""

    code = "unreachable"


class BadCertificate(OutgoingError):
    """The server's TLS certificate is not valid for this host, or the handshake failed."""

    code = "bad_certificate"
    retryable = False


class BadRedirect(OutgoingError):
    """The server redirects too often, or to something that is no address."""

    code = "bad_redirect"
    retryable = False


class AnswerTooSlow(OutgoingError):
    """The server accepted the request and then sent nothing, or too little."""

    code = "too_slow"


class BrokenAnswer(OutgoingError):
    """The connection broke, or what came is not HTTP or breaks a limit."""

    code = "broken_answer"
