"""People's accounts: making them, finding them, checking their passwords, shutting them out.

Owns the rules for names and roles; which roles there are besides its own, callers say, since what those may do is
decided elsewhere. What makes an account's sessions and logins void (a new password, being disabled)
does so in the same transaction. Owns neither passwords' hashes (`passwords.py`) nor what a role may do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knossos.accounts.audit import OPERATOR, Actor, record
from knossos.accounts.passwords import Passwords
from knossos.accounts.tables import Token, User, UserRole
from knossos.database import Database
from knossos.errors import InvalidInput, NotFound

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
#: Whether an address works is seen when a mail has come; this keeps out what is none, or would break a header.
EMAIL = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\]{1,189}")
MAX_EMAIL_CHARS = 254


#: Longest name of a role in characters.
MAX_ROLE_CHARS = 32


class Role(StrEnum):
    """What an account is on this site, whatever its settings say."""

    #: Sees and stops every task and manages the accounts.
    OPERATOR = "operator"


@dataclass(frozen=True)
class Account:
    user_id: int
    name: str
    roles: frozenset[str] = frozenset()
    email: str | None = None
    #: Whether its address was proved; accounts without an address have nothing to prove.
    verified: bool = True
    disabled: bool = False
    #: Changes when all sessions and logins become void: those that name another value are.
    logins_since: float = 0.0

    @property
    def is_operator(self) -> bool:
        return Role.OPERATOR in self.roles


class AccountExists(InvalidInput):
    """The ``name``, perhaps in other case, or the address is taken; ``taken`` says which: "name" or "email"."""

    code = "account_exists"


class NoSuchAccount(NotFound):
    """There is no account called ``name``."""

    code = "no_such_account"


class Accounts:
    def __init__(self, database: Database, passwords: Passwords | None = None) -> None:
        self._database = database
        self._passwords = passwords or Passwords()

    @property
    def passwords(self) -> Passwords:
        """What makes the hashes of its passwords."""
        return self._passwords

    def add(
        self,
        name: str,
        password: str,
        roles: Iterable[str] = (),
        email: str | None = None,
        *,
        verified: bool = True,
        more_roles: Collection[str] = (),
        by: Actor = OPERATOR,
    ) -> Account:
        """Make an account.

        Args:
            verified: False: it may not log in before its address is proved.
            more_roles: the roles that there are besides `Role`.

        Raises:
            AccountExists: the name, in whatever case, or the address is taken.
            InvalidInput: the name, the password or the address breaks a rule, or there is no such role.
        """
        known = known_roles(roles, more_roles)
        if not NAME.fullmatch(name):
            raise InvalidInput.at(
                "name",
                "expected a name of 1 to 64 letters, digits, '.', '_' and '-' that starts with a letter or digit",
            )
        if email is not None:
            check_email(email)
        user = User(
            name=name,
            name_key=name.lower(),
            email=email,
            email_key=None if email is None else email.lower(),
            password_hash=self._passwords.hash(password),
            created_at=time.time(),
            verified_at=time.time() if verified else None,
            # Not 0: a database may give the number of an account that is gone again, and cookies name it.
            sessions_valid_from=time.time(),
            roles=[UserRole(role=role) for role in known],
        )
        try:
            with self._database.session() as session:
                session.add(user)
                details = {"roles": known} if known else {}
                record(
                    session,
                    actor=by.name,
                    address=by.address,
                    action="user.add",
                    subject=f"user:{name}",
                    details=details,
                )
        except IntegrityError as error:
            if self.find(name):
                raise AccountExists(f"there is already an account called {name}", name=name, taken="name") from error
            text = f"there is already an account with the address {email}"
            raise AccountExists(text, name=name, taken="email") from error
        return as_account(user)

    def find(self, name: str) -> Account | None:
        with self._database.reading() as session:
            user = load_user(session, name)
            return None if user is None else as_account(user)

    def find_by_email(self, email: str) -> Account | None:
        with self._database.reading() as session:
            user = session.scalar(select(User).where(User.email_key == email.lower()))
            return None if user is None else as_account(user)

    def get(self, name: str) -> Account:
        """The account. Raises NoSuchAccount."""
        found = self.find(name)
        if found is None:
            raise NoSuchAccount(f"there is no account called {name}", name=name)
        return found

    def list_accounts(self) -> list[Account]:
        """All accounts by name."""
        with self._database.reading() as session:
            return [as_account(user) for user in session.scalars(select(User).order_by(User.name_key))]

    def count(self) -> int:
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(User)) or 0

    def check_password(self, name: str, password: str) -> Account | None:
        """The account, if that is its password. An unknown name takes as long as a wrong password.

        Whether the account may log in is `logins.py`'s to say.
        """
        with self._database.reading() as session:
            user = load_user(session, name)
        # Hashing is slow on purpose: no transaction waits for it.
        if not self._passwords.matches(user.password_hash if user else None, password) or user is None:
            return None
        if self._passwords.is_outdated(user.password_hash):
            again = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
            better = self._passwords.hash(password)
            with self._database.session() as session:
                session.execute(again.values(password_hash=better))
        return as_account(user)

    def set_password(self, name: str, password: str, *, keep_api_tokens: bool = False, by: Actor = OPERATOR) -> Account:
        """Give the account a new password: its sessions and tokens are void at once.

        ``keep_api_tokens``: its owner changed it knowing the old one, so programs go on.
        """
        password_hash = self._passwords.hash(password)
        with self._database.session() as session:
            user = get_user(session, name)
            user.password_hash = password_hash
            end_logins(session, user, keep_api_tokens=keep_api_tokens)
            _note(session, by, "user.password", user)
            return as_account(user)

    def end_logins(self, name: str, *, by: Actor = OPERATOR) -> Account:
        """Make all sessions and logins of the account void at once; its API tokens stay."""
        with self._database.session() as session:
            user = get_user(session, name)
            end_logins(session, user, keep_api_tokens=True)
            _note(session, by, "user.logout", user)
            return as_account(user)

    def disable(self, name: str, *, by: Actor = OPERATOR) -> Account:
        """Shut the account out at once. What it published stays."""
        with self._database.session() as session:
            user = get_user(session, name)
            if user.disabled_at is None:
                user.disabled_at = time.time()
                end_logins(session, user, keep_api_tokens=True)
                _note(session, by, "user.disable", user)
            return as_account(user)

    def enable(self, name: str, *, by: Actor = OPERATOR) -> Account:
        """Let a disabled account in again; its API tokens work again, its sessions do not."""
        with self._database.session() as session:
            user = get_user(session, name)
            if user.disabled_at is not None:
                user.disabled_at = None
                _note(session, by, "user.enable", user)
            return as_account(user)

    def set_roles(
        self, name: str, roles: Iterable[str], *, more_roles: Collection[str] = (), by: Actor = OPERATOR
    ) -> Account:
        """Give the account these roles and no others. They count from its next request on.

        Args:
            more_roles: the roles that there are besides `Role`.
        """
        known = known_roles(roles, more_roles)
        with self._database.session() as session:
            user = get_user(session, name)
            before = sorted(role.role for role in user.roles)
            if before != known:
                user.roles = [role for role in user.roles if role.role in known] + [
                    UserRole(role=role) for role in known if role not in before
                ]
                _note(session, by, "user.roles", user, {"before": before, "after": known})
            return as_account(user)


def check_email(email: str) -> None:
    """Raise InvalidInput where that can be no mail address."""
    if not (EMAIL.fullmatch(email) and email.isprintable() and len(email) <= MAX_EMAIL_CHARS):
        raise InvalidInput.at("email", "expected a mail address such as dora@example.org")


def known_roles(roles: Iterable[str], more: Collection[str] = ()) -> list[str]:
    """The roles in order. Raises InvalidInput where one is neither a `Role` nor one of ``more``."""
    wanted = sorted(set(roles))
    there_are = [*Role, *sorted(role for role in more if len(role) <= MAX_ROLE_CHARS)]
    if unknown := [role for role in wanted if role not in there_are]:
        expected = ", ".join(there_are)
        raise InvalidInput.at("roles", f"there is no role {', '.join(unknown)}; expected only roles of: {expected}")
    return wanted


def load_user(session: Session, name: str) -> User | None:
    return session.scalar(select(User).where(User.name_key == name.lower()))


def get_user(session: Session, name: str) -> User:
    user = load_user(session, name)
    if user is None:
        raise NoSuchAccount(f"there is no account called {name}", name=name)
    return user


def end_logins(session: Session, user: User, *, keep_api_tokens: bool) -> None:
    """Make all sessions and logins of an account void; API tokens too, unless they are to be kept."""
    now = time.time()
    # Cookies name this value: it has to differ, whatever the clock says.
    user.sessions_valid_from = max(now, user.sessions_valid_from + 0.001)
    tokens = update(Token).where(Token.user_id == user.id, Token.revoked_at.is_(None))
    session.execute((tokens.where(Token.kind == "login") if keep_api_tokens else tokens).values(revoked_at=now))


def as_account(user: User) -> Account:
    return Account(
        user_id=user.id,
        name=user.name,
        roles=frozenset(role.role for role in user.roles),
        email=user.email,
        verified=user.verified_at is not None or user.email is None,
        disabled=user.disabled_at is not None,
        logins_since=user.sessions_valid_from,
    )


def _note(session: Session, by: Actor, action: str, user: User, details: dict[str, Any] | None = None) -> None:
    record(session, actor=by.name, address=by.address, action=action, subject=f"user:{user.name}", details=details)
