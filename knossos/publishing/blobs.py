"""Stored files known by their contents: each is stored once, and counted by what uses it.

Owns the tables ``blobs`` and ``blob_uses`` and what lies under ``blobs/`` in the storage. A row means that the bytes
are stored; the rows of ``blob_uses`` are the reference count. What nothing uses goes when nobody has touched it for
long enough (`collect`). Uploads on their way lie elsewhere and are never collected.

How storing and collecting go on side by side and lose nothing: whoever stores puts the bytes, then writes or touches
the row, then looks whether the bytes are still there, and puts them again if not. Whoever collects locks the row, looks
for uses and for the last touch, and deletes bytes and row before it lets go of the lock. So a touched row is either
kept, or its toucher waits until it is gone, and sees that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sqlalchemy import case, delete, exists, func, select, update
from sqlalchemy.orm import Session

from knossos.database import Database, insert_into
from knossos.errors import NotFound
from knossos.publishing.tables import Blob, BlobUse
from knossos.storage import Storage, blob_key

#: What is not known to be anything else.
ANY_FILE = "application/octet-stream"

#: The images that may be published, and the extension in their names.
IMAGE_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}

#: Rows that are asked for at a time.
_BATCH = 500

_log = logging.getLogger(__name__)


class NoSuchBlob(NotFound):
    """No file with this ``sha256`` is stored."""

    code = "no_such_blob"


class Blobs:
    """``clock`` gives Unix time in seconds."""

    def __init__(self, database: Database, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock

    # --- what is there ------------------------------------------------------------------------------

    def find(self, sha256: str) -> Blob | None:
        """The stored file; None where there is none."""
        with self._database.reading() as session:
            return session.get(Blob, sha256)

    def find_by_content(self, content_checksum: str, owner_id: int) -> Blob | None:
        """The file that this account stored for these contents. Others' do not count: they may say what they like."""
        with self._database.reading() as session:
            statement = select(Blob).where(Blob.content_checksum == content_checksum, Blob.owner_id == owner_id)
            return session.scalars(statement.order_by(Blob.created_at.desc()).limit(1)).first()

    def image_name(self, sha256: str) -> str | None:
        """The name under which a stored image is served, ``<sha256>.<extension>``; None where it is no image."""
        blob = self.find(sha256)
        extension = IMAGE_EXTENSIONS.get(blob.content_type) if blob else None
        return f"{sha256}.{extension}" if extension else None

    def stored_bytes_of(self, user_id: int) -> int:
        """How many bytes an account keeps stored: the files that it was the first to store."""
        with self._database.reading() as session:
            statement = select(func.coalesce(func.sum(Blob.size), 0)).where(Blob.owner_id == user_id)
            return int(session.execute(statement).scalar_one())

    def local(self, sha256: str, workspace: Path) -> Path:
        """The file on this machine's disk, only to be read: where it is stored, or fetched into ``workspace``.

        Raises:
            NoSuchObject: it is not stored.
        """
        path = self._storage.local_path(blob_key(sha256))
        if path is not None and path.is_file():
            return path
        target = workspace / sha256
        self._storage.fetch(blob_key(sha256), target)
        return target

    # --- storing ------------------------------------------------------------------------------------

    def touch(self, sha256: str) -> bool:
        """Whether the file is stored; if so, it stays for a while, though nothing may use it yet."""
        with self._database.session() as session:
            known = self._touch(session, sha256)
        return known and self._storage.head(blob_key(sha256)) is not None

    def adopt(
        self,
        path: Path,
        *,
        sha256: str,
        size: int,
        content_type: str,
        owner_id: int | None,
        content_checksum: str | None = None,
        vp_checksum: str | None = None,
    ) -> None:
        """Store a local file, whose sum and size the caller has checked.

        ``path`` is left to the caller, who writes to it no more: in a folder it is another name of what was stored.
        What is stored already is not stored again, and belongs to who stored it first. May be called again after it
        failed.
        """
        key = blob_key(sha256)
        if not (self.touch(sha256) and self._is_stored(key, size)):
            self._storage.put_file(key, path, keep=True)
        with self._database.session() as session:
            self._record(session, sha256, size, content_type, owner_id, content_checksum, vp_checksum)
        if not self._is_stored(key, size):
            self._storage.put_file(key, path, keep=True)

    # --- uses ---------------------------------------------------------------------------------------

    def use(self, session: Session, sha256: str, kind: str, key: str) -> None:
        """Count one use, by ``kind`` ("release", "mod") and ``key``. Twice the same is one.

        Raises:
            NoSuchBlob: it is not stored.
        """
        if not self._touch(session, sha256):
            raise NoSuchBlob(f"No file with the SHA-256 {sha256} is stored.", sha256=sha256)
        statement = insert_into(session, BlobUse).values(sha256=sha256, kind=kind, key=key)
        session.execute(statement.on_conflict_do_nothing())

    def set_uses(self, session: Session, kind: str, key: str, sha256s: Iterable[str]) -> None:
        """Make these the only files that ``kind`` and ``key`` use; those that it gives up stay for a while.

        Raises:
            NoSuchBlob: one is not stored.
        """
        wanted = set(sha256s)
        mine = (BlobUse.kind == kind, BlobUse.key == key)
        had = set(session.scalars(select(BlobUse.sha256).where(*mine)))
        # All in one order, so that two who set uses at once never wait for each other.
        for sha256 in sorted(wanted | had):
            if sha256 in wanted:
                self.use(session, sha256, kind, key)
            else:
                self._touch(session, sha256)
                session.execute(delete(BlobUse).where(*mine, BlobUse.sha256 == sha256))

    # --- collecting ---------------------------------------------------------------------------------

    def collect(self, older_than_seconds: float) -> int:
        """Delete the files that nothing uses and nobody has touched for so long; the answer is how many these were.

        Bytes in the storage that no row speaks of go likewise; rows whose bytes are gone are named in the log.
        """
        limit = self._clock() - older_than_seconds
        began = self._clock()
        stored = self._take_up_strays(limit)
        unused = select(Blob.sha256).where(Blob.touched_at < limit, ~exists().where(BlobUse.sha256 == Blob.sha256))
        with self._database.reading() as session:
            candidates = list(session.scalars(unused))
        removed = sum(self._remove(sha256, limit) for sha256 in candidates)
        self._report_lost(stored, began)
        return removed

    def _take_up_strays(self, limit: float) -> set[str]:
        """Give old bytes without a row one, so that they are collected as all others; the answer is all sums there."""
        stored: set[str] = set()
        old: dict[str, tuple[int, float]] = {}
        for key, size, modified in self._storage.list_keys("blobs"):
            sha256 = "".join(key.split("/")[1:])
            if key != blob_key(sha256) or len(sha256) != 64:
                _log.warning("storage: %s is not the name of a stored file", key)
                continue
            stored.add(sha256)
            if modified < limit:
                old[sha256] = (size, modified)
        for some in _batches(sorted(old)):
            with self._database.session() as session:
                known = set(session.scalars(select(Blob.sha256).where(Blob.sha256.in_(some))))
                for sha256 in set(some) - known:
                    size, modified = old[sha256]
                    row = {"sha256": sha256, "size": size, "content_type": ANY_FILE}
                    statement = insert_into(session, Blob).values(**row, created_at=modified, touched_at=modified)
                    session.execute(statement.on_conflict_do_nothing())
        return stored

    def _remove(self, sha256: str, limit: float) -> bool:
        with self._database.session() as session:
            locked = select(Blob.sha256).where(Blob.sha256 == sha256, Blob.touched_at < limit).with_for_update()
            if session.execute(locked).first() is None:
                return False
            # A statement of its own, so that it sees what was committed while this waited for the lock.
            if session.execute(select(BlobUse.key).where(BlobUse.sha256 == sha256).limit(1)).first():
                return False
            self._storage.delete(blob_key(sha256))
            session.execute(delete(Blob).where(Blob.sha256 == sha256))
        _log.info("stored file removed, since nothing uses it: %s", sha256)
        return True

    def _report_lost(self, stored: set[str], began: float) -> None:
        with self._database.reading() as session:
            rows = set(session.scalars(select(Blob.sha256).where(Blob.created_at < began)))
        for sha256 in sorted(rows - stored):
            if self._storage.head(blob_key(sha256)) is None and self.find(sha256) is not None:
                _log.error("storage: the stored file %s is gone; upload it again, or restore it", sha256)

    # --- parts --------------------------------------------------------------------------------------

    def _touch(self, session: Session, sha256: str) -> bool:
        statement = update(Blob).where(Blob.sha256 == sha256).values(touched_at=self._clock()).returning(Blob.sha256)
        return session.execute(statement).first() is not None

    def _is_stored(self, key: str, size: int) -> bool:
        found = self._storage.head(key)
        return found is not None and found.size == size

    def _record(
        self,
        session: Session,
        sha256: str,
        size: int,
        content_type: str,
        owner_id: int | None,
        content_checksum: str | None,
        vp_checksum: str | None,
    ) -> None:
        now = self._clock()
        statement = insert_into(session, Blob).values(
            sha256=sha256,
            size=size,
            content_type=content_type,
            owner_id=owner_id,
            content_checksum=content_checksum,
            vp_checksum=vp_checksum,
            created_at=now,
            touched_at=now,
        )
        new = statement.excluded
        # Only its owner may say again what the contents are: others look it up by that.
        owns = Blob.owner_id == new.owner_id
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[Blob.sha256],
                set_={
                    "touched_at": now,
                    "content_type": case((Blob.content_type == ANY_FILE, new.content_type), else_=Blob.content_type),
                    "content_checksum": case(
                        (owns, func.coalesce(new.content_checksum, Blob.content_checksum)),
                        else_=Blob.content_checksum,
                    ),
                    "vp_checksum": case(
                        (owns, func.coalesce(new.vp_checksum, Blob.vp_checksum)), else_=Blob.vp_checksum
                    ),
                },
            )
        )


def _batches(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
