"""What the pages show of mods: lists that are searched and filtered, and all there is to say of one mod.

Everything here respects who asks: private releases are seen by the mod's team and by operators only, deleted ones by
nobody. Lists read summaries, never documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session, defer

from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.publishing.errors import NoSuchMod, NoSuchRelease
from knossos.publishing.listing import Summary
from knossos.publishing.release_input import is_mod_id
from knossos.publishing.release_rows import StoredRelease, find, stored
from knossos.publishing.tables import Mod, Release, ReleaseDependency
from knossos.publishing.teams import TeamMember, TeamRole, members, role_of
from knossos.publishing.versions import comparable
from knossos.publishing.visibility import in_my_teams, visible

Sort = Literal["updated", "newest", "title"]

#: Mods on a page of a list, longest text that is searched for (characters), and most words of it.
PAGE_SIZE = 24
MAX_SEARCH_CHARS, MAX_SEARCH_WORDS = 200, 8
#: Most mods that are named as needing one.
MAX_NEEDED_BY = 200


@dataclass(frozen=True)
class ModCard:
    """A mod in a list, by the release that stands for it. ``tile`` and ``logo`` are ``<sha256>.<extension>``."""

    id: str
    title: str
    type: str
    #: "" for a mod without any release, which only its team sees.
    version: str
    stability: str | None
    #: Whether only the team sees that release.
    private: bool
    description: str
    tile: str | None
    logo: str | None
    #: YYYY-MM-DD.
    first_release: str
    last_update: str


@dataclass(frozen=True)
class CardPage:
    cards: list[ModCard]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class VersionLine:
    """A version in the list of a mod's versions."""

    version: str
    private: bool
    yanked: bool
    stability: str | None
    #: YYYY-MM-DD.
    last_update: str
    #: Unix time in seconds.
    created_at: float


@dataclass(frozen=True)
class ModPage:
    """Everything about a mod, and one of its releases in full."""

    id: str
    title: str
    type: str
    release: StoredRelease
    #: The newest that the visitor sees; and whether that is the one that is shown.
    latest: str
    is_latest: bool
    #: Newest first.
    versions: list[VersionLine]
    needed_by: list[ModCard]
    #: Titles of the mods that the release speaks of (dependencies, parent, flags) and that the visitor may know of.
    titles: dict[str, str]
    #: Owners, managers and uploaders.
    team: list[TeamMember]
    #: What the visitor is in the team; an operator is what an owner is.
    role: TeamRole | None


class Catalogue:
    def __init__(self, database: Database) -> None:
        self._database = database

    def search(
        self,
        identity: Identity | None,
        *,
        text: str = "",
        type: str | None = None,
        stability: str | None = None,
        sort: Sort = "updated",
        page: int = 1,
        size: int = PAGE_SIZE,
    ) -> CardPage:
        """A page of the list of mods that the caller may know of.

        Args:
            text: words, each of which must be in the id, the title or the description.
            type: such as "mod"; None: all.
            stability: only mods with a release of that stability; None: all.
            page: from 1; a page beyond the last is the last.
        """
        words = text.replace("\0", "").lower()[:MAX_SEARCH_CHARS].split()[:MAX_SEARCH_WORDS]
        conditions: list[ColumnElement[bool]] = [_known(identity)]
        conditions += [Mod.search_text.contains(word, autoescape=True) for word in words]
        if type:
            conditions.append(Mod.type == type)
        if stability:
            of_mod = select(Release.id).where(Release.mod_id == Mod.id, Release.stability == stability)
            conditions.append(of_mod.where(visible(identity), Release.yanked_at.is_(None)).exists())
        with self._database.reading() as session:
            total = session.scalar(select(func.count()).select_from(Mod).where(*conditions)) or 0
            pages = max(1, -(-total // size))
            page = min(max(page, 1), pages)
            query = select(Mod.id).where(*conditions).order_by(*_order(sort, words))
            ids = session.scalars(query.offset((page - 1) * size).limit(size)).all()
            return CardPage(_cards(session, identity, ids), total, page, pages)

    def page(self, identity: Identity | None, mod_id: str, version: str | None = None) -> ModPage:
        """What a mod's page shows; ``version`` None: the newest that was not yanked.

        Raises:
            NoSuchMod: there is none, or none that the caller may know of.
            NoSuchRelease: likewise, of a version or of any.
        """
        with self._database.reading() as session:
            query = select(Mod).where(Mod.id == mod_id, _known(identity))
            mod = session.scalar(query) if is_mod_id(mod_id) else None
            if mod is None:
                raise NoSuchMod("There is no such mod.", mod_id=mod_id[:200])
            lines = _versions(session, identity, mod_id)
            latest = next((line.version for line in lines if not line.yanked), lines[0].version if lines else "")
            row = find(session, mod_id, version or latest)
            if row is None or row.version not in {line.version for line in lines}:
                raise NoSuchRelease("There is no such version.", mod_id=mod_id, version=version or "")
            release = stored(row)
            team = members(session, mod_id)
            return ModPage(
                id=mod.id,
                title=mod.title,
                type=mod.type,
                release=release,
                latest=latest,
                is_latest=row.version == latest,
                versions=lines,
                needed_by=_needed_by(session, identity, mod_id),
                titles=_titles(session, identity, release),
                team=[member for member in team if member.role <= TeamRole.UPLOADER],
                role=_role(session, identity, mod_id),
            )

    def needed_by(self, identity: Identity | None, mod_id: str) -> list[ModCard]:
        """The mods with a release that needs this one, by title; not more than `MAX_NEEDED_BY`."""
        with self._database.reading() as session:
            return _needed_by(session, identity, mod_id)


def _known(identity: Identity | None) -> ColumnElement[bool]:
    """Mods that the caller may know of: those with a public release, and those of the caller's teams."""
    return Mod.listed_id.is_not(None) | in_my_teams(identity, Mod.id.expression)


def _order(sort: Sort, words: Sequence[str]) -> list[ColumnElement[Any]]:
    order: list[ColumnElement[Any]] = []
    if words:
        # A word in the title or the id says more than one in the description.
        named = func.lower(Mod.title).contains(words[0], autoescape=True) | Mod.id_key.contains(
            words[0], autoescape=True
        )
        order.append(case((named, 0), else_=1))
    if sort == "title":
        order.append(func.lower(Mod.title))
    else:
        order.append(Mod.created_at.desc() if sort == "newest" else Mod.updated_at.desc())
    return [*order, Mod.id.expression]


#: Columns of a release on a card.
_SHOWN = (Release.version, Release.stability, Release.private, Release.summary)


def _cards(session: Session, identity: Identity | None, ids: Sequence[str]) -> list[ModCard]:
    """The mods in that order, each by its listed release; where it has none, by the newest that the caller sees."""
    query = select(Mod, *_SHOWN).outerjoin(Release, Release.id == Mod.listed_id).where(Mod.id.in_(ids))
    found = {row[0].id: _card(*row) for row in session.execute(query.options(defer(Mod.search_text)))}
    hidden = [mod_id for mod_id, card in found.items() if not card.version]
    query = select(Mod, *_SHOWN).join(Release, Release.mod_id == Mod.id).where(Mod.id.in_(hidden), visible(identity))
    best: dict[str, ModCard] = {}
    for row in session.execute(query) if hidden else ():
        card = _card(*row)
        if card.id not in best or comparable(card.version) > comparable(best[card.id].version):
            best[card.id] = card
    return [best.get(mod_id, found[mod_id]) for mod_id in ids if mod_id in found]


def _card(mod: Mod, version: str | None, stability: str | None, private: bool | None, text: str | None) -> ModCard:
    summary = Summary.model_validate_json(text or "{}")
    return ModCard(
        id=mod.id,
        title=mod.title,
        type=mod.type,
        version=version or "",
        stability=stability,
        private=bool(private) or not version,
        description=summary.description,
        tile=summary.tile,
        logo=summary.logo,
        first_release=summary.first_release or mod.first_release or "",
        last_update=summary.last_update,
    )


def _versions(session: Session, identity: Identity | None, mod_id: str) -> list[VersionLine]:
    query = select(
        Release.version,
        Release.private,
        Release.yanked_at,
        Release.stability,
        Release.summary,
        Release.created_at,
    ).where(Release.mod_id == mod_id, visible(identity))
    lines = [
        VersionLine(
            version,
            private,
            yanked_at is not None,
            stability,
            Summary.model_validate_json(text).last_update,
            created_at,
        )
        for version, private, yanked_at, stability, text, created_at in session.execute(query)
    ]
    return sorted(lines, key=lambda line: comparable(line.version), reverse=True)


def _needed_by(session: Session, identity: Identity | None, mod_id: str) -> list[ModCard]:
    query = (
        select(Release.mod_id)
        .join(ReleaseDependency, ReleaseDependency.release_id == Release.id)
        .where(ReleaseDependency.mod_id == mod_id, visible(identity), Release.yanked_at.is_(None))
        .distinct()
        .order_by(Release.mod_id)
        .limit(MAX_NEEDED_BY)
    )
    cards = _cards(session, identity, [one for one in session.scalars(query) if one != mod_id])
    return sorted(cards, key=lambda card: (card.title.lower(), card.id))


def _titles(session: Session, identity: Identity | None, release: StoredRelease) -> dict[str, str]:
    document = release.document
    named: Iterable[str] = {
        *(one.id for package in document.packages for one in package.dependencies),
        *([document.parent] if document.parent else []),
        *document.mod_flag,
    }
    query = select(Mod.id, Mod.title).where(Mod.id.in_(named), _known(identity))
    return dict(session.execute(query).all())


def _role(session: Session, identity: Identity | None, mod_id: str) -> TeamRole | None:
    if identity is None:
        return None
    return TeamRole.OWNER if identity.is_operator else role_of(session, mod_id, identity.user_id)
