"""Why a file could not be downloaded."""

from __future__ import annotations

from knossos.errors import KnossosError


class LinkFailed(KnossosError):
    """One link did not give the file this time. ``retry_after``: seconds the server asks to wait, or None."""

    code = "link_failed"
    retryable = True


class LinkRefused(LinkFailed):
    """One link will not give the file however often it is tried."""

    code = "link_refused"
    retryable = False


class DownloadFailed(KnossosError):
    """No link gave the file. ``file`` names it; ``links`` is a list of ``{"url", "reason", "code"}``, one for
    each link; the code is that of its last error."""

    code = "download_failed"


class NotEnoughSpace(KnossosError):
    """The file does not fit on this server's disk. ``needed`` and ``free`` are in bytes."""

    code = "not_enough_space"
