"""Links in mails: each works once, for its purpose, until its time is over. Only its secret's SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import Session

from knossos.accounts.accounts import Account, as_account
from knossos.accounts.tables import MailLink, User
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.settings import Settings

#: Random bytes in a link.
SECRET_BYTES = 24


class Purpose(StrEnum):
    """What a link is for; also the first part of its path on this site, ``/<purpose>/<secret>``."""

    #: To prove a mail address.
    VERIFY = "verify"
    #: To set a new password.
    RESET = "reset"


class LinkNotGood(InvalidInput):
    """The link was used, is too old, or never was."""

    code = "link_not_good"


class MailLinks:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def issue(self, user_id: int, purpose: Purpose) -> str:
        """The address of a new link. Earlier ones stay good: whichever mail is opened first counts."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), time.time()
        with self._database.session() as session:
            session.add(
                MailLink(
                    user_id=user_id,
                    purpose=purpose,
                    secret_hash=_hash(secret),
                    created_at=now,
                    expires_at=now + self._settings.mail_link_lifetime,
                )
            )
        # Never the host of a request: somebody else may have chosen it.
        return f"{self._settings.base_url}/{purpose}/{secret}"

    def look(self, secret: str, purpose: Purpose) -> Account:
        """Whose link it is, without using it. Raises LinkNotGood."""
        with self._database.reading() as session:
            query = select(User).join(MailLink).where(_is_good(secret, purpose))
            user = session.scalars(query).one_or_none()
            if user is None:
                raise _not_good()
            return as_account(user)

    def is_out(self, user_id: int, purpose: Purpose, *, newer_than_seconds: float) -> bool:
        """Whether a link of that age is still to be followed."""
        newer = MailLink.created_at > time.time() - newer_than_seconds
        mine = and_(MailLink.user_id == user_id, MailLink.purpose == purpose, MailLink.used_at.is_(None), newer)
        with self._database.reading() as session:
            return session.scalar(select(MailLink.id).where(mine).limit(1)) is not None


def use_link(session: Session, secret: str, purpose: Purpose) -> User:
    """Use it up, with all others of its account and purpose, as part of a transaction. Raises LinkNotGood."""
    use = update(MailLink).where(_is_good(secret, purpose)).values(used_at=time.time())
    user_id = session.scalar(use.returning(MailLink.user_id))
    if user_id is None:
        raise _not_good()
    others = update(MailLink).where(
        MailLink.user_id == user_id, MailLink.purpose == purpose, MailLink.used_at.is_(None)
    )
    session.execute(others.values(used_at=time.time()))
    return session.get_one(User, user_id)


def expire(session: Session) -> int:
    """Remove links that were used or are too old."""
    over = delete(MailLink).where((MailLink.expires_at < time.time()) | MailLink.used_at.is_not(None))
    return len(session.scalars(over.returning(MailLink.id)).all())


def _is_good(secret: str, purpose: Purpose) -> ColumnElement[bool]:
    return and_(
        MailLink.secret_hash == _hash(secret),
        MailLink.purpose == purpose,
        MailLink.used_at.is_(None),
        MailLink.expires_at > time.time(),
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _not_good() -> LinkNotGood:
    return LinkNotGood("This link was used already, or is too old. Ask for a new one.")
