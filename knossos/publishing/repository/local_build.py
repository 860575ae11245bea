"""This machine's build of the lists: made once from all releases, then brought up by what has changed.

Owns ``<data_path>/repository``. What always holds: the files that the index names are whole and of one and the same
change, whenever a process is killed; a file that the index named once is never written to again, so it may be
published by giving it another name. Two processes of a machine do not build at once (`locked`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.database import Database
from knossos.publishing.changes import is_undone, last_change
from knossos.publishing.repository.entries import changed_since, lines
from knossos.publishing.repository.errors import RepositoryBusy
from knossos.publishing.repository.index import LISTS, Build, BuiltFile, Index, ListName
from knossos.publishing.repository.list_file import HEAD, TAIL, ListFile, joined
from knossos.publishing.tables import Release
from knossos.settings import Settings

#: The part of a list that may be holes; and how much of them is never worth writing a list anew.
MOST_HOLES = 0.25
FEW_HOLES = 64 * 1024

#: Seconds between two looks whether another process has finished.
LOCK_PAUSE_SECONDS = 0.02

#: OpenSSL's is faster than Python's own, where there is one.
_BLAKE2B = "blake2b512" if "blake2b512" in hashlib.algorithms_available else "blake2b"

_log = logging.getLogger(__name__)

Check = Callable[[], None]


class LocalBuild:
    def __init__(self, settings: Settings) -> None:
        self._base = settings.base_url
        self.folder = settings.data_path / "repository"

    @contextmanager
    def locked(self, seconds: float, check: Check) -> Iterator[None]:
        """Be the only process of this machine that builds.

        Raises:
            RepositoryBusy: another one was, for longer than ``seconds``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + seconds
        with open(self.folder / "lock", "ab") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > until:
                        raise RepositoryBusy("Another process writes the repository's files.") from error
                check()
                time.sleep(LOCK_PAUSE_SECONDS)
            yield

    def path(self, file: BuiltFile) -> Path:
        return self.folder / file.name

    def forget(self) -> None:
        """Build from nothing the next time."""
        for path in self.folder.glob("index.sqlite3*"):
            path.unlink()

    def bring_up(self, database: Database, check: Check) -> Build:
        """The build with all changes that are committed. Only under the lock."""
        try:
            return self._bring_up(database, check)
        except sqlite3.DatabaseError as error:  # the database's own errors come as SQLAlchemy's
            _log.warning("the repository's index is broken (%s) and made anew", error)
            self.forget()
            return self._bring_up(database, check)

    def _bring_up(self, database: Database, check: Check) -> Build:
        index = Index(self.folder / "index.sqlite3")
        with contextlib.closing(index), database.reading() as session:
            change = last_change(session)  # first, so that what is read later holds it
            build = self._usable(index, session, change)
            with index.change():
                if build is None:
                    index.clear()
                    _log.info("building the repository from all releases")
                built = self._update(index, session, build, change, check)
                index.store(built)
            self._sweep(built)
            return built

    def _usable(self, index: Index, session: Session, change: int) -> Build | None:
        """The last build, where it can be built on."""
        build = index.load()
        if build is None:
            return None
        reason = None
        if build.base_url != self._base:
            reason = f"this server's address was {build.base_url}"
        elif build.change > change or is_undone(session, build.change) or not _same_past(session, build):
            reason = "the database has another past"
        elif not all(self._is_whole(file, build.boot) for file in build.files.values()):
            reason = "its files are damaged"
        if reason is None:
            return build
        _log.warning("the last build of the repository cannot be used: %s", reason)
        return None

    def _is_whole(self, file: BuiltFile, boot: str) -> bool:
        """Whether a file is as it was written. All of it is read only after the machine was switched off."""
        path = self.path(file)
        try:
            with open(path, "rb") as opened:
                if os.fstat(opened.fileno()).st_size != file.size or opened.read(len(HEAD)) != HEAD:
                    return False
                opened.seek(-len(TAIL), os.SEEK_END)
                if opened.read() != TAIL:
                    return False
                opened.seek(0)
                return boot == _boot() or hashlib.file_digest(opened, _BLAKE2B).hexdigest() == file.blake2b
        except OSError:
            return False

    def _update(self, index: Index, session: Session, build: Build | None, change: int, check: Check) -> Build:
        with ExitStack() as stack:
            update = _Update(self, index, build, stack)
            newest = build.newest if build else None
            for changed in changed_since(session, build.change if build else -1):
                check()
                found = lines(changed.document, self._base) if changed.document else {}
                for name in LISTS:
                    update.apply(name, changed.release_id, found.get(name))
                # What was committed after ``change`` was read is applied once more the next time.
                if changed.change <= change:
                    newest = (changed.release_id, changed.change)
            files = {name: update.finish(name, check) for name in LISTS}
        return Build(base_url=self._base, change=change, newest=newest, boot=_boot(), files=files)

    def _sweep(self, build: Build) -> None:
        """Remove what neither the index nor a build on its way names."""
        names = {file.name for file in build.files.values()}
        for path in self.folder.glob("*.json"):
            if path.name not in names:
                path.unlink(missing_ok=True)


class _Update:
    """Writes the next files. A list in which nothing changes keeps its file."""

    def __init__(self, local: LocalBuild, index: Index, build: Build | None, stack: ExitStack) -> None:
        self._local = local
        self._index = index
        self._build = build
        self._stack = stack
        self._open: dict[ListName, tuple[Path, ListFile]] = {}
        self._holes: dict[ListName, int] = {name: build.files[name].holes if build else 0 for name in LISTS}

    def apply(self, name: ListName, release_id: int, entry: bytes | None) -> None:
        """Give a release its line in a list, or none."""
        place = self._index.place(name, release_id)
        if place is None and entry is None:
            return
        file = self._file(name)
        if place is not None:
            file.blank(*place)
            self._holes[name] += place[1]
            self._index.remove(name, release_id)
        if entry is not None:
            self._index.put(name, release_id, file.append(entry))

    def finish(self, name: ListName, check: Check) -> BuiltFile:
        if self._build is not None and name not in self._open:
            return self._build.files[name]
        check()
        size = self._file(name).finish(self._index.first(name))
        if self._holes[name] > max(FEW_HOLES, size * MOST_HOLES):
            size = self._compact(name)
        path = self._open[name][0]
        check()
        return BuiltFile(name=path.name, size=size, holes=self._holes[name], blake2b=_settled_sum(path))

    def _file(self, name: ListName) -> ListFile:
        if name not in self._open:
            path = self._new_path(name)
            if self._build is None:
                file = ListFile.create(path)
            else:
                old = self._build.files[name]
                file = ListFile.clone(self._local.path(old), path, old.size - len(TAIL))
            self._open[name] = path, self._stack.enter_context(file)
        return self._open[name][1]

    def _compact(self, name: ListName) -> int:
        """Write the list without its holes."""
        source, path = self._open[name][0], self._new_path(name)
        places = self._index.places(name)
        parts = joined([(0, len(HEAD)), *((offset, length) for _, offset, length in places)])
        file = self._stack.enter_context(ListFile.of_parts(source, path, parts))
        offset, moved = len(HEAD), []
        for release_id, _, length in places:
            moved.append((release_id, offset))
            offset += length
        self._index.move(name, moved)
        self._holes[name] = 0
        self._open[name] = path, file
        return file.finish(self._index.first(name))

    def _new_path(self, name: ListName) -> Path:
        return self._local.folder / f"{name}-{secrets.token_hex(8)}.json"


def _settled_sum(path: Path) -> str:
    """BLAKE2b-512 of a file as hex: all of it is read, at the speed of memory. Meanwhile the disk gets the file."""

    def settle() -> None:
        with open(path, "rb") as file:
            os.fsync(file.fileno())

    with ThreadPoolExecutor(1) as other, open(path, "rb", buffering=0) as file:
        settled = other.submit(settle)
        found = hashlib.file_digest(file, _BLAKE2B).hexdigest()
        settled.result()
    return found


def _same_past(session: Session, build: Build) -> bool:
    """False where the database is not the one of that build, or an older copy of it was put back."""
    if build.newest is None:
        return True
    release_id, change = build.newest
    now = session.scalar(select(Release.change).where(Release.id == release_id))
    return now is not None and now >= change


def _boot() -> str:
    """Names the time since this machine was switched on."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""
