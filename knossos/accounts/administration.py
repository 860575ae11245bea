"""What operators do with other people's accounts: look through them, change them, see that some may be removed.

What always holds: a change is made whole or not at all, and noted in the audit log. Whoever does it as an operator who
is logged in leaves at least one operator who can log in, and takes nothing from themselves that only another one could
give back; a command on the machine may.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knossos.accounts.accounts import (
    Account,
    AccountExists,
    Accounts,
    Role,
    as_account,
    check_email,
    end_logins,
    get_user,
    known_roles,
)
from knossos.accounts.audit import Actor, record
from knossos.accounts.tables import AuditEntry, User, UserRole
from knossos.accounts.throttle import forgive, of_account
from knossos.database import Database
from knossos.errors import InvalidInput

#: Longest text that accounts are searched for, in characters.
MAX_SEARCH_CHARS = 100


class KeepsOperator(InvalidInput):
    """It would leave nobody who operates this server, or it is something that nobody does to themselves. ``name``."""

    code = "keeps_operator"


@dataclass(frozen=True)
class By:
    """The operator who acts. ``user_id`` None: a command on the machine, which keeps nobody from anything."""

    actor: Actor
    user_id: int | None


@dataclass(frozen=True)
class Change:
    """What is to be of an account; None: as it is."""

    #: All roles but that of an operator.
    roles: Collection[str] | None = None
    operator: bool | None = None
    disabled: bool | None = None
    password: str | None = None
    #: "": it has none.
    email: str | None = None


@dataclass(frozen=True)
class Person:
    """An account, and when it was made and last logged in to, as Unix time in seconds."""

    account: Account
    created_at: float
    last_login_at: float | None

    @property
    def roles(self) -> list[str]:
        """Those besides that of an operator."""
        return sorted(self.account.roles - {Role.OPERATOR})


@dataclass(frozen=True)
class People:
    """A page of accounts by name. ``total``: how many there are on all pages."""

    found: list[Person]
    total: int
    page: int
    pages: int


class Administration:
    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database = database
        self._accounts = accounts

    # --- look -------------------------------------------------------------------------------------

    def search(self, text: str = "", page: int = 1, size: int = 50) -> People:
        """Accounts whose name or address has the text in it; all without one. A page too far is the last one."""
        chosen = _has(text[:MAX_SEARCH_CHARS].lower())
        with self._database.reading() as session:
            total = session.scalar(select(func.count()).select_from(User).where(chosen)) or 0
            pages = max(1, -(-total // size))
            page = min(max(1, page), pages)
            users = session.scalars(
                select(User).where(chosen).order_by(User.name_key).offset((page - 1) * size).limit(size)
            ).all()
            return People(_people(session, users), total, page, pages)

    def find(self, name: str) -> Person:
        """Raises NoSuchAccount."""
        with self._database.reading() as session:
            return _people(session, [get_user(session, name)])[0]

    # --- change -----------------------------------------------------------------------------------

    def change(self, name: str, change: Change, by: By, *, more_roles: Collection[str] = ()) -> Account:
        """Change an account: all of it, or nothing. Roles count from its next request on; a new password, and being
        disabled, end its logins at once.

        Raises:
            NoSuchAccount
            InvalidInput: a role that there is not, a password or an address that breaks a rule.
            AccountExists: another account has the address.
            KeepsOperator: nobody who could log in would operate this server; or it is oneself.
        """
        known = None if change.roles is None else known_roles(change.roles, more_roles)
        if known is not None and Role.OPERATOR in known:
            raise InvalidInput.at("roles", f'expected roles without "{Role.OPERATOR}", which is said by itself')
        if change.email:
            check_email(change.email)
        password_hash = None if change.password is None else self._accounts.passwords.hash(change.password)
        try:
            with self._database.session() as session:
                user = get_user(session, name)
                self._refuse(session, user, change, by)
                if known is not None or change.operator is not None:
                    _set_roles(session, user, known, change.operator, by.actor)
                if change.email is not None:
                    _set_email(session, user, change.email or None, by.actor)
                if password_hash is not None:
                    _set_password(session, user, password_hash, by.actor)
                if change.disabled is not None:
                    _set_disabled(session, user, change.disabled, by.actor)
                session.flush()
                return as_account(user)
        except IntegrityError as error:
            raise AccountExists(
                f"there is already an account with the address {change.email}", name=name, taken="email"
            ) from error

    def begin_removal(self, name: str, by: By) -> Account:
        """Shut an account out that is to be removed, if it may be: from now on it makes nothing any more.

        Raises:
            NoSuchAccount
            KeepsOperator
        """
        return self.change(name, Change(disabled=True), by)

    def finish_removal(self, session: Session, user_id: int, by: Actor, details: dict[str, Any]) -> None:
        """Remove its row, with its roles, tokens and links, as part of a transaction."""
        user = session.get_one(User, user_id)
        forgive(session, of_account(user.name, 1))
        _note(session, by, "user.remove", user, details)
        session.delete(user)

    def _refuse(self, session: Session, user: User, change: Change, by: By) -> None:
        field = "admin" if change.operator is False else "disabled" if change.disabled else ""
        if not field or not (user.disabled_at is None and any(one.role == Role.OPERATOR for one in user.roles)):
            return
        if user.id == by.user_id:
            raise _keeps(field, user.name, "nobody takes that from themselves; ask another operator to do it")
        if by.user_id is not None and not _others(session, user.id):
            raise _keeps(field, user.name, "this is the last operator who can log in; make another one first")


def first_operator(session: Session, but: int) -> int | None:
    """The number of the operator who can log in and has been here for longest, besides one; None: there is none."""
    return next(iter(_others(session, but)), None)


def _others(session: Session, user_id: int) -> list[int]:
    """Operators who can log in, besides one. Their rows are locked: two that demote each other do so one by one."""
    operators = select(UserRole.user_id).where(UserRole.role == Role.OPERATOR)
    session.scalars(select(User.id).where(User.id.in_(operators)).order_by(User.id).with_for_update()).all()
    # Asked again now that nobody else changes them.
    can_log_in = and_(User.disabled_at.is_(None), or_(User.verified_at.is_not(None), User.email.is_(None)))
    query = select(User.id).where(User.id.in_(operators), can_log_in, User.id != user_id)
    return list(session.scalars(query.order_by(User.id)))


def _has(text: str) -> ColumnElement[bool]:
    if not text:
        return User.id.is_not(None)
    return or_(User.name_key.contains(text, autoescape=True), User.email_key.contains(text, autoescape=True))


def _people(session: Session, users: Iterable[User]) -> list[Person]:
    found = list(users)
    subjects = {f"user:{user.name}": user.id for user in found}
    query = select(AuditEntry.subject, func.max(AuditEntry.at)).where(
        AuditEntry.action == "login", AuditEntry.subject.in_(subjects)
    )
    logins = dict(session.execute(query.group_by(AuditEntry.subject)).all())
    people = []
    for user in found:
        last = logins.get(f"user:{user.name}")
        # One before the account was made was somebody else's, who had the name.
        people.append(Person(as_account(user), user.created_at, last if last and last >= user.created_at else None))
    return people


def _set_roles(session: Session, user: User, known: list[str] | None, operator: bool | None, by: Actor) -> None:
    before = {one.role for one in user.roles}
    wanted = before - {Role.OPERATOR} if known is None else set(known)
    if operator or (operator is None and Role.OPERATOR in before):
        wanted.add(Role.OPERATOR)
    if wanted == before:
        return
    kept = [one for one in user.roles if one.role in wanted]
    user.roles = kept + [UserRole(role=role) for role in sorted(wanted - before)]
    _note(session, by, "user.roles", user, {"before": sorted(before), "after": sorted(wanted)})


def _set_email(session: Session, user: User, email: str | None, by: Actor) -> None:
    if user.email == email:
        return
    user.email, user.email_key = email, None if email is None else email.lower()
    user.verified_at = user.verified_at or time.time()  # the operator vouches for it
    _note(session, by, "user.email", user)


def _set_password(session: Session, user: User, password_hash: str, by: Actor) -> None:
    user.password_hash = password_hash
    user.verified_at = user.verified_at or time.time()
    end_logins(session, user, keep_api_tokens=False)
    forgive(session, of_account(user.name, 1))
    _note(session, by, "user.password", user)


def _set_disabled(session: Session, user: User, disabled: bool, by: Actor) -> None:
    if disabled == (user.disabled_at is not None):
        return
    user.disabled_at = time.time() if disabled else None
    if disabled:
        end_logins(session, user, keep_api_tokens=True)
    _note(session, by, "user.disable" if disabled else "user.enable", user)


def _note(session: Session, by: Actor, action: str, user: User, details: dict[str, Any] | None = None) -> None:
    record(session, actor=by.name, address=by.address, action=action, subject=f"user:{user.name}", details=details)


def _keeps(field: str, name: str, message: str) -> KeepsOperator:
    return KeepsOperator(f"{name}: {message}", name=name, errors=[{"path": field, "message": message}])
