"""Releases: storing them, finding them, hiding them.

Owns the tables ``releases`` and ``release_dependencies``. What always holds: a version that was once taken is never
given again; a release, the files it needs, its place in the order of changes and the call for a new repository are
stored together or not at all.

The order of locks, in each transaction: the mod, then the order of changes, then rows of releases (of any mod).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from knossos.accounts.audit import Actor, record
from knossos.accounts.directory import names_of
from knossos.database import Database
from knossos.publishing import mods
from knossos.publishing.blobs import Blobs, NoSuchBlob
from knossos.publishing.changes import next_change
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.errors import Refused
from knossos.publishing.listing import update_listing
from knossos.publishing.offering import PUBLISHED, update_offered
from knossos.publishing.tables import Release, ReleaseDependency
from knossos.publishing.versions import comparable, version_key


class Mode(StrEnum):
    """What is to be done with a release that was sent."""

    #: Publish it.
    RELEASE = "release"
    #: Change what is said of one that is out; its files stay.
    UPDATE = "update"
    #: Say whether it could be published, before its files are uploaded.
    PREFLIGHT = "preflight"
    #: Do everything but store it.
    DRY_RUN = "dry_run"


@dataclass(frozen=True)
class StoredRelease:
    """A release as it is in the database. Times are Unix time in seconds."""

    id: int
    mod_id: str
    version: str
    document: ReleaseDocument
    private: bool
    #: "published" or "deleted".
    state: str
    #: Whether the repository has it.
    offered: bool
    yanked_at: float | None
    yank_reason: str
    published_by: int | None
    created_at: float
    updated_at: float
    change: int


class Releases:
    """``announce`` has the repository brought up to a change."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        announce: Callable[[int], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._announce = announce
        self._now = now

    def store(
        self,
        document: ReleaseDocument,
        user_id: int,
        mode: Mode = Mode.RELEASE,
        *,
        submission: str = "",
        by: Actor | None = None,
    ) -> int:
        """Store a release that was accepted and checked: a new one, or (UPDATE) the new form of one.

        The same submission (its digest) may store again what it has stored, as a job does that is run again: nothing
        changes then.

        Returns:
            The release's number.

        Raises:
            Refused: ``duplicated version``, ``release missing``.
            NoSuchMod: the mod is gone.
        """
        with self._database.session() as session:
            mods.get(session, document.id, lock=True)
            by = by or Actor(names_of(session, [user_id]).get(user_id, ""))
            found = _find(session, document.id, document.version)
            if mode is Mode.UPDATE:
                return self._replace(session, found, document, by)
            if found is not None and submission and found.submission == submission:
                return found.id
            if found is not None:
                raise duplicated(document.id, document.version)
            return self._insert(session, document, user_id, submission, by)

    def load(self, mod_id: str, version: str) -> StoredRelease | None:
        """The release, whatever its state is. In whatever case its version is written."""
        with self._database.reading() as session:
            row = _find(session, mod_id, version)
            return None if row is None else stored(row)

    def load_number(self, release_id: int) -> StoredRelease | None:
        with self._database.reading() as session:
            row = session.get(Release, release_id)
            return None if row is None else stored(row)

    def latest(self, mod_id: str, *, private: bool = False) -> StoredRelease | None:
        """The newest release that everyone (or, with ``private``, the team) may see and that was not yanked."""
        query = select(Release.id, Release.version).where(
            Release.mod_id == mod_id, Release.state == PUBLISHED, Release.yanked_at.is_(None)
        )
        if not private:
            query = query.where(Release.private.is_(False))
        with self._database.reading() as session:
            rows = session.execute(query).all()
            newest = max(rows, key=lambda row: comparable(row[1]), default=None)
            return None if newest is None else stored(session.get_one(Release, newest[0]))

    def _insert(self, session: Session, document: ReleaseDocument, user_id: int, submission: str, by: Actor) -> int:
        now, change = self._now(), next_change(session)
        row = Release(
            mod_id=document.id,
            version=document.version,
            version_key=version_key(document.version),
            state=PUBLISHED,
            private=document.private,
            stability=document.stability,
            offered=not document.private,
            yanked_at=None,
            document=document.model_dump_json(),
            published_by=user_id,
            submission=submission,
            created_at=now,
            updated_at=now,
            change=change,
        )
        session.add(row)
        session.flush()
        self._settle(session, row, document, set(), by, "release.publish")
        return row.id

    def _replace(self, session: Session, found: Release | None, document: ReleaseDocument, by: Actor) -> int:
        if found is None or found.state != PUBLISHED:
            raise missing(document.id, document.version)
        text = document.model_dump_json()
        if text == found.document:
            return found.id
        change = next_change(session)
        before = dependencies_of(ReleaseDocument.model_validate_json(found.document))
        found.document, found.private, found.stability = text, document.private, document.stability
        found.offered = not document.private and found.yanked_at is None
        found.updated_at, found.change = self._now(), change
        session.flush()
        self._settle(session, found, document, {mod_id for mod_id, _ in before}, by, "release.update")
        return found.id

    def _settle(
        self, session: Session, row: Release, document: ReleaseDocument, before: set[str], by: Actor, action: str
    ) -> None:
        """Everything that follows from a release's new form; ``before`` are the mods that its old one needed."""
        needed = dependencies_of(document)
        session.execute(delete(ReleaseDependency).where(ReleaseDependency.release_id == row.id))
        session.add_all(
            ReleaseDependency(release_id=row.id, mod_id=mod_id, version=version, number=number)
            for number, (mod_id, version) in enumerate(needed)
        )
        session.flush()
        try:
            self._blobs.set_uses(session, "release", str(row.id), blobs_of(document))
        except NoSuchBlob as error:
            raise archive_missing(error.sha256) from error
        self._follow(session, row, before | {mod_id for mod_id, _ in needed}, by, action)

    def _follow(self, session: Session, row: Release, needed: set[str], by: Actor, action: str) -> None:
        """What every change of a release ends with."""
        update_offered(session, {row.mod_id, *needed}, row.change)
        session.flush()
        update_listing(session, row.mod_id, self._now())
        record(
            session,
            actor=by.name,
            address=by.address,
            action=action,
            subject=f"mod:{row.mod_id} {row.version}",
            details={"private": True} if row.private else {},
        )
        session.flush()
        self._announce(row.change)


def dependencies_of(document: ReleaseDocument) -> list[tuple[str, str | None]]:
    """The mods that a release needs, with the versions, each pair once."""
    pairs = ((one.id, one.version) for package in document.packages for one in package.dependencies)
    return list(dict.fromkeys(pairs))


def blobs_of(document: ReleaseDocument) -> set[str]:
    """SHA-256 of all stored files that a release needs: its images, and its files but those that lie elsewhere."""
    images = (document.logo, document.tile, document.banner, *document.screenshots, *document.attachments)
    found = {image.partition(".")[0] for image in images if image}
    files = (file for package in document.packages for file in package.files)
    return found | {file.checksum[1] for file in files if not file.urls}


def stored(row: Release) -> StoredRelease:
    return StoredRelease(
        id=row.id,
        mod_id=row.mod_id,
        version=row.version,
        document=ReleaseDocument.model_validate_json(row.document),
        private=row.private,
        state=row.state,
        offered=row.offered,
        yanked_at=row.yanked_at,
        yank_reason=row.yank_reason,
        published_by=row.published_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        change=row.change,
    )


def duplicated(mod_id: str, version: str) -> Refused:
    return Refused(f"There is (or was) a version {version} of {mod_id} already.", reason="duplicated version")


def missing(mod_id: str, version: str) -> Refused:
    return Refused(f"There is no version {version} of {mod_id}.", reason="release missing")


def archive_missing(sha256: str, errors: list[dict[str, str]] | None = None) -> Refused:
    return Refused(
        f"The file with the SHA-256 {sha256} is not stored here.",
        reason="archive missing",
        extra={"archive": sha256},
        errors=errors,
    )


def _find(session: Session, mod_id: str, version: str) -> Release | None:
    query = select(Release).where(Release.mod_id == mod_id, Release.version_key == version_key(version))
    return session.scalar(query)
