"""Names and numbers of accounts, for other domains that are inside a transaction of theirs. Only reads."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.accounts.tables import User

#: Names that one statement asks for.
_AT_ONCE = 500


def names_of(session: Session, user_ids: Iterable[int]) -> dict[int, str]:
    """The names by number; without those that do not exist (any more). For as many as a team has, not for thousands."""
    return dict(session.execute(select(User.id, User.name).where(User.id.in_(set(user_ids)))).all())


def numbers_of(session: Session, names: Iterable[str]) -> dict[str, int]:
    """The numbers by name in lower case; without those that do not exist."""
    keys = {name.lower() for name in names}
    return dict(session.execute(select(User.name_key, User.id).where(User.name_key.in_(keys))).all())


def spellings(session: Session, keys: Iterable[str]) -> dict[str, str]:
    """Names as their owners wrote them, by names in lower case; without those that do not exist (any more)."""
    wanted = sorted(set(keys))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(User.name_key, User.name).where(User.name_key.in_(wanted[start : start + _AT_ONCE]))
        found |= dict(session.execute(query).all())
    return found
