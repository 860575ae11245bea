"""From a name and a password to an account that may log in: the one way for pages and mod managers.

Tries are limited by account and by address (`throttle.py`). While a limit is used up no password is looked at, so that
nobody learns in that time whether one was right. Owns neither cookies nor tokens.
"""

from __future__ import annotations

import logging

from knossos.accounts.accounts import Account, Accounts
from knossos.accounts.audit import Actor, record
from knossos.accounts.throttle import Limit, count, forgive, of_account, of_address
from knossos.database import Database
from knossos.errors import AccessDenied
from knossos.settings import Settings

_log = logging.getLogger(__name__)


class WrongLogin(AccessDenied):
    """There is no such account, or it has another password; which of them is not said."""

    code = "wrong_login"


class NotVerified(AccessDenied):
    """The password is right, but the account's mail address is not proved yet. ``user_id``."""

    code = "not_verified"


class AccountDisabled(AccessDenied):
    """The password is right, but an operator has shut the account out."""

    code = "account_disabled"


class Logins:
    def __init__(self, settings: Settings, database: Database, accounts: Accounts) -> None:
        self._settings = settings
        self._database = database
        self._accounts = accounts

    def log_in(self, name: str, password: str, address: str) -> Account:
        """The account. ``address`` is the client's network address.

        Raises:
            TooManyTries: for this account, or from this address; it says when to try again.
            WrongLogin, NotVerified, AccountDisabled: what they say.
        """
        account = self._check(name, password, address)
        if account.disabled:
            raise AccountDisabled("This account is disabled. Ask the operator of this site.")
        if not account.verified:
            raise NotVerified(
                "The mail address of this account is not confirmed yet: open the link in the mail you were sent.",
                user_id=account.user_id,
            )
        with self._database.session() as session:
            record(session, actor=account.name, address=address, action="login", subject=f"user:{account.name}")
        return account

    def change_password(self, account: Account, old: str, new: str, address: str) -> Account:
        """Give an account another password, by the old one. Its sessions and logins are void; API tokens stay.

        Raises:
            TooManyTries, WrongLogin: as for a login.
            InvalidInput: the new password breaks a rule.
        """
        self._check(account.name, old, address)
        by = Actor(account.name, address)
        return self._accounts.set_password(account.name, new, keep_api_tokens=True, by=by)

    def unlock(self, name: str) -> None:
        """Let an account be tried again at once."""
        with self._database.session() as session:
            forgive(session, of_account(name, self._settings.login_failures_per_account))

    def _check(self, name: str, password: str, address: str) -> Account:
        limits = self._limits(name, address)
        with self._database.session() as session:
            used_up = count(session, limits, self._settings.login_failure_window_seconds)
        account = self._accounts.check_password(name, password)
        if account is None:
            self._note_failure(name, address, used_up)
            raise WrongLogin("The name or the password is wrong.")
        with self._database.session() as session:
            forgive(session, limits[0])
            for limit in limits[1:]:
                forgive(session, limit, tries=1)
        return account

    def _limits(self, name: str, address: str) -> list[Limit]:
        limits = [of_account(name, self._settings.login_failures_per_account)]
        if address:
            limits.append(of_address(address, self._settings.login_failures_per_address))
        return limits

    def _note_failure(self, name: str, address: str, used_up: list[Limit]) -> None:
        _log.warning("login refused for %r from %s", name[:64], address)
        if not used_up:
            return
        with self._database.session() as session:
            for limit in used_up:
                record(
                    session,
                    actor="",
                    address=address,
                    action="login.lock",
                    subject=f"{'user' if limit.kind == 'account' else limit.kind}:{limit.key}",
                    details={"tries": limit.most, "seconds": self._settings.login_failure_window_seconds},
                )
