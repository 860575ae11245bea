"""What can be wrong with a path in a home, and with what is to be done there. Texts name the path as it was sent."""

from __future__ import annotations

from knossos.errors import AccessDenied, InvalidInput, KnossosError, MissingDependency, NotFound


class HomesError(KnossosError):
    """Root of what homes refuse and no other error says."""


class BadPath(InvalidInput):
    """It is no path that a file could have, or one for which that cannot be done."""

    code = "bad_path"


class LeavesHome(AccessDenied):
    """The path leads, or may lead, out of the home: through ``..`` or a link."""

    code = "leaves_home"


class NoSuchPath(NotFound):
    """There is nothing at this path."""

    code = "no_such_path"


class NotAFile(AccessDenied):
    """It is neither a file nor a folder: a pipe, a socket."""

    code = "not_a_file"


class PathTaken(HomesError):
    """There is something at this path already."""

    code = "path_taken"


class IsFolder(HomesError):
    """A folder is where a file should be put."""

    code = "is_folder"


class HomeFull(HomesError):
    """The home may not hold so much: ``quota`` bytes, ``used`` of them are."""

    code = "home_full"


class HomesMissing(MissingDependency):
    """The folder of the homes, or one of them, cannot be used: a disk is missing, full, or read-only."""

    code = "homes_missing"
