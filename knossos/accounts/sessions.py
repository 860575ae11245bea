"""Session cookies: who is logged in, signed so that only this server can have said it.

The cookie holds the account's name and roles and the time of issue; nothing is stored. It ends after
SESSION_LIFETIME, and at once for everybody when ``<data_path>/secret_key`` is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from itsdangerous import BadData, URLSafeTimedSerializer

from knossos.accounts.accounts import Account
from knossos.accounts.secret_files import secret_key
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
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(secret_key(self._settings), salt="knossos.session")

    def issue(self, account: Account) -> str:
        """The value of the cookie for that account."""
        return self._serializer.dumps({"name": account.name, "roles": sorted(account.roles)})

    def read(self, cookie: str | None) -> Session | None:
        """Whose session it is; None when it is missing, altered or too old."""
        if not cookie:
            return None
        try:
            content = self._serializer.loads(cookie, max_age=int(self._settings.session_lifetime))
            return Session(Account(content["name"], frozenset(content["roles"])))
        except (BadData, KeyError, TypeError):
            return None
