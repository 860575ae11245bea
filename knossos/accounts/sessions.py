"""Session cookies: who is logged in, signed so that only this server can have said it.

The cookie holds the account's number; what the account is and may is read from the database each time, so that a
disabled account, other roles or a new password count from the next request on. It ends after SESSION_LIFETIME, when its
owner logs out, wherever a copy of the cookie is, and at once for everybody when ``<data_path>/secret_key`` is removed.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from functools import cached_property

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import delete, orm

from knossos.accounts.accounts import Account, as_account
from knossos.accounts.secret_files import secret_key
from knossos.accounts.tables import EndedSession, User
from knossos.database import Database, insert_into
from knossos.settings import Settings

COOKIE_NAME = "SessionToken"
#: Random bytes that make each session another one, also of the same account in the same second.
NONCE_BYTES = 9
#: A longer text is no session.
MAX_CHARS = 1000


@dataclass(frozen=True)
class Session:
    account: Account

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def is_operator(self) -> bool:
        return self.account.is_operator


class Sessions:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    @cached_property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(secret_key(self._settings), salt="knossos.session")

    def issue(self, account: Account) -> str:
        """The value of the cookie for that account."""
        # ``since`` is compared for equality, not with a clock: that of another machine may differ.
        one = {"user": account.user_id, "since": account.logins_since, "nonce": secrets.token_urlsafe(NONCE_BYTES)}
        return str(self._serializer.dumps(one))

    def read(self, cookie: str | None) -> Session | None:
        """Whose session it is; None when it is missing, altered, too old, or void by now."""
        if not cookie or len(cookie) > MAX_CHARS:
            return None
        try:
            content = self._serializer.loads(cookie, max_age=int(self._settings.session_lifetime))
            user_id, since = int(content["user"]), float(content["since"])
        except (BadData, KeyError, TypeError, ValueError):
            return None
        with self._database.reading() as session:
            user = session.get(User, user_id)
            if user is None or user.disabled_at is not None or user.sessions_valid_from != since:
                return None
            return None if session.get(EndedSession, _hash(cookie)) is not None else Session(as_account(user))

    def end(self, cookie: str) -> None:
        """Make a session void, whoever has a copy of its cookie. What is no session is passed over."""
        if self.read(cookie) is None:
            return
        ends = time.time() + self._settings.session_lifetime
        with self._database.session() as session:
            row = insert_into(session, EndedSession).values(secret_hash=_hash(cookie), expires_at=ends)
            session.execute(row.on_conflict_do_nothing())


def expire(session: orm.Session) -> int:
    """Forget sessions that would have ended by themselves by now."""
    over = delete(EndedSession).where(EndedSession.expires_at < time.time())
    return len(session.scalars(over.returning(EndedSession.secret_hash)).all())


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
