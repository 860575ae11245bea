"""How people get accounts by themselves, and back into them: registering, proving the address, a new password by mail.

An account that somebody made for themselves may not log in before its mail address is proved. Whether an address has an
account is told to nobody but its owner, by mail; whether a name is taken has to be told.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection

from knossos.accounts.accounts import Account, AccountExists, Accounts, NoSuchAccount, as_account, end_logins
from knossos.accounts.audit import Actor, record
from knossos.accounts.mail_links import MailLinks, Purpose, use_link
from knossos.accounts.passwords import Passwords
from knossos.accounts.post import Letter, Post
from knossos.accounts.tables import User
from knossos.accounts.throttle import Limit, TooManyTries, count, forgive, of_account, of_address
from knossos.database import Database
from knossos.errors import AccessDenied, InvalidInput
from knossos.settings import Settings

#: Least characters of a password that somebody chooses here.
MIN_PASSWORD_CHARS = 8
#: Random bytes of a password that nobody knows, until the owner of the account has chosen one.
UNKNOWN_PASSWORD_BYTES = 24
#: Mails of one kind for one account in a window (LOGIN_FAILURE_WINDOW_SECONDS).
MAX_MAILS = 3
#: What counts how often a new password is asked for from one network address.
RESET_FROM_ADDRESS = "reset"
#: Seconds after which a link to prove an address is sent again to somebody who logs in without having followed it.
RESEND_SECONDS = 600.0


class RegistrationClosed(AccessDenied):
    """Only the operator makes accounts here."""

    code = "registration_closed"


class NoAddress(InvalidInput):
    """The account has no mail address that a link could go to. ``name``."""

    code = "no_address"


class Registration:
    def __init__(
        self,
        settings: Settings,
        database: Database,
        accounts: Accounts,
        post: Post,
        passwords: Passwords | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._accounts = accounts
        self._post = post
        self._links = MailLinks(settings, database)
        self._passwords = passwords or Passwords()

    def register(self, name: str, password: str, email: str, address: str) -> None:
        """Make an account that opens when its owner follows the link in a mail.

        Where the mail address has an account already, its owner is told so by mail, and nothing else happens.

        Raises:
            RegistrationClosed: OPEN_REGISTRATION is off.
            TooManyTries: too many from this ``address``; it says when to try again.
            AccountExists: the name is taken.
            InvalidInput: the name, the password or the mail address breaks a rule.
        """
        if not self._settings.open_registration:
            raise RegistrationClosed("Accounts are made by the operator of this site only.")
        check_new_password(password)
        self._count([of_address(address, self._settings.login_failures_per_address, "register")] if address else [])
        try:
            made = self._accounts.add(name, password, email=email, verified=False, by=Actor(name, address))
        except AccountExists as error:
            if error.taken == "name":
                raise
            if (owner := self._accounts.find_by_email(email)) is not None:
                self._send(Letter.KNOWN, owner)
            return
        self._send(Letter.VERIFY, made)

    def send_again(self, user_id: int) -> None:
        """Send the link that proves the address once more, unless one has just been sent."""
        with self._database.reading() as session:
            user = session.get(User, user_id)
            account = None if user is None else as_account(user)
        if account is None or account.verified:
            return
        if not self._links.is_out(user_id, Purpose.VERIFY, newer_than_seconds=RESEND_SECONDS):
            self._send(Letter.VERIFY, account)

    def verify(self, secret: str, address: str) -> Account:
        """Take a mail address for proved. Raises LinkNotGood."""
        with self._database.session() as session:
            user = use_link(session, secret, Purpose.VERIFY)
            user.verified_at = time.time()
            record(session, actor=user.name, address=address, action="user.verify", subject=f"user:{user.name}")
            return as_account(user)

    def start_reset(self, name: str, address: str) -> None:
        """Send the link to a new password.

        Raises:
            NoSuchAccount: there is no account of that name.
            NoAddress: it has no mail address.
            TooManyTries: for this account, or from this address.
        """
        limit = self._settings.login_failures_per_address
        self._count([of_address(address, limit, RESET_FROM_ADDRESS)] if address else [])
        account = self._accounts.get(name)
        if account.email is None:
            raise NoAddress(f"The account {account.name} has no mail address; ask the operator.", name=account.name)
        if account.disabled:
            return
        self._count([of_account(account.name, MAX_MAILS, "mail.reset")])
        with self._database.session() as session:
            subject = f"user:{account.name}"
            record(session, actor="", address=address, action="user.reset_asked", subject=subject)
        self._post.send(Letter.RESET, account.user_id, account.name)

    def ask_for_reset(self, given: str, address: str) -> None:
        """The same for what somebody types into a page: a name or a mail address. Whether there is such an account,
        or a mail for it, nobody learns, however often they ask.

        Raises:
            TooManyTries: from this address.
        """
        account = self._accounts.find_by_email(given) if "@" in given else None
        try:
            self.start_reset(account.name if account else given, address)
        except (NoSuchAccount, NoAddress):
            pass
        except TooManyTries as error:
            if error.kind == RESET_FROM_ADDRESS:
                raise

    def add(
        self,
        name: str,
        email: str | None,
        password: str | None,
        roles: Collection[str],
        by: Actor,
        *,
        more_roles: Collection[str] = (),
    ) -> str:
        """For an operator: make an account with a password; without one its owner is invited to choose it.

        Returns:
            The link of an invitation where no mail can be sent, for the operator to pass on; else "".

        Raises:
            AccountExists, InvalidInput: as for any account; or there is neither a password nor an address.
        """
        if password:
            check_new_password(password)
            self._accounts.add(name, password, roles, email, more_roles=more_roles, by=by)
            return ""
        if email:
            return self.invite(name, email, roles, by, more_roles=more_roles)[1]
        raise InvalidInput.at("password", "expected a password, or else a mail address, to which an invitation goes")

    def invite(
        self, name: str, email: str, roles: Collection[str], by: Actor, *, more_roles: Collection[str] = ()
    ) -> tuple[Account, str]:
        """Make an account for somebody, who chooses its password by a link that comes by mail.

        Returns:
            The account, and the link where no mail can be sent, for the operator to pass on; else "".

        Raises:
            AccountExists, InvalidInput: as for any account.
        """
        unknown = secrets.token_urlsafe(UNKNOWN_PASSWORD_BYTES)
        made = self._accounts.add(name, unknown, roles, email, verified=False, more_roles=more_roles, by=by)
        return made, self._post.hand_out(Letter.INVITE, made)

    def send_reset(self, name: str, by: Actor) -> str:
        """For an operator: send the owner of an account the link to a new password.

        Returns:
            The link, where no mail can be sent to them; else "".

        Raises:
            NoSuchAccount
            InvalidInput: it is disabled, so that no password opens it.
        """
        account = self._accounts.get(name)
        if account.disabled:
            raise InvalidInput(f"The account {account.name} is disabled; enable it first.")
        with self._database.session() as session:
            subject = f"user:{account.name}"
            record(session, actor=by.name, address=by.address, action="user.reset_sent", subject=subject)
        return self._post.hand_out(Letter.RESET if account.verified else Letter.INVITE, account)

    def account_of_link(self, secret: str, purpose: Purpose) -> Account:
        """Whose link that is, for the page it leads to. Raises LinkNotGood."""
        return self._links.look(secret, purpose)

    def finish_reset(self, secret: str, password: str, address: str) -> Account:
        """Give the account of a link its new password: whoever was logged in is out, tokens and locks are void.

        Raises:
            LinkNotGood: the link was used, is too old, or never was.
            InvalidInput: the password breaks a rule; the link stays good.
        """
        check_new_password(password)
        self._links.look(secret, Purpose.RESET)
        password_hash = self._passwords.hash(password)
        with self._database.session() as session:
            user = use_link(session, secret, Purpose.RESET)
            user.password_hash = password_hash
            user.verified_at = user.verified_at or time.time()  # the link came to its address
            end_logins(session, user, keep_api_tokens=False)
            forgive(session, of_account(user.name, 1))
            record(session, actor=user.name, address=address, action="user.reset", subject=f"user:{user.name}")
            return as_account(user)

    def _send(self, letter: Letter, account: Account) -> None:
        """Send it, unless this account has had its share of such mails: nobody's box is filled from here."""
        try:
            self._count([of_account(account.name, MAX_MAILS, f"mail.{letter}")])
        except TooManyTries:
            return
        self._post.send(letter, account.user_id, account.name)

    def _count(self, limits: list[Limit]) -> None:
        with self._database.session() as session:
            count(session, limits, self._settings.login_failure_window_seconds)


def check_new_password(password: str) -> None:
    """Refuse what nobody should choose. Raises InvalidInput."""
    if len(password) < MIN_PASSWORD_CHARS:
        raise InvalidInput.at("password", f"expected a password of at least {MIN_PASSWORD_CHARS} characters")
