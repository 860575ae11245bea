"""One home: what is in it, and everything that its owner does with it.

Each path is walked from the home's own folder, which is open (`folders.py`). What is put there is made beside the homes
first (`incoming.py`) and then gets its name, at once; what is removed is moved away first, at once as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence

from knossos.homes import paths, trees
from knossos.homes.errors import BadPath, HomeFull, HomesMissing, IsFolder, LeavesHome, NoSuchPath, PathTaken
from knossos.homes.folders import FOLDER, hand_over, look, make_usable, open_any, open_folder, opened
from knossos.homes.incoming import Incoming, Place
from knossos.homes.opened import OpenedFile, OpenedFolder
from knossos.homes.renaming import rename_new
from knossos.scripting.sandbox.usage import LEAST_BYTES

#: What the disk itself, or the user's quota on it, says when it is full.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Upload:
    """A file that arrives. It takes no more bytes than were announced."""

    def __init__(self, place: Place, size: int) -> None:
        self._place = place
        self._left = size

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise BadPath("There came more bytes than the request had announced.", errors=[])
        view = memoryview(data)
        while view:
            view = view[os.write(self._place.descriptor, view) :]

    def fill(self, move: Callable[[int, int], int]) -> None:
        """Have ``move`` write all of it: given the file's descriptor and how many bytes may come, it answers how many
        it has written."""
        self._left -= move(self._place.descriptor, self._left)

    @property
    def is_whole(self) -> bool:
        return self._left == 0


class Home:
    """A home that is open. Use as a context manager.

    Args:
        folder: a descriptor of it, which is closed at the end.
        removed: path of the folder beside the homes for what is being removed.
    """

    def __init__(self, folder: int, incoming: Incoming, removed: str) -> None:
        self._folder = folder
        self._incoming = incoming
        self._removed = removed

    def __enter__(self) -> Home:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._folder)

    @property
    def quota(self) -> int:
        """Bytes that it may hold."""
        return self._incoming.quota

    def used(self) -> int:
        """Bytes that it uses; counting ends once it is full."""
        return self._incoming.used()

    # --- look -------------------------------------------------------------------------------------

    def open(self, path: str) -> OpenedFile | OpenedFolder:
        """What is at a path.

        Raises:
            NoSuchPath, LeavesHome, BadPath, NotAFile
        """
        parts = paths.parts_of(path)
        if not parts:
            return OpenedFolder(os.open(".", FOLDER, dir_fd=self._folder))
        with opened(self._folder, parts[:-1]) as folder:
            descriptor = open_any(folder, parts[-1])
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        return OpenedFolder(descriptor) if is_folder else OpenedFile(descriptor, parts[-1])

    # --- change -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def receive(self, path: str, size: int, *, replace: bool = True, exactly: bool = True) -> Iterator[Upload]:
        """Take a file of so many bytes. Where the block ends well and all have come, it is there, and replaces a file
        that was, if it may; else nothing has happened.

        Args:
            exactly: False where ``size`` is the most that may come, and the caller knows when all has.

        Raises:
            HomeFull, PathTaken, IsFolder, NoSuchPath, LeavesHome, BadPath
        """
        parts = self._parts_below(path)
        with opened(self._folder, parts[:-1]) as folder:
            self._check_target(folder, parts[-1], replace=replace)
        with _disk_errors(), self._incoming.place(size) as place:
            upload = Upload(place, size)
            yield upload
            if exactly and not upload.is_whole:
                raise BadPath("There came fewer bytes than the request had announced.", errors=[])
            # Looked for again: it may have taken hours.
            with self._changing(parts[:-1]) as folder:
                self._check_target(folder, parts[-1], replace=replace)
                if not replace:
                    _put(place.name, place.folder, parts[-1], folder)
                    return
                try:
                    os.rename(place.name, parts[-1], src_dir_fd=place.folder, dst_dir_fd=folder)
                except IsADirectoryError as error:
                    raise _is_folder() from error

    def make_folder(self, path: str, name: str) -> None:
        """Make a folder in the folder at a path.

        Raises:
            PathTaken, HomeFull, NoSuchPath, LeavesHome, BadPath
        """
        name = paths.plain_name(name)
        parts = paths.parts_of(path)
        with (
            _disk_errors(),
            self._changing(parts) as folder,
            self._incoming.place(LEAST_BYTES, is_folder=True) as place,
        ):
            os.fchmod(place.descriptor, 0o755)
            _put(place.name, place.folder, name, folder)

    def move(self, path: str, to: str) -> None:
        """Give a file, a folder or a link another path; where there is a folder, it goes into that under its name.

        Raises:
            PathTaken, NoSuchPath, LeavesHome, BadPath
        """
        parts = self._parts_below(path)
        with _disk_errors(), self._changing(parts[:-1]) as source:
            about = self._existing(source, parts[-1])
            with self._target(parts, to) as (folder, name):
                if stat.S_ISDIR(about.st_mode):
                    make_usable(source, parts[-1])
                _put(parts[-1], source, name, folder)

    def copy(self, path: str, to: str) -> None:
        """Copy a file, a folder with all it holds, or a link, as `move` moves it. It is there whole, at once.

        Raises:
            PathTaken, HomeFull, NoSuchPath, LeavesHome, BadPath
        """
        parts = self._parts_below(path)
        with _disk_errors(), opened(self._folder, parts[:-1]) as source:
            self._existing(source, parts[-1])
            with self._target(parts, to, copies=True) as (folder, name):
                if look(folder, name) is not None:
                    raise _taken(to)
                size = trees.size_of(source, parts[-1])
                with self._incoming.place(size, is_folder=True) as place:
                    trees.copy_tree(source, parts[-1], place.descriptor, "copy", size)
                    _put("copy", place.descriptor, name, folder)

    def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with all it holds.

        Raises:
            NoSuchPath, LeavesHome, BadPath
        """
        parts = self._parts_below(path)
        os.makedirs(self._removed, 0o700, exist_ok=True)
        removed = os.open(self._removed, FOLDER)
        try:
            name = f"{secrets.token_hex(8)}.0"
            with _disk_errors(), self._changing(parts[:-1]) as folder:
                if stat.S_ISDIR(self._existing(folder, parts[-1]).st_mode):
                    make_usable(folder, parts[-1])
                os.rename(parts[-1], name, src_dir_fd=folder, dst_dir_fd=removed)
            # Out of the home it is; what a script that works in there still makes goes with the daily clean-up.
            with contextlib.suppress(OSError):
                trees.remove_tree(removed, name)
        finally:
            os.close(removed)

    # --- paths ------------------------------------------------------------------------------------

    def _parts_below(self, path: str) -> tuple[str, ...]:
        parts = paths.parts_of(path)
        if not parts:
            raise BadPath("That cannot be done with the home itself.", errors=[{"path": "path", "message": "is home"}])
        return parts

    @contextlib.contextmanager
    def _changing(self, parts: Sequence[str]) -> Iterator[int]:
        """A folder in which something is to be changed."""
        with opened(self._folder, parts) as folder:
            mode = stat.S_IMODE(os.fstat(folder).st_mode)
            if mode & 0o700 != 0o700:
                os.fchmod(folder, mode & 0o777 | 0o700)
            yield folder

    def _existing(self, folder: int, name: str) -> os.stat_result:
        about = look(folder, name)
        if about is None:
            raise NoSuchPath("There is nothing at this path.")
        return about

    @contextlib.contextmanager
    def _target(self, source: Sequence[str], to: str, *, copies: bool = False) -> Iterator[tuple[int, str]]:
        """The folder and the name that ``to`` means for what is at ``source``."""
        parts = paths.parts_of(to)
        if parts:
            with opened(self._folder, parts[:-1]) as folder:
                about = look(folder, parts[-1])
        if not parts or (about is not None and stat.S_ISDIR(about.st_mode)):
            parts = (*parts, source[-1])
        else:
            paths.plain_name(parts[-1])
        if not copies and tuple(source) == parts[: len(source)] and len(parts) > len(source):
            raise BadPath("A folder cannot go into itself.", errors=[{"path": "to", "message": "is in the folder"}])
        with self._changing(parts[:-1]) as folder:
            yield folder, parts[-1]

    def _check_target(self, folder: int, name: str, *, replace: bool) -> None:
        about = look(folder, name)
        if about is None:
            paths.plain_name(name)
        if about is not None and stat.S_ISLNK(about.st_mode):
            raise LeavesHome("This path is a symbolic link, and links are not followed.")
        if about is not None and stat.S_ISDIR(about.st_mode):
            raise _is_folder()
        if about is not None and not replace:
            raise _taken(name)


def open_home(root: str, name: str) -> int:
    """A descriptor of a home in the folder of the homes. It is made where there is none.

    Raises:
        HomesMissing: it cannot be used.
    """
    try:
        folder = os.open(root, FOLDER)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            descriptor = open_folder(folder, name)  # opens also what a script has shut
        finally:
            os.close(folder)
    except (OSError, LeavesHome, NoSuchPath) as error:
        raise HomesMissing(
            "The home cannot be used: it is no folder that this server may open.", needed="homes"
        ) from error
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
        hand_over(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise HomesMissing(f"The home cannot be used: {error.strerror}.", needed="homes") from error
    return descriptor


def _put(name: str, folder: int, new_name: str, target: int) -> None:
    try:
        rename_new(name, new_name, folder, target)
    except FileExistsError as error:
        raise _taken(new_name) from error
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise BadPath("A folder cannot go into itself.", errors=[]) from error
        raise


def _taken(path: str) -> PathTaken:
    return PathTaken(
        f"There is something at {paths.shown(path)[:200]} already. Remove it first, or choose another name."
    )


def _is_folder() -> IsFolder:
    return IsFolder("A folder is at this path already.")


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """What the disk says, as what it means here: it is full, or what was there a moment ago is gone."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchPath("There is nothing at this path.") from error
    except OSError as error:
        if error.errno in _FULL:
            raise HomeFull("The server's disk is full.") from error
        raise
