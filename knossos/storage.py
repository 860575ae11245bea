"""Stored files by key, in a folder or in an object store (S3 and the like, through obstore).

Owns where bytes lie and how they get there. Knows no database: what a file is for, and whether it may go, is decided
by those who call. Keys are paths such as ``blobs/<2 hex>/<62 hex>`` (by contents), ``public/<name>`` (files that
clients fetch by name) and ``uploads/...``.

What always holds: a key stands for a whole file or for nothing, also after a power cut; who is reading a file that is
replaced or deleted reads the old one to its end or gets an error, never a mix; memory does not grow with the file. All
errors are ours: `NoSuchObject`, and `StorageUnavailable` for what another try or the operator may cure.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from knossos.errors import MissingDependency, NotFound, SettingsError
from knossos.settings import Settings

#: Bytes that are read at a time: from a folder, and in one request from an object store.
PIECE_BYTES = 256 * 1024
OBJECT_PIECE_BYTES = 2 * 1024 * 1024

#: An object store takes a large file in parts: their least size, how many at once, and the most that S3 takes.
_PART_BYTES = 5 * 1024 * 1024
_PARTS_AT_ONCE = 2
_MOST_PARTS = 9_000
#: Files that one process sends to an object store at once: parts are in memory as they are sent.
_FILES_AT_ONCE = 2

#: Names of files in a folder that are not complete yet begin with this.
UNFINISHED_PREFIX = ".incoming-"
#: How often the removal of a folder is begun anew where others change it meanwhile.
REMOVAL_TRIES = 100

#: Names in STORAGE_OPTIONS that are about the connection; all others are about the kind of object store.
_CONNECTION_OPTIONS = {
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url", "read_timeout"),
    *("root_certificate", "timeout", "user_agent"),
}

#: Between two tries of one who is patient.
_LONGEST_PAUSE = timedelta(seconds=2)
#: Mode of a stored file: the web server that serves the folder may run as another user.
_MODE = 0o644

_KEY = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*")

#: How obstore says that a store refuses, whatever was asked; and what the store's answer calls the reason.
_REFUSED = "403 Forbidden"
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")

_log = logging.getLogger(__name__)


class NoSuchObject(NotFound):
    """Nothing is stored under that ``key``."""

    code = "no_such_object"


class StorageUnavailable(MissingDependency):
    """The storage does not answer, or cannot do what was asked: its disk is full, a right is missing."""

    code = "storage_unavailable"


class StorageRefuses(StorageUnavailable):
    """The object store answers, and does not let this server do that: only the operator can cure it."""


@dataclass(frozen=True)
class StoredObject:
    """What is known of a stored file. ``modified`` is Unix time in seconds; ``etag`` is without quotation marks."""

    size: int
    etag: str
    modified: float


def blob_key(sha256: str) -> str:
    """The key of the file with these contents."""
    return f"blobs/{sha256[:2]}/{sha256[2:]}"


class Storage:
    """Safe for threads. Connects when it is first used and not before, so it may be made ahead of a fork.

    Args:
        patience_seconds: for how long an object store that is away is asked again. By itself that is about a second,
            since people wait.
    """

    def __init__(self, settings: Settings, patience_seconds: float = 0) -> None:
        self._settings = settings
        self._patience_seconds = patience_seconds
        url = settings.storage_url
        #: Where the files lie when they lie in a folder; the file of a key is at that path below it.
        self.folder = None if "://" in url else Path(url)

    @cached_property
    def _place(self) -> _Place:
        return _Folder(self.folder) if self.folder else _ObjectStore(self._settings, self._patience_seconds)

    def check(self) -> None:
        """Say before anything runs that STORAGE or STORAGE_OPTIONS cannot work. An object store is not asked.

        Raises:
            SettingsError
        """
        self._place.check()

    def put_file(self, key: str, path: Path, *, keep: bool = False) -> None:
        """Store a local file. What was there is replaced.

        In a folder on the same file system this takes no time and no space, whatever the size: the file gets a second
        name, so nobody may write to it any more.

        Args:
            keep: whether ``path`` stays; else it is gone when this returns.
        """
        self._place.put_file(_checked(key), path)
        if not keep:
            path.unlink(missing_ok=True)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store bytes. What was there is replaced in one instant."""
        self._place.put_bytes(_checked(key), data)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """The bytes from ``start`` on (at most ``length``), in pieces. Close it where it is not read to its end.

        Raises:
            NoSuchObject: at once, not when the first piece is asked for.
        """
        pieces = self._place.read(_checked(key), start, length)
        next(pieces)  # the first piece is empty and stands for "it is open"
        return pieces

    def head(self, key: str) -> StoredObject | None:
        """What is stored under a key; None where nothing is."""
        return self._place.head(_checked(key))

    def local_path(self, key: str) -> Path | None:
        """The path of the file, whether it is there or not; None where the storage is no folder. Only read it."""
        return self.folder / _checked(key) if self.folder else None

    def link(self, key: str, seconds: float) -> str | None:
        """An address under which everybody can GET the file from an object store for so long; None for a folder."""
        return self._place.link(_checked(key), seconds)

    def fetch(self, key: str, target: Path) -> None:
        """Copy the stored file to ``target``, which is replaced."""
        with contextlib.closing(self.read(key)) as pieces, open(target, "wb") as file:
            for piece in pieces:
                file.write(piece)

    def delete(self, key: str) -> None:
        """Remove what is stored under a key; nothing happens where nothing is."""
        self._place.delete(_checked(key))

    def delete_below(self, prefix: str) -> None:
        """Remove all that is stored below a folder, what was never finished too, and the folder."""
        self._place.delete_below(_checked(prefix))

    def list_keys(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        """Key, size and time of change of all below a folder such as ``blobs``, in no order."""
        yield from self._place.list_keys(_checked(prefix.rstrip("/")))


class _Place(Protocol):
    """What the two kinds of storage do, each in its own way."""

    def check(self) -> None: ...
    def put_file(self, key: str, path: Path) -> None: ...
    def put_bytes(self, key: str, data: bytes) -> None: ...
    def read(self, key: str, start: int, length: int | None) -> Generator[bytes, None, None]: ...
    def head(self, key: str) -> StoredObject | None: ...
    def link(self, key: str, seconds: float) -> str | None: ...
    def delete(self, key: str) -> None: ...
    def delete_below(self, prefix: str) -> None: ...
    def list_keys(self, prefix: str) -> Iterator[tuple[str, int, float]]: ...


class _Folder:
    """Files in a folder. Not through obstore: its store for folders does not wait until the disk has the bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.root).close()
        except OSError as error:
            raise SettingsError(
                f"STORAGE: {self.root} cannot be written: {error.strerror}; expected a folder that this user may "
                "write to, or the URL of an object store",
                setting="STORAGE",
            ) from error

    def put_file(self, key: str, path: Path) -> None:
        with _folder_errors(key), self._incoming(key) as temporary:
            try:
                os.link(path, temporary)
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    raise
                # Another file system, or one without links.
                shutil.copyfile(path, temporary)
            os.utime(temporary)
            with open(temporary, "rb") as file:
                _settle(file)

    def put_bytes(self, key: str, data: bytes) -> None:
        with _folder_errors(key), self._incoming(key) as temporary, open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            _settle(file)

    def read(self, key: str, start: int, length: int | None) -> Generator[bytes, None, None]:
        with _folder_errors(key), open(self.root / key, "rb") as file:
            yield b""
            file.seek(start)
            left = os.fstat(file.fileno()).st_size - start
            left = left if length is None else min(left, length)
            while left > 0 and (piece := file.read(min(PIECE_BYTES, left))):
                yield piece
                left -= len(piece)

    def head(self, key: str) -> StoredObject | None:
        with _folder_errors(key):
            try:
                about = (self.root / key).stat()
            except FileNotFoundError:
                return None
        return StoredObject(about.st_size, f"{about.st_mtime_ns:x}-{about.st_size:x}", about.st_mtime)

    def link(self, key: str, seconds: float) -> str | None:
        return None

    def delete(self, key: str) -> None:
        with _folder_errors(key):
            (self.root / key).unlink(missing_ok=True)

    def delete_below(self, prefix: str) -> None:
        folder, tries = self.root / prefix, 0
        with _folder_errors(prefix):
            while os.path.lexists(folder):
                tries += 1
                try:
                    shutil.rmtree(folder)
                except OSError as error:
                    # Somebody else stores or removes something there at this moment.
                    if error.errno not in (errno.ENOENT, errno.ENOTEMPTY) or tries == REMOVAL_TRIES:
                        raise

    def list_keys(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        for parent, _, names in os.walk(self.root / prefix):
            for name in names:
                if name.startswith("."):
                    continue
                path = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):
                    about = path.stat()
                    yield str(path.relative_to(self.root)), about.st_size, about.st_mtime

    @contextlib.contextmanager
    def _incoming(self, key: str) -> Iterator[Path]:
        """A hidden path beside the key's; what is there at the end gets the key's name, and stays hidden no more."""
        target = self.root / key
        self._make_folder(target.parent)
        temporary = target.parent / f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}"
        try:
            yield temporary
            os.replace(temporary, target)
            _sync_folder(target.parent)
        finally:
            # Also after success: replacing a name by another one of the same file leaves both.
            temporary.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder so that a power cut does not take it away."""
        if folder.is_dir():
            return
        if folder != self.root:
            self._make_folder(folder.parent)
        folder.mkdir(parents=folder == self.root, exist_ok=True)
        _sync_folder(folder.parent)


class _ObjectStore:
    """Objects in S3 and the like."""

    def __init__(self, settings: Settings, patience_seconds: float) -> None:
        options = settings.storage_options
        # A store that is away is reported within seconds, since requests wait for it; a part of a large file may take
        # its time on a slow line.
        client: Any = {"connect_timeout": "5s", "timeout": "120s"}
        client |= {name: value for name, value in options.items() if name in _CONNECTION_OPTIONS}
        config: Any = {name: value for name, value in options.items() if name not in _CONNECTION_OPTIONS}
        self._sending = threading.BoundedSemaphore(_FILES_AT_ONCE)
        retries: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=15)}
        if patience_seconds:
            retries = {
                "max_retries": 1000,
                "retry_timeout": timedelta(seconds=patience_seconds),
                "backoff": {"max_backoff": _LONGEST_PAUSE},
            }
        try:
            self.store: ObjectStore = from_url(
                settings.storage_url, config=config, client_options=client, retry_config=retries
            )
        except (BaseError, TypeError, ValueError) as error:
            # Only the first line: what follows may show the options, with their secrets.
            reason = str(error).partition("\n")[0]
            raise SettingsError(f"STORAGE, STORAGE_OPTIONS: {reason}", setting="STORAGE") from error

    def check(self) -> None:
        """The options were understood."""

    def put_file(self, key: str, path: Path) -> None:
        part = max(_PART_BYTES, path.stat().st_size // _MOST_PARTS + 1)
        with self._sending, _object_errors(key):
            obstore.put(self.store, key, path, chunk_size=part, max_concurrency=_PARTS_AT_ONCE)

    def put_bytes(self, key: str, data: bytes) -> None:
        with _object_errors(key):
            obstore.put(self.store, key, data, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    def read(self, key: str, start: int, length: int | None) -> Generator[bytes, None, None]:
        """In requests of a bounded size, so that one who reads slowly does not run into the time limit of a request."""
        with _object_errors(key):
            about = obstore.head(self.store, key)
            etag = about["e_tag"]
            yield b""
            end = about["size"] if length is None else min(about["size"], start + length)
            while start < end:
                stop = min(start + OBJECT_PIECE_BYTES, end)
                piece = obstore.get(self.store, key, options={"range": (start, stop), "if_match": etag}).bytes()
                yield bytes(piece)
                start = stop

    def head(self, key: str) -> StoredObject | None:
        try:
            with _object_errors(key):
                about = obstore.head(self.store, key)
        except NoSuchObject:
            return None
        return StoredObject(about["size"], (about["e_tag"] or "").strip('"'), about["last_modified"].timestamp())

    def link(self, key: str, seconds: float) -> str | None:
        with _object_errors(key):
            store: Any = self.store
            return str(obstore.sign(store, "GET", key, timedelta(seconds=seconds)))

    def delete(self, key: str) -> None:
        with contextlib.suppress(NoSuchObject), _object_errors(key):
            obstore.delete(self.store, key)

    def delete_below(self, prefix: str) -> None:
        for key, _, _ in list(self.list_keys(prefix)):
            self.delete(key)

    def list_keys(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        with _object_errors(prefix):
            for some in obstore.list(self.store, prefix):
                for about in some:
                    yield about["path"], about["size"], about["last_modified"].timestamp()


def _checked(key: str) -> str:
    """Keys are made by this server; one that could lead elsewhere is a mistake of ours."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key of the storage: {key!r}")
    return key


def _settle(file: IO[bytes]) -> None:
    os.fchmod(file.fileno(), _MODE)
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Names are on the disk only when their folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _folder_errors(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(f"{key} is not stored", key=key) from error
    except OSError as error:
        _unavailable(key, error.strerror or str(error), error)


@contextlib.contextmanager
def _object_errors(key: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NoSuchObject(f"{key} is not stored", key=key) from error
    except (BaseError, OSError) as error:
        _unavailable(key, _reason(error), error, StorageRefuses if _REFUSED in str(error) else StorageUnavailable)


def _reason(error: Exception) -> str:
    """For the log: the first line, and what the store calls it, which stands in the lines after that."""
    first, _, rest = str(error).partition("\n")
    code = found[1] if (found := _CODE.search(rest)) else ""
    meaning = " (the clock of this machine is not the store's: set it right)" if code == "RequestTimeTooSkewed" else ""
    return f"{first} {code}{meaning}".rstrip()


def _unavailable(
    key: str, reason: str, error: Exception, kind: type[StorageUnavailable] = StorageUnavailable
) -> NoReturn:
    _log.error("storage: %s: %s", key, reason)
    raise kind("The storage does not answer as it should. Try again later.", needed="storage") from error
