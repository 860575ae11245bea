"""This machine's build of the lists: made once from all releases, then brought up by what has changed.

Owns ``<data_path>/repository``. What always holds: the files that the index names as a build's are whole and of one and
the same change, whenever a process is killed; such a file is not written to while it has any other name or anybody has
it open, also when newer ones have come, so it may be published by giving it another name (`spares`); and it gets
another name of its own before it is written to, so whatever has its old name is whole. Two processes of a machine do
not build at once (`locked`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
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
from knossos.publishing.repository.index import LISTS, Build, BuiltFile, Index
from knossos.publishing.repository.list_file import HEAD, TAIL
from knossos.publishing.repository.list_update import ListUpdate
from knossos.publishing.repository.resumable_sum import HASHLIB_NAME
from knossos.publishing.tables import Release
from knossos.settings import Settings

#: Seconds between two looks whether another process has finished.
LOCK_PAUSE_SECONDS = 0.02

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
            return build if build.boot == _boot() else build.without_spares()
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
                return boot == _boot() or hashlib.file_digest(opened, HASHLIB_NAME).hexdigest() == file.blake2b
        except OSError:
            return False

    def _update(self, index: Index, session: Session, build: Build | None, change: int, check: Check) -> Build:
        with ExitStack() as stack:
            updates = {
                name: ListUpdate(name, self.folder, index, build.files[name] if build else None, stack)
                for name in LISTS
            }
            newest = build.newest if build else None
            for changed in changed_since(session, build.change if build else -1):
                check()
                found = lines(changed.document, self._base) if changed.document else {}
                for name, update in updates.items():
                    update.apply(changed.release_id, found.get(name))
                # What was committed after ``change`` was read is applied once more the next time.
                if changed.change <= change:
                    newest = (changed.release_id, changed.change)
            files = {}
            # Both at once take the disk hardly longer than one.
            disk = stack.enter_context(ThreadPoolExecutor(len(LISTS)))
            for name, update in updates.items():
                check()
                files[name] = update.finish(disk)
            check()
            for update in updates.values():
                update.settle()
        return Build(base_url=self._base, change=change, newest=newest, boot=_boot(), files=files)

    def _sweep(self, build: Build) -> None:
        """Remove what neither the index nor a build on its way names."""
        names = {file.name for file in build.files.values()}
        names.update(spare.name for file in build.files.values() for spare in file.spares)
        for path in self.folder.glob("*.json"):
            if path.name not in names:
                path.unlink(missing_ok=True)


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
