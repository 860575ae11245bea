"""Mods: their ids, and what lists show of them. Their releases carry titles and images of their own.

Always holds: two ids never differ only in case, and an id that was taken stays taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knossos.accounts.audit import OPERATOR, Actor, record
from knossos.accounts.standing import standing
from knossos.accounts.tokens import Identity, Proof
from knossos.database import Database
from knossos.publishing.blobs import Blobs
from knossos.publishing.checks.repository import RETAIL
from knossos.publishing.errors import NoSuchMod, Refused
from knossos.publishing.listing import search_text, update_listing
from knossos.publishing.mod_changes import ModChanges, carry_into_releases
from knossos.publishing.refusals import refusal
from knossos.publishing.release_input import InputProblem, is_mod_id, read_mod
from knossos.publishing.release_references import Known, look_up, problems_of_references
from knossos.publishing.tables import Member, Mod
from knossos.publishing.teams import TeamRole, require, role_of

#: What ``mod/update`` reads; everything else is ignored.
CHANGEABLE = ("id", "title", "logo", "tile", "first_release")

#: What every player has from elsewhere: whoever had such an id could offer a newer one of it to everybody.
_NOT_OURS = frozenset(mod_id.lower() for mod_id in RETAIL)

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

    def create(
        self,
        facts: ModFacts,
        owner_id: int,
        by: Actor = OPERATOR,
        *,
        proof: Proof = Proof(),  # noqa: B008 (frozen)
    ) -> None:
        """Make a mod, with its first owner, who is known by ``proof``.

        Raises:
            Refused: ``duplicated id``: it is taken, perhaps in other case.
            AccessDenied: the account was disabled, or its token revoked, meanwhile.
        """
        if facts.id.lower() in _NOT_OURS:
            raise _taken(facts.id)
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
                standing(session, owner_id, proof)
                session.add(mod)
                session.flush()
                session.add(Member(mod_id=facts.id, user_id=owner_id, role=TeamRole.OWNER))
                self._blobs.set_uses(session, "mod", facts.id, images_of(facts))
                record(session, actor=by.name, address=by.address, action="mod.create", subject=f"mod:{facts.id}")
        except IntegrityError as error:
            if not self.is_taken(facts.id):
                raise
            raise _taken(facts.id) from error

    def read_new(self, data: dict[str, Any]) -> ModFacts:
        """What was sent to make a mod. Raises Refused with every problem."""
        sent, problems = read_mod(data)
        _, missing = self._images(data)
        if sent is None or problems or missing:
            raise refusal([*problems, *missing])
        parent = None if sent.type == "tc" else sent.parent
        return ModFacts(sent.id, sent.title, sent.type, parent, sent.logo, sent.tile, sent.first_release)

    def read_changes(self, data: dict[str, Any]) -> tuple[str, ModChanges]:
        """What was sent to change a mod: its id, and what is said of it. Raises Refused with every problem."""
        sent, problems = read_mod({key: value for key, value in data.items() if key in CHANGEABLE})
        known, missing = self._images(data)
        if sent is None or problems or missing:
            raise refusal([*problems, *missing])
        said = sent.model_dump(include=set(CHANGEABLE), exclude={"id"}, exclude_unset=True)
        if said.get("first_release", "") is None:
            del said["first_release"]
        return sent.id, ModChanges(said, known.images)

    def _images(self, data: dict[str, Any]) -> tuple[Known, list[InputProblem]]:
        images = {name: data.get(name) for name in ("logo", "tile")}
        with self._database.reading() as session:
            known = look_up(session, images)
        return known, problems_of_references(images, known, is_operator=False)

    def why_not(self, mod_id: str) -> str:
        """The protocol's word for why a new mod cannot have that id; "" where it can."""
        if not is_mod_id(mod_id):
            return "invalid id"
        return "duplicated id" if self.is_taken(mod_id) else ""

    def is_taken(self, mod_id: str) -> bool:
        """Whether there is a mod with that id, in whatever case, here or from elsewhere."""
        if mod_id.lower() in _NOT_OURS:
            return True
        with self._database.reading() as session:
            query = select(Mod.id).where(Mod.id_key == mod_id.lower())
            return is_mod_id(mod_id) and session.scalar(query) is not None

    def find(self, mod_id: str) -> ModFacts | None:
        with self._database.reading() as session:
            mod = session.get(Mod, mod_id) if is_mod_id(mod_id) else None
            return None if mod is None else facts_of(mod)

    def update(self, identity: Identity, mod_id: str, changes: ModChanges, by: Actor) -> None:
        """Change what a mod is called and looks like, in lists and in all its releases.

        Raises:
            NoSuchMod: there is no such mod.
            Refused: ``unauthorized``.
        """
        with self._database.session() as session:
            mod = get(session, mod_id, lock=True)
            require(session, identity, mod_id, TeamRole.UPLOADER)
            for name, value in changes.given().items():
                setattr(mod, name, value)
            session.flush()
            self._blobs.set_uses(session, "mod", mod_id, images_of(facts_of(mod)))
            change = carry_into_releases(session, self._blobs, mod_id, changes, self._now())
            update_listing(session, mod_id)
            record(
                session,
                actor=by.name,
                address=by.address,
                action="mod.update",
                subject=f"mod:{mod_id}",
                details=changes.given(),
            )
            session.flush()
            if change is not None:
                self._announce(change)

    def may_publish(self, identity: Identity, mod_id: str) -> bool | None:
        """Whether the caller may publish releases of a mod; None: there is no such mod."""
        with self._database.reading() as session:
            if not is_mod_id(mod_id) or session.get(Mod, mod_id) is None:
                return None
            role = role_of(session, mod_id, identity.user_id)
            return identity.is_operator or (role is not None and role <= TeamRole.UPLOADER)

    def editable(self, identity: Identity) -> list[str]:
        """Ids of the mods in which the caller may publish."""
        query = select(Mod.id).order_by(Mod.id_key)
        if not identity.is_operator:
            mine = (Member.user_id == identity.user_id, Member.role <= TeamRole.UPLOADER)
            query = query.join(Member, Member.mod_id == Mod.id).where(*mine)
        with self._database.reading() as session:
            return list(session.scalars(query))


def get(session: Session, mod_id: str, *, lock: bool = False) -> Mod:
    """The mod's row; with ``lock`` nobody else changes the mod until the transaction ends. Raises NoSuchMod."""
    query = select(Mod).where(Mod.id == mod_id)
    mod = session.scalar(query.with_for_update() if lock else query) if is_mod_id(mod_id) else None
    if mod is None:
        raise NoSuchMod("There is no such mod.", mod_id=mod_id[:200])
    return mod


def _taken(mod_id: str) -> Refused:
    if mod_id.lower() in _NOT_OURS:
        return Refused(f"The id {mod_id} is that of the retail game.", reason="duplicated id")
    return Refused(f"The id {mod_id} is taken, perhaps in other case.", reason="duplicated id")


def facts_of(mod: Mod) -> ModFacts:
    return ModFacts(mod.id, mod.title, mod.type, mod.parent, mod.logo, mod.tile, mod.first_release)  # type: ignore[arg-type]


def images_of(facts: ModFacts) -> set[str]:
    return {image for image in (facts.logo, facts.tile) if image}


def day_of(moment: float) -> str:
    """The day in UTC, as YYYY-MM-DD."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
