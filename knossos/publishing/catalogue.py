"""What people look up: lists of mods with search, and what the page of a mod shows. Only reads.

Everyone sees public releases; the team of a mod and operators see its private ones too. What somebody may not see is
for them as if it did not exist. Searching reads no release's document: the mods' rows have what lists show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.publishing.blobs import IMAGE_EXTENSIONS
from knossos.publishing.errors import NoSuchMod
from knossos.publishing.offering import PUBLISHED
from knossos.publishing.release_input import is_mod_id
from knossos.publishing.release_rows import StoredRelease, stored
from knossos.publishing.tables import Blob, Member, Mod, Release, ReleaseDependency
from knossos.publishing.teams import TeamMember, TeamRole, members, role_of
from knossos.publishing.versions import comparable, version_key

#: Most mods that are named as needing another one.
MAX_NEEDED_BY = 200
#: Words of a search that count.
MAX_WORDS = 8


class Order(StrEnum):
    """How a list of mods is sorted."""

    #: The mod whose release changed last comes first.
    UPDATED = "updated"
    TITLE = "title"


@dataclass(frozen=True)
class ListedMod:
    """A mod by the release that stands for it. ``tile`` is the name of an image; times are Unix time in seconds."""

    id: str
    title: str
    type: str
    version: str
    stability: str | None
    tile: str | None
    updated_at: float


@dataclass(frozen=True)
class Found:
    """A page of a list, and how many there are on all its pages."""

    mods: list[ListedMod]
    total: int


@dataclass(frozen=True)
class VersionRow:
    version: str
    private: bool
    yanked: bool
    published_at: float


@dataclass(frozen=True)
class NeedingMod:
    """A mod whose listed release depends on another; ``version`` is what it asks for."""

    id: str
    title: str
    version: str | None


@dataclass(frozen=True)
class ModPage:
    """What somebody sees of a mod, with one of its releases."""

    release: StoredRelease
    #: Those that they may see, newest first.
    versions: list[VersionRow]
    #: The version that the mod's own page shows.
    latest: str
    #: The owners; for the team itself, everybody in it.
    members: list[TeamMember]
    #: Their own role; operators of the site have that of an owner.
    role: TeamRole | None
    #: Titles of the mods that this release speaks of, as far as they may see them.
    titles: dict[str, str]
    needed_by: list[NeedingMod]


class Catalogue:
    def __init__(self, database: Database) -> None:
        self._database = database

    def search(
        self,
        text: str = "",
        *,
        kind: str = "",
        stability: str = "",
        order: Order = Order.UPDATED,
        page: int = 1,
        per_page: int = 24,
    ) -> Found:
        """Public mods that have every word of ``text`` in their id, title or description; "" for everything."""
        query = select(Mod, Release.version, Release.stability, Blob.content_type)
        query = query.join(Release, Release.id == Mod.listed_id).outerjoin(Blob, Blob.sha256 == Mod.tile)
        query = query.where(*_conditions(text, kind, stability))
        by = func.lower(Mod.title) if order is Order.TITLE else Mod.updated_at.desc()
        with self._database.reading() as session:
            total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
            rows = session.execute(query.order_by(by, Mod.id).limit(per_page).offset((page - 1) * per_page)).tuples()
            return Found([_listed(*row) for row in rows], total)

    def mod(self, identity: Identity | None, mod_id: str, version: str = "") -> ModPage:
        """What a visitor sees of a mod, with the given release or the latest.

        Raises:
            NoSuchMod: there is no such mod or release, or they may not see it.
        """
        with self._database.reading() as session:
            role = _role(session, identity, mod_id)
            rows = _visible_rows(session, mod_id, with_private=role is not None)
            if not rows:
                raise _no_such_mod(mod_id)
            latest = max(rows, key=lambda row: (not row.yanked, comparable(row.version)))
            wanted = version_key(version) if version else version_key(latest.version)
            if wanted not in {version_key(row.version) for row in rows}:
                raise _no_such_mod(mod_id)
            release = stored(
                session.scalars(select(Release).where(Release.mod_id == mod_id, Release.version_key == wanted)).one()
            )
            team = members(session, mod_id)
            return ModPage(
                release=release,
                versions=sorted(rows, key=lambda row: comparable(row.version), reverse=True),
                latest=latest.version,
                members=[one for one in team if role is not None or one.role is TeamRole.OWNER],
                role=role,
                titles=_titles(session, identity, _mods_of(release)),
                needed_by=_needed_by(session, mod_id),
            )


def _conditions(text: str, kind: str, stability: str) -> list[ColumnElement[bool]]:
    words = text.lower().split()[:MAX_WORDS]
    found: list[ColumnElement[bool]] = [Mod.search_text.contains(word, autoescape=True) for word in words]
    found += [Mod.type == kind] if kind else []
    return found + ([Release.stability == stability] if stability else [])


def _listed(mod: Mod, version: str, stability: str | None, content_type: str | None) -> ListedMod:
    extension = IMAGE_EXTENSIONS.get(content_type or "")
    return ListedMod(
        id=mod.id,
        title=mod.title,
        type=mod.type,
        version=version,
        stability=stability,
        tile=f"{mod.tile}.{extension}" if mod.tile and extension else None,
        updated_at=mod.updated_at,
    )


def _role(session: Session, identity: Identity | None, mod_id: str) -> TeamRole | None:
    if identity is None or not is_mod_id(mod_id):
        return None
    return TeamRole.OWNER if identity.is_operator else role_of(session, mod_id, identity.user_id)


def _visible_rows(session: Session, mod_id: str, *, with_private: bool) -> list[VersionRow]:
    if not is_mod_id(mod_id):
        return []
    query = select(Release.version, Release.private, Release.yanked_at, Release.created_at).where(
        Release.mod_id == mod_id, Release.state == PUBLISHED
    )
    if not with_private:
        query = query.where(Release.private.is_(False))
    return [
        VersionRow(version, private, yanked_at is not None, created_at)
        for version, private, yanked_at, created_at in session.execute(query).tuples()
    ]


def _mods_of(release: StoredRelease) -> set[str]:
    """The mods that a release speaks of."""
    needed = {one.id for package in release.document.packages for one in package.dependencies}
    return needed | ({release.document.parent} if release.document.parent else set())


def _titles(session: Session, identity: Identity | None, mod_ids: Iterable[str]) -> dict[str, str]:
    seen: ColumnElement[bool] = Mod.listed_id.is_not(None)
    if identity is not None:
        own = select(Member.mod_id).where(Member.user_id == identity.user_id)
        seen = or_(seen, Mod.id.in_(own))
    query = select(Mod.id, Mod.title).where(and_(Mod.id.in_(sorted(mod_ids)), seen))
    return dict(session.execute(query).tuples().all())


def _needed_by(session: Session, mod_id: str) -> list[NeedingMod]:
    query = (
        select(Mod.id, Mod.title, ReleaseDependency.version)
        .join(ReleaseDependency, ReleaseDependency.release_id == Mod.listed_id)
        .where(ReleaseDependency.mod_id == mod_id, Mod.id != mod_id)
        .order_by(func.lower(Mod.title), Mod.id, ReleaseDependency.number)
        .limit(MAX_NEEDED_BY)
    )
    found: dict[str, NeedingMod] = {}
    for other, title, version in session.execute(query).tuples():
        found.setdefault(other, NeedingMod(other, title, version))
    return list(found.values())


def _no_such_mod(mod_id: str) -> NoSuchMod:
    return NoSuchMod("There is no such mod here.", mod_id=mod_id[:200])
