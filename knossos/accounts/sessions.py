"""Session cookies: who is logged in, signed so that only this server can have said it.

The cookie holds the account's number; what the account is and may is read from the database each time, so that a
disabled account, other roles or a new password count from the next request on. It ends after SESSION_LIFETIME, and at
once for everybody when ``<data_path>/secret_key`` is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from itsdangerous import BadData, URLSafeTimedSerializer

from knossos.accounts.accounts import Account, as_account
from knossos.accounts.secret_files import secret_key
from knossos.accounts.tables import User
from knossos.database import Database
from knossos.settings import Settings

COOKIE_NAME = "SessionToken"


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
        return str(self._serializer.dumps({"user": account.user_id, "since": account.logins_since}))

    def read(self, cookie: str | None) -> Session | None:
        """Whose session it is; None when it is missing, altered, too old, or void by now."""
        if not cookie:
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
            return Session(as_account(user))
