"""Releases: storing them, finding them, hiding them.

Owns the tables ``releases`` and ``release_dependencies``. What always holds: a version that was once taken is never
given again; a release, the files it needs, its place in the order of changes and the call for a new repository are
stored together or not at all.

The order of locks, in each transaction: the mod, then the order of changes, then rows of releases (of any mod).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from knossos.accounts.audit import Actor, record
from knossos.accounts.directory import names_of
from knossos.accounts.standing import standing
from knossos.accounts.tokens import Identity, Proof
from knossos.database import Database
from knossos.publishing import acceptance, mods
from knossos.publishing.blobs import Blobs, NoSuchBlob
from knossos.publishing.changes import next_change
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.listing import summary_of, update_listing
from knossos.publishing.offering import DELETED, PUBLISHED, update_offered
from knossos.publishing.refusals import archive_missing, duplicated, missing
from knossos.publishing.release_rows import Mode, StoredRelease, blobs_of, dependencies_of, find, stored
from knossos.publishing.tables import Release, ReleaseDependency
from knossos.publishing.teams import TeamRole, require
from knossos.publishing.versions import comparable, version_key

__all__ = ["Mode", "Releases", "StoredRelease", "blobs_of", "dependencies_of"]

#: Longest reason for which a release is not offered any more, in characters.
MAX_REASON_CHARS = 500


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

    def accept(
        self,
        identity: Identity,
        data: dict[str, Any],
        *,
        mode: Mode,
        new_mod: mods.ModFacts | None = None,
        repeats: bool = False,
    ) -> ReleaseDocument:
        """What was sent, as it would be stored; `acceptance.accept` says what is looked at and what is refused."""
        with self._database.reading() as session:
            return acceptance.accept(session, identity, data, mode, mods.day_of(self._now()), new_mod, repeats)

    def store(
        self,
        document: ReleaseDocument,
        user_id: int,
        mode: Mode = Mode.RELEASE,
        *,
        submission: str = "",
        by: Actor | None = None,
        proof: Proof = Proof(),  # noqa: B008 (it is frozen)
    ) -> int:
        """Store a release that was accepted and checked: a new one, or (UPDATE) the new form of one.

        The same submission (its digest) may store again what it has stored, as a job does that is run again: nothing
        changes then. Between the request and now hours may have gone by, so whether the account (known by ``proof``)
        may publish is asked once more.

        Returns:
            The release's number.

        Raises:
            Refused: ``duplicated version``, ``release missing``, ``unauthorized``.
            AccessDenied: the account was disabled, or its token revoked, meanwhile.
            NoSuchMod: the mod is gone.
        """
        with self._database.session() as session:
            mods.get(session, document.id, lock=True)
            by = by or Actor(names_of(session, [user_id]).get(user_id, ""))
            found = find(session, document.id, document.version)
            if mode is not Mode.UPDATE and found is not None and submission and found.submission == submission:
                return found.id
            require(session, standing(session, user_id, proof), document.id, TeamRole.UPLOADER)
            if mode is Mode.UPDATE:
                return self._replace(session, found, document, by)
            if found is not None:
                raise duplicated(document.id, document.version)
            return self._insert(session, document, user_id, submission, by)

    def delete(self, identity: Identity, mod_id: str, version: str, by: Actor) -> StoredRelease:
        """Hide a release from everyone. Its version stays taken, and its files stay for those who depend on them.

        Returns:
            The release, deleted.

        Raises:
            NoSuchMod: there is no such mod.
            Refused: ``unauthorized``, ``release missing``.
        """
        with self._database.session() as session:
            row = self._change(session, identity, mod_id, version)
            row.state, row.offered = DELETED, False
            self._follow(session, row, self._needs_of(session, row), by, "release.delete")
            return stored(row)

    def yank(self, identity: Identity, mod_id: str, version: str, reason: str, by: Actor) -> None:
        """Offer a release no longer, except to those who depend on it. Raises as `delete` does."""
        with self._database.session() as session:
            row = self._change(session, identity, mod_id, version)
            row.yanked_at, row.yank_reason = row.yanked_at or self._now(), reason[:MAX_REASON_CHARS]
            self._follow(session, row, self._needs_of(session, row), by, "release.yank")

    def unyank(self, identity: Identity, mod_id: str, version: str, by: Actor) -> None:
        """Offer a release again. Raises as `delete` does."""
        with self._database.session() as session:
            row = self._change(session, identity, mod_id, version)
            row.yanked_at, row.yank_reason, row.offered = None, "", not row.private
            self._follow(session, row, self._needs_of(session, row), by, "release.unyank")

    def load(self, mod_id: str, version: str) -> StoredRelease | None:
        """The release, whatever its state is. In whatever case its version is written."""
        with self._database.reading() as session:
            row = find(session, mod_id, version)
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
            summary=summary_of(document),
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
        session.refresh(found)  # other mods' changes may have touched it until now
        before = dependencies_of(ReleaseDocument.model_validate_json(found.document))
        found.document, found.summary = text, summary_of(document)
        found.private, found.stability = document.private, document.stability
        found.offered = not document.private and found.yanked_at is None
        found.updated_at, found.change = self._now(), change
        session.flush()
        self._settle(session, found, document, {mod_id for mod_id, _ in before}, by, "release.update")
        return found.id

    def _change(self, session: Session, identity: Identity, mod_id: str, version: str) -> Release:
        """The release, with its place in the order of changes, for somebody who may change it."""
        mods.get(session, mod_id, lock=True)
        require(session, identity, mod_id, TeamRole.UPLOADER)
        row = find(session, mod_id, version)
        if row is None or row.state != PUBLISHED:
            raise missing(mod_id, version)
        change = next_change(session)
        session.refresh(row)  # other mods' changes may have touched it until now
        row.change, row.updated_at = change, self._now()
        return row

    def _needs_of(self, session: Session, row: Release) -> set[str]:
        """The mods that a release needs."""
        query = select(ReleaseDependency.mod_id).where(ReleaseDependency.release_id == row.id)
        return set(session.scalars(query))

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
        update_listing(session, row.mod_id, None if row.private else self._now())
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
