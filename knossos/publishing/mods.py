"""Mods: their ids, and what lists show of them. Their releases carry titles and images of their own.

Always holds: two ids never differ only in case, and an id that was taken stays taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knossos.accounts.audit import OPERATOR, Actor, record
from knossos.database import Database
from knossos.publishing.blobs import Blobs
from knossos.publishing.errors import NoSuchMod, Refused
from knossos.publishing.tables import Member, Mod
from knossos.publishing.teams import TeamRole

ModType = Literal["mod", "tc", "engine", "tool", "ext"]


@dataclass(frozen=True)
class ModFacts:
    """What a mod is, apart from its releases. ``logo`` and ``tile`` are SHA-256 of stored images."""

    id: str
    title: str
    type: ModType
    parent: str | None = None
    logo: str | None = None
    tile: str | None = None
    #: YYYY-MM-DD; None: the day it was created.
    first_release: str | None = None


class Mods:
    def __init__(self, database: Database, blobs: Blobs, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._blobs = blobs
        self._now = now

    def create(self, facts: ModFacts, owner_id: int, by: Actor = OPERATOR) -> None:
        """Make a mod, with its first owner.

        Raises:
            Refused: ``duplicated id``: it is taken, perhaps in other case.
        """
        now = self._now()
        mod = Mod(
            id=facts.id,
            id_key=facts.id.lower(),
            title=facts.title,
            type=facts.type,
            parent=facts.parent,
            logo=facts.logo,
            tile=facts.tile,
            first_release=facts.first_release or day_of(now),
            created_at=now,
            updated_at=now,
            search_text=search_text(facts.id, facts.title, ""),
        )
        try:
            with self._database.session() as session:
                session.add(mod)
                session.flush()
                session.add(Member(mod_id=facts.id, user_id=owner_id, role=TeamRole.OWNER))
                self._blobs.set_uses(session, "mod", facts.id, images_of(facts))
                record(session, actor=by.name, address=by.address, action="mod.create", subject=f"mod:{facts.id}")
        except IntegrityError as error:
            if not self.is_taken(facts.id):
                raise
            raise Refused(f"The id {facts.id} is taken, perhaps in other case.", reason="duplicated id") from error

    def is_taken(self, mod_id: str) -> bool:
        """Whether there is a mod with that id, in whatever case."""
        with self._database.reading() as session:
            return session.scalar(select(Mod.id).where(Mod.id_key == mod_id.lower())) is not None

    def find(self, mod_id: str) -> ModFacts | None:
        with self._database.reading() as session:
            mod = session.get(Mod, mod_id)
            return None if mod is None else facts_of(mod)


def get(session: Session, mod_id: str, *, lock: bool = False) -> Mod:
    """The mod's row; with ``lock`` nobody else changes the mod until the transaction ends. Raises NoSuchMod."""
    query = select(Mod).where(Mod.id == mod_id)
    mod = session.scalar(query.with_for_update() if lock else query)
    if mod is None:
        raise NoSuchMod(f"There is no mod {mod_id[:200]}.", mod_id=mod_id[:200])
    return mod


def facts_of(mod: Mod) -> ModFacts:
    return ModFacts(mod.id, mod.title, mod.type, mod.parent, mod.logo, mod.tile, mod.first_release)  # type: ignore[arg-type]


def images_of(facts: ModFacts) -> set[str]:
    return {image for image in (facts.logo, facts.tile) if image}


def search_text(mod_id: str, title: str, description: str) -> str:
    """What lists are searched for. Only the beginning of a long description counts."""
    return "\n".join((mod_id, title, description[:MAX_SEARCHED_CHARS])).lower()


def day_of(moment: float) -> str:
    """The day in UTC, as YYYY-MM-DD."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


#: Characters of a description that are searched.
MAX_SEARCHED_CHARS = 4000
