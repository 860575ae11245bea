"""The mirror: the public folder in which packaged archives are kept, and the links under which they are found.

Owns names and places in it. What always holds: a file is complete the moment it can be seen, and never changes after
that; a name that is taken is taken, the newcomer gets a number in front (``1_name.7z``) unless it is the same file;
a failure removes only what it has added itself; nothing outside of the folder is read or written, whatever a link or
a symlink says. Additions happen under one lock, so that nobody builds on a file that is about to be removed again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from knossos.errors import KnossosError
from knossos.packaging.description import Mod
from knossos.packaging.mirror_index import MirrorIndex

#: Folder of the archives of requests that hold several mods.
GENERAL = "general"
#: Mode of a mirrored file: the web server may run as another user.
FILE_MODE = 0o644
#: Numbers that are tried in front of a taken name.
MAX_NUMBER = 10_000
#: Seconds between two tries to get the lock.
LOCK_PAUSE = 0.02
#: Bytes copied at once where a file cannot be linked.
COPY_BYTES = 4 * 1024 * 1024

#: Why linking may fail although copying works: another file system, no links there, too many, or not ours to link.
_COPY_INSTEAD = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)


class MirrorLinkInvalid(KnossosError):
    """A link into the mirror names no file of it. ``link`` is the link."""

    code = "mirror_link_invalid"


class MirrorFailed(KnossosError):
    """A file cannot be stored in the mirror. ``path`` is its place there."""

    code = "mirror_failed"


class Mirror:
    """The mirror at a folder of this machine, public at a URL.

    Args:
        root: the folder; made when the first file is stored.
        url: its public address.
        index: what is known of its files.
    """

    def __init__(self, root: Path, url: str, index: MirrorIndex) -> None:
        self.root = root
        self.url = url.rstrip("/")
        self.index = index

    def owns(self, link: str) -> bool:
        """Whether a link leads into this mirror."""
        return link.startswith(f"{self.url}/")

    def link(self, path: str) -> str:
        """The public link of a path in the mirror."""
        return f"{self.url}/{quote(path)}"

    def locate(self, link: str) -> str:
        """The path in the mirror of the file a link leads to.

        Raises:
            MirrorLinkInvalid: it leads out of the mirror, or to nothing that is a file.
        """
        tail = unquote(re.split(r"[?#]", link.removeprefix(f"{self.url}/"), maxsplit=1)[0])
        parts = tail.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            raise MirrorLinkInvalid(f"{link}: this is no file of the mirror", link=link)
        found = self.file(tail)
        if found is None:
            raise MirrorLinkInvalid(f"{link}: there is no such file in the mirror (any more)", link=link)
        return tail

    def file(self, path: str) -> Path | None:
        """The file at a path in the mirror, if it is there, plain, and inside of it."""
        try:
            found = (self.root / path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        return found if found.is_relative_to(self.root.resolve()) and found.is_file() else None

    @contextmanager
    def additions(self, check: Callable[[], None]) -> Iterator[Additions]:
        """Add files: all of them stay when the block ends well, none when it does not."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(descriptor, check)
            added = Additions(self, check)
            try:
                yield added
            except BaseException:
                added.undo()
                raise
        finally:
            os.close(descriptor)


class Additions:
    """Files that are being added to a mirror, while its lock is held."""

    def __init__(self, mirror: Mirror, check: Callable[[], None]) -> None:
        self._mirror = mirror
        self._check = check
        self._files: list[Path] = []
        self._folders: list[Path] = []

    def add(self, source: Path, folder: str, name: str, *, sha256: str, md5: str) -> str:
        """Store a file, and answer its path in the mirror.

        Args:
            source: the complete file; it is linked where that is possible and copied otherwise.
            folder: the folder in the mirror, ``name`` the wanted name in it.
            sha256, md5: of its contents, lower-case hex.
        """
        place = self._make(folder)
        size = source.stat().st_size
        for number in range(MAX_NUMBER):
            path = f"{folder}/{number}_{name}" if number else f"{folder}/{name}"
            target = place / path.rpartition("/")[2]
            if self._put(source, target):
                self._files.append(target)
                break
            if self._is_same(path, size, sha256):
                break
        else:
            raise MirrorFailed(f"{folder}/{name}: {MAX_NUMBER} files of this name are there already", path=path)
        self._mirror.index.remember(path, target, sha256=sha256, md5=md5)
        return path

    def undo(self) -> None:
        """Remove what was added, and the folders that were made for it."""
        for file in reversed(self._files):
            file.unlink(missing_ok=True)
        for folder in reversed(self._folders):
            with suppress(OSError):  # somebody else uses it by now
                folder.rmdir()

    def _make(self, folder: str) -> Path:
        place = self._mirror.root
        for part in folder.split("/"):
            place = place / part
            try:
                place.mkdir()
                self._folders.append(place)
            except FileExistsError:
                pass
            except OSError as error:
                raise MirrorFailed(f"the mirror cannot make {folder}: {error.strerror}", path=folder) from error
            if not place.is_dir() or not place.resolve().is_relative_to(self._mirror.root.resolve()):
                raise MirrorFailed(f"{folder} is no folder of the mirror", path=folder)
        return place

    def _put(self, source: Path, target: Path) -> bool:
        """Make the file visible under this name; False where the name is taken."""
        try:
            if not source.is_relative_to(self._mirror.root):
                source.chmod(FILE_MODE)
            os.link(source, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _COPY_INSTEAD:
                raise MirrorFailed(f"{target.name} cannot be stored: {error.strerror}", path=target.name) from error
        else:
            return True
        if os.path.lexists(target):
            return False
        try:
            return _copy(source, target, self._check)
        except OSError as error:
            raise MirrorFailed(f"{target.name} cannot be stored: {error.strerror}", path=target.name) from error

    def _is_same(self, path: str, size: int, sha256: str) -> bool:
        present = self._mirror.file(path)
        if present is None or present.stat().st_size != size:
            return False
        return self._mirror.index.hashes(path, present, check=self._check).sha256 == sha256


def folder_for(mods: Sequence[Mod], mod: Mod) -> str:
    """Where in the mirror a request keeps the archives of one of its mods."""
    return f"{mod.id}/{mod.version}" if len(mods) == 1 else GENERAL


def _lock(descriptor: int, check: Callable[[], None]) -> None:
    """Wait for the lock on the mirror's folder; a network file system that has no such locks goes without."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            check()
            time.sleep(LOCK_PAUSE)
        except OSError:
            return
        else:
            return


def _copy(source: Path, target: Path, check: Callable[[], None]) -> bool:
    """Copy to a file that has no name yet, or one nobody may read, and then give it its name at once."""
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            unnamed = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError:
            return _copy_by_name(source, target, check)
        with os.fdopen(unnamed, "wb") as out:
            _pour(source, out.fileno(), check)
            os.fchmod(out.fileno(), FILE_MODE)
            # With a folder's descriptor Python calls linkat(), which follows /proc's link to the unnamed file.
            os.link(f"/proc/self/fd/{out.fileno()}", target.name, dst_dir_fd=folder, follow_symlinks=True)
        return True
    except FileExistsError:
        return False
    finally:
        os.close(folder)


def _copy_by_name(source: Path, target: Path, check: Callable[[], None]) -> bool:
    hidden = target.with_name(f".{secrets.token_hex(12)}.part")
    descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            _pour(source, out.fileno(), check)
            os.fchmod(out.fileno(), FILE_MODE)
        try:
            os.link(hidden, target)
        except FileExistsError:
            return False
        except OSError:
            hidden.rename(target)  # no links here; the lock is held and the name was free
        return True
    finally:
        hidden.unlink(missing_ok=True)


def _pour(source: Path, out: int, check: Callable[[], None]) -> None:
    with source.open("rb", buffering=0) as file:
        while piece := file.read(COPY_BYTES):
            check()
            view = memoryview(piece)
            while view:
                view = view[os.write(out, view) :]
