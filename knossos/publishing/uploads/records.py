"""What the database knows of uploads: which parts have arrived whole, and how far the running hash is.

Owns the tables ``uploads`` and ``upload_parts``. Every transaction that changes an upload locks its row first, so they
come one after the other on each kind of database. What always holds: a row of ``upload_parts`` stands for a part whose
bytes are all in their place, and ``hash_state`` is that of exactly the first ``hashed_parts`` parts, as they are now.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from knossos.accounts.tables import User
from knossos.database import Database, insert_into
from knossos.publishing.errors import NoSuchUpload, Refused
from knossos.publishing.tables import Blob, Upload, UploadPart

#: Numbers and revisions of parts.
Revisions = list[tuple[int, int]]


@dataclass(frozen=True)
class Hashed:
    """A step of the running hash: the state before and after it, and how many parts each stands for."""

    before: bytes | None
    before_parts: int
    after: bytes
    after_parts: int


@dataclass(frozen=True)
class Backlog:
    """How far the running hash is, and the parts that have arrived right after that."""

    hashed_parts: int
    hash_state: bytes | None
    parts: Revisions


class Records:
    """``clock`` gives Unix time in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    # --- uploads ------------------------------------------------------------------------------------

    def find(self, sha256: str, user_id: int) -> Upload:
        """The upload of this account. Raises NoSuchUpload."""
        with self._database.reading() as session:
            found = session.scalars(select(Upload).where(*_of(sha256, user_id))).first()
        if found is None:
            raise no_such_upload(sha256)
        return found

    def begin(self, sha256: str, user_id: int, size: int, parts: int, quota: int | None) -> list[int]:
        """Make the upload, or go on with the one that is there; the numbers of the parts that have arrived.

        Args:
            quota: the most bytes that the account may have, stored and on their way; None: no limit.

        Raises:
            Refused: that would be more than the quota, or parts of a file of another size have arrived.
        """
        with self._database.session() as session:
            # One start of an account at a time, so that several at once do not pass the quota together.
            session.execute(select(User.id).where(User.id == user_id).with_for_update())
            upload = session.scalars(select(Upload).where(*_of(sha256, user_id)).with_for_update()).first()
            numbers = _numbers(session, upload.key) if upload else []
            if upload is not None and upload.size == size:
                upload.touched_at = self._clock()
                return numbers
            if upload is not None and numbers:
                raise Refused(
                    f"This upload was begun with {upload.size} bytes, not {size}.",
                    reason="invalid size",
                    extra={"size": upload.size},
                )
            if quota is not None:
                _check_quota(session, sha256, user_id, size, quota)
            now = self._clock()
            if upload is not None:
                upload.size, upload.parts, upload.touched_at = size, parts, now
                return []
            row = {"key": secrets.token_hex(16), "sha256": sha256, "user_id": user_id, "size": size, "parts": parts}
            session.execute(insert_into(session, Upload).values(**row, hashed_parts=0, created_at=now, touched_at=now))
            return []

    def numbers(self, key: str) -> list[int]:
        """The parts that have arrived, in their order."""
        with self._database.reading() as session:
            return _numbers(session, key)

    def revisions(self, key: str) -> Revisions:
        """The parts that have arrived, in their order, each with its revision."""
        with self._database.reading() as session:
            return _revisions(session, key)

    def stale(self, limit: float) -> list[Upload]:
        """Uploads that nobody has sent anything to since ``limit``."""
        with self._database.reading() as session:
            return list(session.scalars(select(Upload).where(Upload.touched_at < limit)))

    def known(self, keys: list[str]) -> set[str]:
        """Those among the keys that are of an upload."""
        found: set[str] = set()
        with self._database.reading() as session:
            for start in range(0, len(keys), 500):
                found |= set(session.scalars(select(Upload.key).where(Upload.key.in_(keys[start : start + 500]))))
        return found

    def remove(self, key: str, *, untouched_since: float | None = None) -> bool:
        """Remove an upload with its parts; with a time, only if nobody has sent anything since then."""
        statement = delete(Upload).where(Upload.key == key)
        if untouched_since is not None:
            statement = statement.where(Upload.touched_at < untouched_since)
        with self._database.session() as session:
            return session.execute(statement.returning(Upload.key)).first() is not None

    def forget_parts(self, key: str) -> None:
        """Let the client begin anew: no part has arrived."""
        with self._database.session() as session:
            self._lock(session, key, hashed_parts=0, hash_state=None)
            session.execute(delete(UploadPart).where(UploadPart.upload_key == key))

    # --- parts --------------------------------------------------------------------------------------

    def revision(self, upload: Upload, number: int) -> int | None:
        """The revision of a part; None where it has not arrived. Raises NoSuchUpload where the upload is gone."""
        arrived = (UploadPart.upload_key == Upload.key) & (UploadPart.number == number)
        statement = select(Upload.key, UploadPart.revision).outerjoin(UploadPart, arrived)
        with self._database.reading() as session:
            found = session.execute(statement.where(Upload.key == upload.key)).first()
        if found is None:
            raise no_such_upload(upload.sha256)
        revision: int | None = found.revision
        return revision

    def touch(self, upload: Upload) -> None:
        with self._database.session() as session:
            self._lock(session, upload.key, touched_at=self._clock())

    def withdraw(self, upload: Upload, number: int) -> None:
        """A part's bytes are about to be replaced by others: it has not arrived, and is in no hash."""
        with self._database.session() as session:
            self._unhash(session, upload, number)
            session.execute(delete(UploadPart).where(*_part(upload.key, number)))

    def arrived(self, upload: Upload, number: int, revision: int, hashed: Hashed | None = None) -> int | None:
        """A part is whole and in its place.

        Args:
            revision: what tells these bytes from others that came as the same part.
            hashed: the step of the running hash over exactly this part, where it was made.

        Returns:
            the revision that it replaces, if any.

        Raises:
            NoSuchUpload: the upload is gone, or finished.
        """
        with self._database.session() as session:
            hashed_parts, state = self._unhash(session, upload, number)
            before = session.scalars(select(UploadPart.revision).where(*_part(upload.key, number))).first()
            insert = insert_into(session, UploadPart).values(upload_key=upload.key, number=number, revision=revision)
            session.execute(
                insert.on_conflict_do_update(
                    index_elements=[UploadPart.upload_key, UploadPart.number], set_={"revision": revision}
                )
            )
            if hashed is not None and (hashed_parts, state) == (hashed.before_parts, hashed.before):
                self._lock(session, upload.key, hashed_parts=hashed.after_parts, hash_state=hashed.after)
        return before

    # --- the running hash ---------------------------------------------------------------------------

    def backlog(self, upload: Upload, most: int) -> Backlog:
        """What the running hash can go on with: at most so many parts. Raises NoSuchUpload."""
        with self._database.reading() as session:
            columns = select(Upload.hashed_parts, Upload.hash_state)
            row = session.execute(columns.where(Upload.key == upload.key)).first()
            if row is None:
                raise no_such_upload(upload.sha256)
            found = _revisions(session, upload.key, row.hashed_parts, row.hashed_parts + most)
        run = [part for place, part in enumerate(found, row.hashed_parts) if part[0] == place]
        return Backlog(row.hashed_parts, row.hash_state, run)

    def advance(self, upload: Upload, parts: Revisions, step: Hashed) -> bool:
        """Record a step of the running hash; whether the parts are still the ones that were read, and nobody else has
        made the step."""
        with self._database.session() as session:
            row = self._lock(session, upload.key)
            if row is None or row != (step.before_parts, step.before):
                return False
            if _revisions(session, upload.key, step.before_parts, step.after_parts) != parts:
                return False
            self._lock(session, upload.key, hashed_parts=step.after_parts, hash_state=step.after)
        return True

    def reset_hash(self, upload: Upload) -> None:
        """Begin the running hash anew."""
        with self._database.session() as session:
            self._lock(session, upload.key, hashed_parts=0, hash_state=None)

    # --- parts of the transactions ------------------------------------------------------------------

    def _lock(self, session: Session, key: str, **values: object) -> tuple[int, bytes | None] | None:
        """Lock the row, and set values in it; how far the hash is now, or None where the row is gone."""
        statement = update(Upload).where(Upload.key == key).values(values or {"key": key})
        row = session.execute(statement.returning(Upload.hashed_parts, Upload.hash_state)).first()
        return None if row is None else (row.hashed_parts, row.hash_state)

    def _unhash(self, session: Session, upload: Upload, number: int) -> tuple[int, bytes | None]:
        """Lock the row, and begin the hash anew if the part is in it; how far it is now."""
        row = self._lock(session, upload.key, touched_at=self._clock())
        if row is None:
            raise no_such_upload(upload.sha256)
        if number < row[0]:
            self._lock(session, upload.key, hashed_parts=0, hash_state=None)
            return 0, None
        return row


def no_such_upload(sha256: str) -> NoSuchUpload:
    return NoSuchUpload(f"You have no upload with the id {sha256}.", upload=sha256)


def _of(sha256: str, user_id: int) -> tuple[ColumnElement[bool], ...]:
    return Upload.sha256 == sha256, Upload.user_id == user_id


def _part(key: str, number: int) -> tuple[ColumnElement[bool], ...]:
    return UploadPart.upload_key == key, UploadPart.number == number


def _numbers(session: Session, key: str) -> list[int]:
    return [number for number, _ in _revisions(session, key)]


def _revisions(session: Session, key: str, first: int = 0, end: int | None = None) -> Revisions:
    """The parts from ``first`` on and below ``end``."""
    statement = select(UploadPart.number, UploadPart.revision).where(
        UploadPart.upload_key == key, UploadPart.number >= first
    )
    if end is not None:
        statement = statement.where(UploadPart.number < end)
    return [(row.number, row.revision) for row in session.execute(statement.order_by(UploadPart.number))]


def _check_quota(session: Session, sha256: str, user_id: int, size: int, quota: int) -> None:
    stored = select(func.coalesce(func.sum(Blob.size), 0)).where(Blob.owner_id == user_id)
    others = select(func.coalesce(func.sum(Upload.size), 0)).where(Upload.user_id == user_id, Upload.sha256 != sha256)
    taken = int(session.execute(stored).scalar_one()) + int(session.execute(others).scalar_one())
    if taken + size > quota:
        raise Refused(
            f"Your account may keep {quota} bytes, and has {taken}, with what is being uploaded; "
            f"this file has {size} more.",
            reason="quota exceeded",
            extra={"quota": quota, "taken": taken},
        )
