"""The repository's files as the rest of the server sees them: bring them up, ask whether they are, make them anew."""

from __future__ import annotations

import time

from sqlalchemy import select

from knossos.database import Database
from knossos.publishing.changes import ROW, last_change
from knossos.publishing.repository.local_build import Check, LocalBuild
from knossos.publishing.repository.publication import Publication, Published
from knossos.publishing.repository.signature import Signer
from knossos.publishing.tables import ChangeCounter
from knossos.settings import Settings
from knossos.storage import Storage

#: Seconds that an update waits for another one on this machine, which usually does its work as well.
LOCK_SECONDS = 3.0
#: Seconds that making everything anew waits.
PATIENCE_SECONDS = 600.0
#: Seconds for which readers take for present what an object store said.
SEEN_SECONDS = 1.0


def _nothing() -> None:
    """Nobody interrupts."""


class Repository:
    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        self._settings = settings
        self._database = database
        self._local = LocalBuild(settings)
        self._publication = Publication(database, storage)
        self._in_folder = storage.folder is not None
        #: When (monotonic) the storage was asked, and what it said.
        self._seen: tuple[float, Published | None] = (0.0, None)

    def published(self, *, fresh: bool = True) -> Published | None:
        """What is in the storage. Where that is an object store it is not asked again at once, unless ``fresh``."""
        at, known = self._seen
        if fresh or self._in_folder or known is None or time.monotonic() - at > SEEN_SECONDS:
            known = self._publication.load()
            self._seen = (time.monotonic(), known)
        return known

    def bring_up(self, change: int, *, check: Check = _nothing) -> int:
        """Have the files hold all up to ``change``, which is committed; answer up to which change they do.

        Raises:
            RepositoryBusy: another process of this machine is at it for too long.
        """
        with self._local.locked(LOCK_SECONDS, check):
            while (written := self._written()) is None or written < change:
                self._publish(check)
            return written

    def rebuild(self, *, check: Check = _nothing) -> int:
        """Make and sign all files anew from the database, whatever is there; answer which change they hold."""
        with self._local.locked(PATIENCE_SECONDS, check):
            self._local.forget()
            while not self._publish(check, anew=True):
                pass
            self._publication.sweep()
            written = self._written()
            assert written is not None  # just now
            return written

    def sign_again(self, *, check: Check = _nothing) -> bool:
        """Sign the present files with the time of now, as whoever cannot be cheated with old ones wants to see. They
        are read first: their sums are put together from what was hashed before, and no wrong one may stay."""
        if not self._publication.is_sound(check):
            self.rebuild(check=check)
        with self._local.locked(PATIENCE_SECONDS, check):
            return self._publication.sign_again(Signer.of(self._settings))

    def missing_change(self) -> int | None:
        """The change that the files lack, for those who look after them; None where they are as they should be."""
        with self._database.reading() as session:
            last = last_change(session)
        written = self._written()
        return last if written is None or written < last else None

    def sweep(self) -> int:
        """Remove what killed processes left in the storage; answer how many files."""
        return self._publication.sweep()

    def _publish(self, check: Check, *, anew: bool = False) -> bool:
        build = self._local.bring_up(self._database, check)
        return self._publication.publish(build, self._local, Signer.of(self._settings), anew=anew)

    def _written(self) -> int | None:
        """Up to which change the files are written; None where they are of no use as they are."""
        with self._database.reading() as session:
            row = select(ChangeCounter.written, ChangeCounter.value).where(ChangeCounter.id == ROW)
            written, last = session.execute(row).one()
        published = self._publication.load()
        if published is None or published.base_url != self._settings.base_url or published.change > last:
            return None
        return min(written, published.change)
