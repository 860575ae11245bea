"""Why the repository's files could not be brought up yet."""

from __future__ import annotations

from knossos.errors import KnossosError


class ChangeNotThere(KnossosError):
    """The transaction that announced ``change`` has not committed; perhaps it never will."""

    code = "change_not_there"
    retryable = True


class RepositoryBusy(KnossosError):
    """Another process of this machine is at the files, for longer than it was worth waiting."""

    code = "repository_busy"
    retryable = True
