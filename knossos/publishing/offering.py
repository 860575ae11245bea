"""Which releases the repository offers: those that are published, public and not yanked, and of the yanked ones those
that somebody still needs.

A yanked release is needed while a release that is offered asks for a version of its mod that only yanked ones meet.
`decide` says so from plain data; `update_offered` asks the database for that data of the mods that a change
concerns, and marks what flips with the change's number. Two yanked releases that need only each other are not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from knossos.publishing.tables import Release, ReleaseDependency
from knossos.publishing.versions import satisfies

#: The states of a release.
PUBLISHED, DELETED = "published", "deleted"


@dataclass(frozen=True)
class Yanked:
    """A yanked release that is published and public."""

    release_id: int
    mod_id: str
    version: str


@dataclass(frozen=True)
class Need:
    """A release that is published and public asks for a version of a mod. ``certain``: whether that release is offered;
    None: it is one of the yanked ones that are decided here."""

    release_id: int
    mod_id: str
    version: str | None
    certain: bool | None


def decide(yanked: Sequence[Yanked], good: Mapping[str, Sequence[str]], needs: Iterable[Need]) -> set[int]:
    """The ids of the yanked releases that are offered.

    ``good`` are the versions of each mod that are offered without being yanked.
    """
    of_mod: dict[str, list[Yanked]] = {}
    for release in yanked:
        of_mod.setdefault(release.mod_id, []).append(release)

    @cache
    def is_met(mod_id: str, wanted: str | None) -> bool:
        return any(satisfies(version, wanted) for version in good.get(mod_id, ()))

    unmet = [need for need in needs if need.mod_id in of_mod and not is_met(need.mod_id, need.version)]
    offered: set[int] = set()
    waiting = [need for need in unmet if need.certain]
    asking: dict[int, list[Need]] = {}
    for need in unmet:
        if need.certain is None:
            asking.setdefault(need.release_id, []).append(need)
    while waiting:
        need = waiting.pop()
        for release in of_mod[need.mod_id]:
            if release.release_id not in offered and satisfies(release.version, need.version):
                offered.add(release.release_id)
                waiting += asking.get(release.release_id, [])
    return offered


def update_offered(session: Session, mod_ids: Iterable[str], change: int) -> None:
    """Bring ``offered`` of the yanked releases up to date after a change that concerns these mods: the changed
    release's own, and all that it depends on or did so before."""
    yanked = _yanked_within_reach(session, set(mod_ids))
    if not yanked:
        return
    mods = {row.mod_id for row in yanked.values()}
    good: dict[str, list[str]] = {}
    query = select(Release.mod_id, Release.version).where(
        Release.mod_id.in_(mods), Release.state == PUBLISHED, Release.private.is_(False), Release.yanked_at.is_(None)
    )
    for mod_id, version in session.execute(query):
        good.setdefault(mod_id, []).append(version)
    # What many ask for alike comes as one row: a popular mod is needed by thousands.
    asked = (
        select(ReleaseDependency.mod_id, ReleaseDependency.version)
        .join(Release, Release.id == ReleaseDependency.release_id)
        .where(ReleaseDependency.mod_id.in_(mods), Release.offered, Release.id.not_in(list(yanked)))
        .distinct()
    )
    needs = [Need(0, mod_id, version, True) for mod_id, version in session.execute(asked)]
    by_yanked = select(ReleaseDependency.release_id, ReleaseDependency.mod_id, ReleaseDependency.version)
    rows = session.execute(by_yanked.where(ReleaseDependency.release_id.in_(list(yanked))))
    needs += [Need(release_id, mod_id, version, None) for release_id, mod_id, version in rows]
    offered = decide([Yanked(row.id, row.mod_id, row.version) for row in yanked.values()], good, needs)
    for row in yanked.values():
        if row.offered != (row.id in offered):
            row.offered = row.id in offered
            row.change = change


def _yanked_within_reach(session: Session, mod_ids: set[str]) -> dict[int, Release]:
    """The yanked releases of these mods, and of the mods that those depend on, and so on."""
    found: dict[int, Release] = {}
    seen: set[str] = set()
    while mod_ids:
        seen |= mod_ids
        query = select(Release).where(
            Release.mod_id.in_(mod_ids),
            Release.state == PUBLISHED,
            Release.private.is_(False),
            Release.yanked_at.is_not(None),
        )
        here = {row.id: row for row in session.scalars(query.options(defer(Release.document)))}
        found |= here
        wanted = session.scalars(select(ReleaseDependency.mod_id).where(ReleaseDependency.release_id.in_(here)))
        mod_ids = set(wanted) - seen
    return found
