"""Homes: a folder for each account, and the scripts that people run in theirs.

Owns how a path that somebody names becomes a file of their home (`paths.py`, `folders.py`), everything that is done
with files there (`home.py`, `opened.py`, `incoming.py`, `trees.py`, `zips.py`), what a look into one shows
(`previews/`), and sending a script to be run in one (`scripts.py`). Knows neither HTTP nor WebSockets.

What always holds: nothing outside of a home is opened, made, changed or removed, whatever paths and links say; a file
is there whole or not at all; a home holds no more than HOME_QUOTA_BYTES by what is done here.
"""

from knossos.homes.errors import (
    BadPath,
    HomeFull,
    HomesError,
    HomesMissing,
    IsFolder,
    LeavesHome,
    NoSuchPath,
    NotAFile,
    PathTaken,
)
from knossos.homes.home import Home
from knossos.homes.homes import Homes
from knossos.homes.opened import Entry, EntryKind, OpenedFile, OpenedFolder

__all__ = [
    "BadPath",
    "Entry",
    "EntryKind",
    "Home",
    "HomeFull",
    "Homes",
    "HomesError",
    "HomesMissing",
    "IsFolder",
    "LeavesHome",
    "NoSuchPath",
    "NotAFile",
    "OpenedFile",
    "OpenedFolder",
    "PathTaken",
]
