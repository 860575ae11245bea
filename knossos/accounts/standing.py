"""Whether somebody may still act for an account: asked again where work ends long after the request that began it.

A release is checked by a job, which may take hours. In that time the account may have been disabled, its password
changed because somebody else knew it, or the token revoked that the request came with.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from knossos.accounts.tables import Token, User
from knossos.accounts.tokens import ALL_SCOPES, Identity, Proof
from knossos.errors import AccessDenied


def standing(session: Session, user_id: int, proof: Proof) -> Identity:
    """The account as it is now, with its roles of now, as part of a transaction.

    A token that has merely expired since is good enough: it was good when the work began.

    Raises:
        AccessDenied: the account is disabled or gone, the token was revoked, or the session is void.
    """
    user = session.get(User, user_id)
    if user is None or user.disabled_at is not None:
        raise AccessDenied("The account was disabled meanwhile.")
    if proof.logins_since not in (None, user.sessions_valid_from):
        raise AccessDenied("The account's password was changed meanwhile. Log in and send it again.")
    if proof.token_id is not None:
        token = session.get(Token, proof.token_id)
        if token is None or token.user_id != user_id or token.revoked_at is not None:
            raise AccessDenied("The token was revoked meanwhile.")
    return Identity(user.id, user.name, frozenset(role.role for role in user.roles), ALL_SCOPES, proof)
