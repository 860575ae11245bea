"""What the database knows of uploads: which parts have arrived whole, and how far the running hash is.

Owns the tables ``uploads`` and ``upload_parts``. Every transaction that changes an upload locks its row first, so they
come one after the other on each kind of database. What always holds: a row of ``upload_parts`` stands for a part whose
bytes are all in their place, and ``hash_state`` is that of exactly the first ``hashed_parts`` parts, as they are now.

A part of ten megabytes is written in a few milliseconds, so the statements that come with each are made once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from knossos.accounts.tables import User
from knossos.database import Database
from knossos.publishing.errors import NoSuchUpload, Refused
from knossos.publishing.tables import Blob, Upload, UploadPart

#: Numbers and revisions of parts.
Revisions = list[tuple[int, int]]

_UPLOADS, _PARTS = cast(Table, Upload.__table__), cast(Table, UploadPart.__table__)
_uploads, _parts = _UPLOADS.c, _PARTS.c
_this = _uploads.key == bindparam("this")
_this_part = (_parts.upload_key == bindparam("this")) & (_parts.number == bindparam("number_"))

_FIND = select(
    _uploads.key,
    _uploads.sha256,
    _uploads.user_id,
    _uploads.size,
    _uploads.parts,
    _uploads.hashed_parts,
    _uploads.hash_state,
).where(_uploads.sha256 == bindparam("sha256_"), _uploads.user_id == bindparam("user_id_"))
_HASH = select(_uploads.hashed_parts, _uploads.hash_state).where(_this)
_LOCK = _HASH.with_for_update()
_TOUCH = update(_UPLOADS).where(_this).values(touched_at=bindparam("touched_at_"))
_SET_HASH = (
    update(_UPLOADS).where(_this).values(hashed_parts=bindparam("hashed_parts_"), hash_state=bindparam("hash_state_"))
)
_REVISION = select(_uploads.key, _parts.revision).outerjoin(_PARTS, _this_part).where(_this)
_REVISIONS = (
    select(_parts.number, _parts.revision)
    .where(
        _parts.upload_key == bindparam("this"),
        _parts.number >= bindparam("first"),
        _parts.number < bindparam("end"),
    )
    .order_by(_parts.number)
)
_TWO_REVISIONS = select(_parts.number, _parts.revision).where(
    _parts.upload_key == bindparam("this"),
    (_parts.number == bindparam("number_")) | (_parts.number == bindparam("following")),
)
_ADD_PART = insert(_PARTS)
_REPLACE_PART = update(_PARTS).where(_this_part).values(revision=bindparam("revision_"))
_REMOVE_PART = delete(_PARTS).where(_this_part)
#: Parts that are not there and that an answer names at the most.
_MOST_NAMED = 1000
#: Above the number of every part.
_END = 2**31 - 1


@dataclass(frozen=True)
class UploadRow:
    """An upload as it was when it was looked up."""

    key: str
    sha256: str
    user_id: int
    size: int
    parts: int
    hashed_parts: int
    hash_state: bytes | None


@dataclass(frozen=True)
class Hashed:
    """A step of the running hash: the state before and after it, and how many parts each stands for."""

    before: bytes | None
    before_parts: int
    after: bytes
    after_parts: int


@dataclass(frozen=True)
class Arrival:
    """``replaced``: the revision of the part that was there before, if any. ``backlog``: the next part that is not
    hashed yet has arrived already."""

    replaced: int | None
    backlog: bool


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

    def find(self, sha256: str, user_id: int) -> UploadRow:
        """The upload of this account. Raises NoSuchUpload."""
        with self._database.reading() as session:
            row = session.connection().execute(_FIND, {"sha256_": sha256, "user_id_": user_id}).first()
        if row is None:
            raise no_such_upload(sha256)
        return UploadRow(*row)

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
            mine = (Upload.sha256 == sha256, Upload.user_id == user_id)
            upload = session.scalars(select(Upload).where(*mine).with_for_update()).first()
            numbers = [number for number, _ in _revisions(session.connection(), upload.key)] if upload else []
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
            if upload is None:
                upload = Upload(key=secrets.token_hex(16), sha256=sha256, user_id=user_id, created_at=now)
                upload.hashed_parts = 0
                session.add(upload)
            upload.size, upload.parts, upload.touched_at = size, parts, now
            return []

    def revisions(self, key: str) -> Revisions:
        """The parts that have arrived, in their order, each with its revision."""
        with self._database.reading() as session:
            return _revisions(session.connection(), key)

    def stale(self, limit: float) -> list[UploadRow]:
        """Uploads that nobody has sent anything to since ``limit``."""
        columns = select(*_FIND.selected_columns).where(_uploads.touched_at < limit)
        with self._database.reading() as session:
            return [UploadRow(*row) for row in session.execute(columns)]

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

    def forget_parts(self, upload: UploadRow) -> None:
        """Let the client begin anew: no part has arrived."""
        with self._database.session() as session:
            connection = session.connection()
            _lock(connection, upload)
            _set_hash(connection, upload, 0, None)
            session.execute(delete(UploadPart).where(UploadPart.upload_key == upload.key))

    # --- parts --------------------------------------------------------------------------------------

    def revision(self, upload: UploadRow, number: int) -> int | None:
        """The revision of a part; None where it has not arrived. Raises NoSuchUpload where the upload is gone."""
        with self._database.reading() as session:
            row = session.connection().execute(_REVISION, {"this": upload.key, "number_": number}).first()
        if row is None:
            raise no_such_upload(upload.sha256)
        revision: int | None = row.revision
        return revision

    def touch(self, upload: UploadRow) -> None:
        with self._database.session() as session:
            session.connection().execute(_TOUCH, {"this": upload.key, "touched_at_": self._clock()})

    def withdraw(self, upload: UploadRow, number: int) -> None:
        """A part's bytes are about to be replaced by others: it has not arrived, and is in no hash."""
        with self._database.session() as session:
            connection = session.connection()
            self._unhash(connection, upload, number)
            connection.execute(_REMOVE_PART, {"this": upload.key, "number_": number})

    def arrived(self, upload: UploadRow, number: int, revision: int, hashed: Hashed | None = None) -> Arrival:
        """A part is whole and in its place.

        Args:
            revision: what tells these bytes from others that came as the same part.
            hashed: the step of the running hash over exactly this part, where it was made.

        Raises:
            NoSuchUpload: the upload is gone, or finished.
        """
        with self._database.session() as session:
            connection = session.connection()
            hashed_parts, state = self._unhash(connection, upload, number)
            steps = hashed is not None and (hashed_parts, state) == (hashed.before_parts, hashed.before)
            following = number + 1 if steps else hashed_parts
            places = {"this": upload.key, "number_": number, "following": following}
            known = {row.number: row.revision for row in connection.execute(_TWO_REVISIONS, places)}
            before = known.get(number)
            if before is None:
                row = {"upload_key": upload.key, "number": number, "revision": revision}
                connection.execute(_ADD_PART, row)
            else:
                connection.execute(_REPLACE_PART, {"this": upload.key, "number_": number, "revision_": revision})
            if steps and hashed is not None:
                _set_hash(connection, upload, hashed.after_parts, hashed.after)
        return Arrival(before, backlog=following == number or following in known)

    # --- the running hash ---------------------------------------------------------------------------

    def backlog(self, upload: UploadRow, most: int) -> Backlog:
        """What the running hash can go on with: at most so many parts. Raises NoSuchUpload."""
        with self._database.reading() as session:
            connection = session.connection()
            row = connection.execute(_HASH, {"this": upload.key}).first()
            if row is None:
                raise no_such_upload(upload.sha256)
            found = _revisions(connection, upload.key, row.hashed_parts, row.hashed_parts + most)
        run = [part for place, part in enumerate(found, row.hashed_parts) if part[0] == place]
        return Backlog(row.hashed_parts, row.hash_state, run)

    def advance(self, upload: UploadRow, parts: Revisions, step: Hashed) -> bool:
        """Record a step of the running hash; whether the parts are still the ones that were read, and nobody else has
        made the step."""
        with self._database.session() as session:
            connection = session.connection()
            if _lock(connection, upload) != (step.before_parts, step.before):
                return False
            if _revisions(connection, upload.key, step.before_parts, step.after_parts) != parts:
                return False
            _set_hash(connection, upload, step.after_parts, step.after)
        return True

    def reset_hash(self, upload: UploadRow) -> None:
        """Begin the running hash anew."""
        with self._database.session() as session:
            _set_hash(session.connection(), upload, 0, None)

    def _unhash(self, connection: Connection, upload: UploadRow, number: int) -> tuple[int, bytes | None]:
        """Lock the row, and begin the hash anew if the part is in it; how far it is now."""
        row = _lock(connection, upload)
        if row is None:
            raise no_such_upload(upload.sha256)
        connection.execute(_TOUCH, {"this": upload.key, "touched_at_": self._clock()})
        if number < row[0]:
            _set_hash(connection, upload, 0, None)
            return 0, None
        return row


def no_such_upload(sha256: str) -> NoSuchUpload:
    return NoSuchUpload(f"You have no upload with the id {sha256}.", upload=sha256)


def missing_parts(numbers: list[int], parts: int) -> Refused:
    return Refused(
        f"{len(numbers)} of {parts} parts are missing.",
        reason="missing parts",
        extra={"missing_parts": numbers[:_MOST_NAMED]},
    )


def _lock(connection: Connection, upload: UploadRow) -> tuple[int, bytes | None] | None:
    """Lock the row (SQLite has locked everything already); how far the hash is, or None where the row is gone."""
    row = connection.execute(_LOCK, {"this": upload.key}).first()
    return None if row is None else (row.hashed_parts, row.hash_state)


def _set_hash(connection: Connection, upload: UploadRow, parts: int, state: bytes | None) -> None:
    connection.execute(_SET_HASH, {"this": upload.key, "hashed_parts_": parts, "hash_state_": state})


def _revisions(connection: Connection, key: str, first: int = 0, end: int = _END) -> Revisions:
    """The parts from ``first`` on and below ``end``."""
    rows = connection.execute(_REVISIONS, {"this": key, "first": first, "end": end})
    return [(row.number, row.revision) for row in rows]


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
