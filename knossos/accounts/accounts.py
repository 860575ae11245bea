"""People's accounts: making them, finding them, checking their passwords.

Owns the rules for names, the password hashes (Argon2id, never anything weaker, made again when the library's
advice gets stronger) and the roles. Owns neither sessions nor what a role may do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knossos.accounts.tables import User, UserRole
from knossos.database import Database
from knossos.errors import InvalidInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)

#: Longest password in characters: hashing must not become a way to keep the server busy.
MAX_PASSWORD_CHARS = 1024


class Role(StrEnum):
    """What an account is on this site."""

    #: Sees and stops every task and manages the accounts.
    OPERATOR = "operator"


@dataclass(frozen=True)
class Account:
    name: str
    roles: frozenset[str] = frozenset()

    @property
    def is_operator(self) -> bool:
        return Role.OPERATOR in self.roles


class AccountExists(InvalidInput):
    """The name is taken, perhaps in other case. ``name`` is the one that was asked for."""

    code = "account_exists"


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        # Checked when there is no such account, so that the time of the answer does not tell.
        self._nobody = self._hasher.hash("nobody has this password")

    def add(self, name: str, password: str, roles: Iterable[str] = ()) -> Account:
        """Make an account.

        Raises:
            AccountExists: the name is taken, in whatever case.
            InvalidInput: the name or the password breaks a rule, or there is no such role.
        """
        known = [Role(role) for role in sorted(set(roles)) if role in list(Role)]
        if len(known) != len(set(roles)):
            raise _invalid("roles", f"expected only roles of: {', '.join(Role)}")
        if not NAME.fullmatch(name):
            raise _invalid(
                "name",
                "expected a name of 1 to 64 letters, digits, '.', '_' and '-' that starts with a letter or digit",
            )
        if not 0 < len(password) <= MAX_PASSWORD_CHARS:
            raise _invalid("password", f"expected a password of 1 to {MAX_PASSWORD_CHARS} characters")
        user = User(
            name=name,
            name_key=name.lower(),
            password_hash=self._hasher.hash(password),
            created_at=time.time(),
            roles=[UserRole(role=role) for role in known],
        )
        try:
            with self._database.session() as session:
                session.add(user)
        except IntegrityError as error:
            raise AccountExists(f"there is already an account called {name}", name=name) from error
        return Account(name, frozenset(known))

    def find(self, name: str) -> Account | None:
        with self._database.reading() as session:
            user = _load(session, name)
            return None if user is None else _account(user)

    def check_password(self, name: str, password: str) -> Account | None:
        """The account, if that is its password. An unknown name takes as long as a wrong password."""
        if len(password) > MAX_PASSWORD_CHARS:
            return None
        with self._database.session() as session:
            user = _load(session, name)
            matches = self._matches(user.password_hash if user else self._nobody, password)
            if user is None or not matches:
                return None
            if self._hasher.check_needs_rehash(user.password_hash):
                user.password_hash = self._hasher.hash(password)
            return _account(user)

    def count(self) -> int:
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(User)) or 0

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _load(session: Session, name: str) -> User | None:
    return session.scalar(select(User).where(User.name_key == name.lower()))


def _account(user: User) -> Account:
    return Account(user.name, frozenset(role.role for role in user.roles))


def _invalid(path: str, message: str) -> InvalidInput:
    return InvalidInput(f"{path}: {message}", errors=[{"path": path, "message": message}])
