"""Teams of mods: who is in one, in which role, and what that role may do.

Always holds: a team has at least one owner, and only owners (and operators of the site) change who is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from knossos.accounts.audit import Actor, record
from knossos.accounts.directory import names_of, numbers_of
from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.publishing.errors import Refused
from knossos.publishing.release_input import is_mod_id
from knossos.publishing.tables import Member, Mod

#: Most members of a team.
MAX_MEMBERS = 500
#: Longest name of an account.
MAX_NAME_CHARS = 64


class TeamRole(IntEnum):
    """A lower number may do more: each does what those below it in this list may."""

    #: Everything, also change who the owners are.
    OWNER = 0
    #: Edits the team, but not the owners.
    MANAGER = 10
    #: Publishes, changes and deletes releases.
    UPLOADER = 20
    #: Sees private releases.
    TESTER = 30


@dataclass(frozen=True)
class TeamMember:
    user: str
    role: TeamRole


class Teams:
    def __init__(self, database: Database) -> None:
        self._database = database

    def role_of(self, mod_id: str, user_id: int) -> TeamRole | None:
        """The account's role in the team of a mod; None: it has none, or there is no such mod."""
        with self._database.reading() as session:
            return role_of(session, mod_id, user_id)

    def mods_of(self, user_id: int, least: TeamRole = TeamRole.TESTER) -> list[str]:
        """Ids of the mods in whose teams the account has at least that role."""
        query = select(Member.mod_id).where(Member.user_id == user_id, Member.role <= least)
        with self._database.reading() as session:
            return list(session.scalars(query.order_by(Member.mod_id)))

    def members(self, mod_id: str) -> list[TeamMember]:
        """The team: owners first, then by name. Of the public use only the owners."""
        with self._database.reading() as session:
            return members(session, mod_id)

    def fetch(self, identity: Identity, mod_id: str) -> list[TeamMember]:
        """The team, for somebody who is in it.

        Raises:
            Refused: ``missing`` (no such mod) or ``unauthorized``.
        """
        with self._database.reading() as session:
            _find(session, mod_id)
            require(session, identity, mod_id, TeamRole.TESTER)
            return members(session, mod_id)

    def update(self, identity: Identity, mod_id: str, wanted: Sequence[Any], by: Actor) -> None:
        """Make the team what ``wanted`` says: a list of ``{"user": name, "role": number}``. All of it, or nothing.

        Raises:
            Refused: ``missing``, ``unauthorized``, ``invalid members`` with every problem, ``member_not_found`` with
                ``member``, ``owners_changed``, ``no_owners``.
        """
        with self._database.session() as session:
            _find(session, mod_id, lock=True)
            role = require(session, identity, mod_id, TeamRole.MANAGER)
            team = _read_team(session, wanted)
            before = dict(session.execute(select(Member.user_id, Member.role).where(Member.mod_id == mod_id)).all())
            owners = {user_id for user_id, its in team.items() if its == TeamRole.OWNER}
            if role > TeamRole.OWNER and owners != {one for one, its in before.items() if its == TeamRole.OWNER}:
                raise Refused("Only an owner may change who the owners are.", reason="owners_changed")
            if not owners:
                raise Refused("A team needs at least one owner.", reason="no_owners")
            session.execute(delete(Member).where(Member.mod_id == mod_id))
            session.add_all(Member(mod_id=mod_id, user_id=user_id, role=its) for user_id, its in team.items())
            names = names_of(session, {*before, *team})
            changes = {
                names[one]: [before.get(one), team.get(one)] for one in names if before.get(one) != team.get(one)
            }
            record(
                session,
                actor=by.name,
                address=by.address,
                action="team.update",
                subject=f"mod:{mod_id}",
                details={"roles": changes},
            )


def role_of(session: Session, mod_id: str, user_id: int) -> TeamRole | None:
    """As `Teams.role_of`, as part of a transaction."""
    number = session.scalar(select(Member.role).where(Member.mod_id == mod_id, Member.user_id == user_id))
    return None if number is None else TeamRole(number)


def hand_over(session: Session, user_id: int, heir_id: int | None) -> list[str]:
    """Before an account is removed: the heir becomes an owner of the mods that it alone owns. Answers their ids."""
    others = select(Member.mod_id).where(Member.role == TeamRole.OWNER, Member.user_id != user_id)
    alone = select(Member.mod_id).where(
        Member.user_id == user_id, Member.role == TeamRole.OWNER, Member.mod_id.not_in(others)
    )
    found = list(session.scalars(alone.order_by(Member.mod_id)))
    for mod_id in found if heir_id is not None else ():
        session.merge(Member(mod_id=mod_id, user_id=heir_id, role=TeamRole.OWNER))
    return found


def require(session: Session, identity: Identity, mod_id: str, least: TeamRole) -> TeamRole:
    """The caller's role in the team, an operator's being that of an owner. Raises Refused (``unauthorized``)."""
    role = TeamRole.OWNER if identity.is_operator else role_of(session, mod_id, identity.user_id)
    if role is None or role > least:
        raise Refused(
            f"This needs the role {least.name.lower()} in the team of {mod_id}.", reason="unauthorized", mod_id=mod_id
        )
    return role


def members(session: Session, mod_id: str) -> list[TeamMember]:
    rows = session.execute(select(Member.user_id, Member.role).where(Member.mod_id == mod_id)).all()
    names = names_of(session, (user_id for user_id, _ in rows))
    found = [TeamMember(names[user_id], TeamRole(role)) for user_id, role in rows if user_id in names]
    return sorted(found, key=lambda member: (member.role, member.user.lower()))


def _find(session: Session, mod_id: str, *, lock: bool = False) -> None:
    query = select(Mod.id).where(Mod.id == mod_id)
    if not is_mod_id(mod_id) or session.scalar(query.with_for_update() if lock else query) is None:
        raise Refused("There is no such mod.", reason="missing")


def _read_team(session: Session, wanted: Sequence[Any]) -> dict[int, TeamRole]:
    """Roles by the accounts' numbers."""
    problems: list[dict[str, str]] = []
    roles: dict[str, tuple[str, TeamRole]] = {}
    if len(wanted) > MAX_MEMBERS:
        problems.append({"path": "members", "message": f"expected at most {MAX_MEMBERS} members"})
    for number, entry in enumerate(wanted[:MAX_MEMBERS]):
        user, role = (entry.get("user"), entry.get("role")) if isinstance(entry, dict) else (None, None)
        if not isinstance(user, str) or not 0 < len(user) <= MAX_NAME_CHARS or not user.isprintable():
            problems.append({"path": f"members.{number}.user", "message": "expected the name of an account"})
        elif user.lower() in roles:
            problems.append({"path": f"members.{number}.user", "message": "expected each account once"})
        elif type(role) is not int or role not in list(TeamRole):
            known = ", ".join(f"{one.value} ({one.name.lower()})" for one in TeamRole)
            problems.append({"path": f"members.{number}.role", "message": f"expected one of {known}"})
        else:
            roles[user.lower()] = (user, TeamRole(role))
    if problems:
        raise Refused("The list of members is not in order.", reason="invalid members", errors=problems)
    numbers = numbers_of(session, roles)
    for key, (user, _) in roles.items():
        if key not in numbers:
            raise Refused(f"There is no account {user}.", reason="member_not_found", extra={"member": user})
    return {numbers[key]: role for key, (_, role) in roles.items()}
