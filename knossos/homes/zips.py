"""A folder of a home, or some of what is in it, as a zip that is made while it is read: of any size, without a
temporary file.

It is walked as all paths are (`folders.py`), so whatever a script links or renames meanwhile, what is read lay in the
home. Links, pipes and sockets are left out, and what vanishes before its turn. Whatever else goes wrong ends the
stream before the zip's end, so that nobody takes a part for all of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from knossos.homes.errors import BadPath, HomesError, LeavesHome, NoSuchPath, NotAFile
from knossos.homes.folders import look, open_any
from knossos.homes.opened import OpenedFile
from knossos.homes.paths import MAX_PARTS, shown

if TYPE_CHECKING:
    from stream_zip import MemberFile

#: How hard deflate tries: the level that is as quick as most lines.
_LEVEL = 1
#: What is small already is only stored.
_PACKED = frozenset((".7z", ".bz2", ".gz", ".npz", ".rar", ".tgz", ".whl", ".xz", ".zip", ".zst"))
_MEDIA = frozenset((".flac", ".gif", ".jpeg", ".jpg", ".m4a", ".mkv", ".mp3", ".mp4", ".ogg", ".png", ".webm", ".webp"))
_COMPRESSED = _PACKED | _MEDIA | frozenset((".docx", ".odt", ".pptx", ".xlsx"))
#: Times that a zip can tell.
_EARLIEST, _LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2038, 1, 19, tzinfo=UTC)


class TornFile(HomesError):
    """A file became shorter while it was read."""

    code = "torn_file"


def zip_of(folder: int, names: Sequence[str]) -> Iterator[bytes]:
    """A zip with these entries of a folder, in pieces.

    Args:
        folder: a descriptor, which must stay open until the end.
        names: of entries of it, as they are.

    Raises:
        NoSuchPath: one of the names is not there now.
        TornFile, BadPath, OSError: while the pieces are read.
    """
    for name in names:
        if look(folder, name) is None:
            raise NoSuchPath(f"There is nothing called {shown(name)[:200]} here.")
    return _pieces(folder, names)


def _pieces(folder: int, names: Sequence[str]) -> Iterator[bytes]:
    from stream_zip import stream_zip  # loads a library of ciphers

    yield from stream_zip(_members(folder, names, "", 1))


def _members(folder: int, names: Sequence[str], above: str, depth: int) -> Iterator[MemberFile]:
    """What goes into the zip, each opened when its turn has come, and closed after it."""
    if depth > MAX_PARTS:
        raise BadPath(f"Folders more than {MAX_PARTS} deep do not go into a zip.", errors=[])
    is_empty = True
    for name, path in _member_names(names):
        try:
            descriptor = open_any(folder, name)
        except (NoSuchPath, LeavesHome, NotAFile):
            continue
        is_empty = False
        try:
            about = os.fstat(descriptor)
            if stat.S_ISDIR(about.st_mode):
                yield from _members(descriptor, sorted(os.listdir(descriptor)), f"{above}{path}/", depth + 1)
            else:
                yield _file(above + path, about, OpenedFile(descriptor, name))
        finally:
            os.close(descriptor)
    if is_empty and above:
        yield _empty_folder(above, os.fstat(folder))


def _empty_folder(path: str, about: os.stat_result) -> MemberFile:
    from stream_zip import NO_COMPRESSION_64  # the other one has no room beyond 4 GiB

    return path, _time(about.st_mtime), stat.S_IFDIR | stat.S_IMODE(about.st_mode) & 0o777, NO_COMPRESSION_64, ()


def _file(path: str, about: os.stat_result, file: OpenedFile) -> MemberFile:
    from stream_zip import ZIP_AUTO

    level = 0 if os.path.splitext(path)[1].lower() in _COMPRESSED else _LEVEL
    mode = stat.S_IFREG | stat.S_IMODE(about.st_mode) & 0o777
    return path, _time(about.st_mtime), mode, ZIP_AUTO(file.size, level=level), _whole(file)


def _whole(file: OpenedFile) -> Iterator[bytes]:
    """As many bytes as the file had when it was opened: one that grows would never end."""
    left = file.size
    for data in file.read(0, file.size):
        left -= len(data)
        yield data
    if left:
        raise TornFile(f"{shown(file.name)[:200]} became shorter while it was read.")


def _member_names(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names as they are, and as the zip has them: texts that lead nowhere whichever system unpacks it, no two alike."""
    taken = set(names)
    for name in names:
        found = shown(name).replace("\\", "_")
        if found != name:
            stem, suffix = os.path.splitext(found)
            number = 2
            while found in taken:
                found = f"{stem} ({number}){suffix}"
                number += 1
            taken.add(found)
        yield name, found


def _time(seconds: float) -> datetime:
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        found = _EARLIEST if seconds < 0 else _LATEST
    return min(max(found, _EARLIEST), _LATEST)
