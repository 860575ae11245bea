"""What the checks of a release ask the repository, answered from the database for one account.

Each question is asked once. Of a release only its packages' names and needs are read, and only of those that are asked
for: a mod may have hundreds of releases with long lists of files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, select

from knossos.database import Database
from knossos.publishing.checks import KnownPackage, KnownRelease, Repository, Requirement
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.offering import PUBLISHED
from knossos.publishing.tables import Blob, Member, Mod, Release


class KnownMods:
    """The repository as an account sees it; fits `checks.Repository`."""

    def __init__(self, database: Database, user_id: int) -> None:
        self._database = database
        self._user_id = user_id
        self._releases: dict[str, list[KnownRelease]] = {}
        self._packages: dict[tuple[str, str], list[KnownPackage]] = {}

    def releases(self, mod_id: str) -> Sequence[KnownRelease]:
        if mod_id not in self._releases:
            query = select(Release.version, Release.private, Release.yanked_at).where(
                Release.mod_id == mod_id, Release.state == PUBLISHED, self._visible()
            )
            with self._database.reading() as session:
                found = [
                    KnownRelease(version, private, yanked_at is not None)
                    for version, private, yanked_at in session.execute(query)
                ]
            self._releases[mod_id] = sorted(found, key=lambda release: release.order, reverse=True)
        return self._releases[mod_id]

    def packages(self, mod_id: str, version: str) -> Sequence[KnownPackage]:
        if (mod_id, version) not in self._packages:
            query = select(Release.document).where(
                Release.mod_id == mod_id, Release.version == version, Release.state == PUBLISHED, self._visible()
            )
            with self._database.reading() as session:
                text = session.scalar(query)
            self._packages[mod_id, version] = _packages(text, f"{mod_id} {version}") if text else []
        return self._packages[mod_id, version]

    def has_mod(self, mod_id: str) -> bool:
        return bool(self.releases(mod_id)) or mod_id in self._own_mods()

    def similar_id(self, mod_id: str) -> str | None:
        with self._database.reading() as session:
            found = session.scalar(select(Mod.id).where(Mod.id_key == mod_id.lower()))
        return found if found is not None and found != mod_id and self.has_mod(found) else None

    def image_type(self, sha256: str) -> str | None:
        with self._database.reading() as session:
            return session.scalar(select(Blob.content_type).where(Blob.sha256 == sha256))

    def _visible(self) -> ColumnElement[bool]:
        mine = select(Member.mod_id).where(Member.user_id == self._user_id)
        return or_(Release.private.is_(False), Release.mod_id.in_(mine))

    def _own_mods(self) -> set[str]:
        with self._database.reading() as session:
            return set(session.scalars(select(Member.mod_id).where(Member.user_id == self._user_id)))


class WithPending:
    """A repository together with releases that are about to be published along."""

    def __init__(self, known: Repository, pending: Sequence[ReleaseDocument]) -> None:
        self._known = known
        self._pending = {(document.id, document.version): document for document in pending}

    def releases(self, mod_id: str) -> Sequence[KnownRelease]:
        found = {release.version: release for release in self._known.releases(mod_id)}
        for (pending_id, version), document in self._pending.items():
            if pending_id == mod_id:
                found[version] = KnownRelease(version, document.private)
        return sorted(found.values(), key=lambda release: release.order, reverse=True)

    def packages(self, mod_id: str, version: str) -> Sequence[KnownPackage]:
        document = self._pending.get((mod_id, version))
        if document is None:
            return self._known.packages(mod_id, version)
        return _packages(document.model_dump_json(), f"{mod_id} {version}")

    def has_mod(self, mod_id: str) -> bool:
        return any(pending_id == mod_id for pending_id, _ in self._pending) or self._known.has_mod(mod_id)

    def similar_id(self, mod_id: str) -> str | None:
        alike = (one for one, _ in self._pending if one != mod_id and one.lower() == mod_id.lower())
        return next(alike, None) or self._known.similar_id(mod_id)

    def image_type(self, sha256: str) -> str | None:
        return self._known.image_type(sha256)


def _packages(document: str, wanted_by: str) -> list[KnownPackage]:
    return [
        KnownPackage(
            package["name"],
            package["status"],
            tuple(
                Requirement(one["id"], one["version"], tuple(one["packages"]), wanted_by)
                for one in package["dependencies"]
            ),
        )
        for package in json.loads(document)["packages"]
    ]
