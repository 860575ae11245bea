"""What the team of a mod works with: the list of their mods, and of one mod all that there is and was. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from knossos.accounts.directory import names_of
from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.publishing import mods
from knossos.publishing.listing import Summary
from knossos.publishing.mods import ModFacts, facts_of
from knossos.publishing.release_references import look_up
from knossos.publishing.tables import Member, Mod, Release, Webhook
from knossos.publishing.teams import TeamMember, TeamRole, members, require
from knossos.publishing.versions import comparable


@dataclass(frozen=True)
class OwnMod:
    """A mod in whose team somebody is. ``releases`` counts those that are out.

    ``tile`` is the name of an image: the mod's own, or that of the release that stands for it in lists.
    """

    id: str
    title: str
    type: str
    role: TeamRole
    tile: str | None
    releases: int
    #: Unix time in seconds.
    updated_at: float


@dataclass(frozen=True)
class OwnRelease:
    """A version, also one that was deleted. Times are Unix time in seconds."""

    version: str
    is_deleted: bool
    private: bool
    yanked_at: float | None
    yank_reason: str
    published_by: str
    created_at: float


@dataclass(frozen=True)
class Bench:
    """One mod as its team sees it, newest release first. ``logo`` and ``tile`` are names of images."""

    facts: ModFacts
    logo: str | None
    tile: str | None
    role: TeamRole
    members: Sequence[TeamMember]
    releases: Sequence[OwnRelease]
    webhooks: int


class Workshop:
    def __init__(self, database: Database) -> None:
        self._database = database

    def mods_of(self, identity: Identity) -> list[OwnMod]:
        """The mods in whose teams the caller is, the one that changed last first."""
        counts = (
            select(Release.mod_id, func.count().label("releases"))
            .where(Release.state == "published")
            .group_by(Release.mod_id)
            .subquery()
        )
        query = (
            select(Mod, Member.role, counts.c.releases, Release.summary)
            .join(Member, Member.mod_id == Mod.id)
            .outerjoin(Release, Release.id == Mod.listed_id)
            .outerjoin(counts, counts.c.mod_id == Mod.id)
            .where(Member.user_id == identity.user_id)
            .order_by(Mod.updated_at.desc(), Mod.id)
        )
        with self._database.reading() as session:
            rows = session.execute(query).tuples().all()
            names = _image_names(session, {mod.tile for mod, *_ in rows if mod.tile})
            return [
                OwnMod(
                    id=mod.id,
                    title=mod.title,
                    type=mod.type,
                    role=TeamRole(role),
                    tile=names.get(mod.tile or "") or _listed_tile(summary),
                    releases=releases or 0,
                    updated_at=mod.updated_at,
                )
                for mod, role, releases, summary in rows
            ]

    def bench(self, identity: Identity, mod_id: str) -> Bench:
        """Everything about a mod.

        Raises:
            NoSuchMod: there is no such mod.
            Refused: ``unauthorized``: the caller is not in its team.
        """
        with self._database.reading() as session:
            mod = mods.get(session, mod_id)
            role = require(session, identity, mod_id, TeamRole.TESTER)
            names = _image_names(session, {image for image in (mod.logo, mod.tile) if image})
            summary = select(Release.summary).where(Release.id == mod.listed_id)
            webhooks = select(func.count()).select_from(Webhook).where(Webhook.mod_id == mod_id)
            return Bench(
                facts=facts_of(mod),
                logo=names.get(mod.logo or ""),
                tile=names.get(mod.tile or "") or _listed_tile(session.scalar(summary)),
                role=role,
                members=members(session, mod_id),
                releases=_releases(session, mod_id),
                webhooks=session.scalar(webhooks) or 0,
            )


def _listed_tile(summary: str | None) -> str | None:
    return Summary.model_validate_json(summary or "{}").tile


def _image_names(session: Session, images: set[str]) -> dict[str, str]:
    return look_up(session, {"screenshots": sorted(images)}).images


def _releases(session: Session, mod_id: str) -> list[OwnRelease]:
    query = select(
        Release.version,
        Release.state,
        Release.private,
        Release.yanked_at,
        Release.yank_reason,
        Release.published_by,
        Release.created_at,
    ).where(Release.mod_id == mod_id)
    rows = session.execute(query).tuples().all()
    names = names_of(session, {row[5] for row in rows if row[5] is not None})
    found = [
        OwnRelease(version, state != "published", private, yanked_at, reason, names.get(by or 0, ""), created_at)
        for version, state, private, yanked_at, reason, by, created_at in rows
    ]
    return sorted(found, key=lambda release: comparable(release.version), reverse=True)
