"""Who may see which release: what is published is seen by everyone, or, if it is private, by the mod's team and by the
operators of the site. Conditions for queries, so that nothing is read that is then left out."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, false, or_, select, true

from knossos.accounts.tokens import Identity
from knossos.publishing.offering import PUBLISHED
from knossos.publishing.tables import Member, Release


def in_my_teams(identity: Identity | None, mod_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Of a mod in whose team the caller is; for an operator of any."""
    if identity is None:
        return false()
    if identity.is_operator:
        return true()
    return mod_id.in_(select(Member.mod_id).where(Member.user_id == identity.user_id))


def visible(identity: Identity | None) -> ColumnElement[bool]:
    """Releases that the caller may see."""
    public = Release.private.is_(False)
    return and_(Release.state == PUBLISHED, or_(public, in_my_teams(identity, Release.mod_id.expression)))
