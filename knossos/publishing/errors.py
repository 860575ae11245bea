"""What publishing refuses. The clients' protocol knows a refusal by one word, ``reason``; the text is for people."""

from __future__ import annotations

from typing import Any

from knossos.errors import InvalidInput, NotFound


class Refused(InvalidInput):
    """A request that breaks a rule of publishing.

    ``reason`` is the protocol's word for it, ``extra`` the further fields of the
    answer that the protocol asks for, such as ``{"archive": <sha256>}``; ``errors`` are all problems with their paths.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        extra: dict[str, Any] | None = None,
        errors: list[dict[str, str]] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, reason=reason, extra=extra or {}, errors=errors or [], **details)


class NoSuchMod(NotFound):
    """There is no such mod, or the caller may not know that there is. ``mod_id``."""

    code = "no_such_mod"


class NoSuchRelease(NotFound):
    """The mod has no such release, or the caller may not know of it. ``mod_id``, ``version``."""

    code = "no_such_release"


class NoSuchUpload(NotFound):
    """There is no such upload of this account. ``upload`` is the SHA-256 it was started with."""

    code = "no_such_upload"
