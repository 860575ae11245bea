"""Tokens: logins of mod managers, and personal API tokens for programs; and who a caller is by one of them.

A token is shown once, when it is issued; the database has its SHA-256. Its text holds the time of its end, signed with
the server's key, so that one that was good once is told from a wrong one even after its row was removed: the mod
managers log in again after the first and must not after the second.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NoReturn

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from knossos.accounts.accounts import Account, Role
from knossos.accounts.audit import OPERATOR, Actor, record
from knossos.accounts.secret_files import secret_key
from knossos.accounts.tables import Token, User, UserRole
from knossos.database import MAX_ROW_NUMBER, Database
from knossos.errors import AccessDenied, InvalidInput, NotFound
from knossos.settings import Settings

#: Random bytes in a token.
SECRET_BYTES = 24
#: A longer text is no token.
MAX_TOKEN_CHARS = 500
#: Most characters of a token's name, and most tokens that one account may have at once.
MAX_NAME_CHARS = 100
MAX_API_TOKENS = 100
#: The time of the last use is kept as exactly as this, in seconds: most requests then only read.
LAST_USE_STEP_SECONDS = 600


class Scope(StrEnum):
    """What a token may be used for. A login may be used for everything."""

    #: See private mods and what else its owner sees.
    READ = "read"
    #: Store files and images.
    UPLOAD = "upload"
    #: Publish, change and delete releases; end tasks and answer their questions.
    RELEASE = "release"
    #: Create and change mods, teams and webhooks.
    MANAGE = "manage"
    #: Run scripts and call runners that its owner may, and have what comes of it.
    RUN = "run"
    #: Send scripts of one's own, watch and end them.
    SCRIPTS = "scripts"
    #: See and change the files of its owner's home.
    HOME = "home"
    #: Add, change and remove accounts, where its owner is an operator.
    USERS = "users"


ALL_SCOPES = frozenset(Scope)

#: A token with its account, one row for each role. Made once, since every part of an upload asks it.
_CHECK = (
    select(
        Token.id,
        Token.kind,
        Token.scopes,
        Token.expires_at,
        Token.revoked_at,
        Token.last_used_at,
        Token.user_id,
        User.name,
        User.disabled_at,
        UserRole.role,
    )
    .join(User, User.id == Token.user_id)
    .outerjoin(UserRole, UserRole.user_id == User.id)
    .where(Token.secret_hash == bindparam("sought"))
)


class TokenKind(StrEnum):
    #: Of a mod manager; ends after TOKEN_LIFETIME.
    LOGIN = "login"
    #: Made by its owner for a program, with a name and scopes.
    API = "api"


class TokenExpired(AccessDenied):
    """The token was good once; its owner has to log in again."""

    code = "token_expired"


class NoSuchToken(NotFound):
    """The account has no such token. ``token_id``."""

    code = "no_such_token"


@dataclass(frozen=True)
class Proof:
    """By what an account was known: a token, or a session. `standing.py` looks whether that is still good."""

    token_id: int | None = None
    #: The account's ``logins_since`` that the session names.
    logins_since: float | None = None


@dataclass(frozen=True)
class Identity:
    """An account, and what it may do by the token or session at hand."""

    user_id: int
    name: str
    roles: frozenset[str]
    scopes: frozenset[Scope]
    proof: Proof = Proof()

    @property
    def is_operator(self) -> bool:
        return Role.OPERATOR in self.roles

    def require(self, scope: Scope) -> None:
        """Raise AccessDenied unless the token may be used for that."""
        if scope not in self.scopes:
            raise AccessDenied(f"This token was not given the scope {scope}.", scope=scope)


def identity_of(account: Account) -> Identity:
    """The account in person, with every scope."""
    proof = Proof(logins_since=account.logins_since)
    return Identity(account.user_id, account.name, account.roles, ALL_SCOPES, proof)


@dataclass(frozen=True)
class TokenRecord:
    """What is known of a token: everything but itself. Times are Unix time in seconds."""

    token_id: int
    kind: TokenKind
    name: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    revoked_at: float | None

    @property
    def is_good(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > time.time())


class Tokens:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    @cached_property
    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(secret_key(self._settings), salt="knossos.token")

    def issue_login(self, user_id: int, since: float | None = None) -> str:
        """A token for a mod manager that has just shown the account's password.

        ``since`` is the account's ``logins_since`` when the password was checked.

        Raises:
            AccessDenied: the password was changed, or the account disabled, between the check and now.
        """
        with self._database.session() as session:
            # Locked: a new password that is being set makes the tokens void that it finds.
            user = session.get(User, user_id, with_for_update=True)
            if user is None or user.disabled_at is not None or since not in (None, user.sessions_valid_from):
                raise _wrong()
            return self._issue(session, user_id, TokenKind.LOGIN, "", ALL_SCOPES, self._settings.token_lifetime)

    def issue_api(
        self,
        user_id: int,
        name: str,
        scopes: Iterable[str],
        lifetime_seconds: float | None,
        *,
        by: Actor = OPERATOR,
    ) -> str:
        """A token for a program. ``lifetime_seconds`` None: it has no end.

        Raises:
            InvalidInput: the name, the scopes or the lifetime are none, or there are too many tokens already.
        """
        name, known = name.strip(), _scopes(scopes)
        if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
            raise InvalidInput.at("name", f"expected a name of 1 to {MAX_NAME_CHARS} characters")
        if lifetime_seconds is not None and not 0 < lifetime_seconds <= 100 * 365 * 86400:
            raise InvalidInput.at("lifetime", "expected a number of seconds above 0, or none at all")
        with self._database.session() as session:
            owner = session.get_one(User, user_id, with_for_update=True)  # two at once are counted one by one
            kept = [token for token in _load(session, user_id, TokenKind.API) if _record(token).is_good]
            if len(kept) >= MAX_API_TOKENS:
                raise InvalidInput.at(
                    "name", f"there are {MAX_API_TOKENS} tokens already; revoke some that are not used"
                )
            text = self._issue(session, user_id, TokenKind.API, name, known, lifetime_seconds)
            _note(session, by, "token.create", owner, {"name": name, "scopes": sorted(known)})
            return text

    def check(self, text: str) -> Identity:
        """Whose token that is, and what for.

        Raises:
            TokenExpired: it was good until its time was over.
            AccessDenied: it was never issued, or was revoked, or its account is disabled or gone.
        """
        if not 0 < len(text) <= MAX_TOKEN_CHARS:
            raise _wrong()
        with self._database.reading() as session:
            rows = session.connection().execute(_CHECK, {"sought": _hash(text)}).all()
        if not rows:
            self._raise_for_unknown(text)
        token = rows[0]
        if token.revoked_at is not None or token.disabled_at is not None:
            raise _wrong()
        if token.expires_at is not None and token.expires_at <= time.time():
            raise _expired()
        self._note_use(token.id, token.last_used_at)
        roles = frozenset(row.role for row in rows if row.role is not None)
        # A login that was issued before a scope was thought of may be used for it all the same.
        scopes = ALL_SCOPES if token.kind == TokenKind.LOGIN else _scopes(token.scopes.split())
        return Identity(token.user_id, token.name, roles, scopes, Proof(token.id))

    def list_tokens(self, user_id: int, kind: TokenKind | None = TokenKind.API) -> list[TokenRecord]:
        """The account's tokens that can still be used, newest first; with ``kind`` None logins as well."""
        with self._database.reading() as session:
            return [made for made in map(_record, _load(session, user_id, kind)) if made.is_good]

    def revoke(self, token_id: int, user_id: int | None = None, *, by: Actor = OPERATOR) -> TokenRecord:
        """Make a token void at once. With ``user_id``, only if it is that account's.

        Raises:
            NoSuchToken: there is no such token, or it is another account's.
        """
        with self._database.session() as session:
            token = session.get(Token, token_id) if 0 < token_id <= MAX_ROW_NUMBER else None
            if token is None or user_id not in (None, token.user_id):
                raise NoSuchToken(f"There is no token {token_id}.", token_id=token_id)
            if token.revoked_at is None:
                token.revoked_at = time.time()
                _note(session, by, "token.revoke", session.get_one(User, token.user_id), {"name": token.name})
            return _record(token)

    def revoke_login(self, text: str) -> None:
        """Log a mod manager out. What is no token is passed over."""
        with self._database.session() as session:
            query = update(Token).where(Token.secret_hash == _hash(text), Token.revoked_at.is_(None))
            session.execute(query.values(revoked_at=time.time()))

    def expire(self, older_than_seconds: float) -> int:
        """Remove tokens that ended so long ago. They are told from wrong ones all the same."""
        limit = time.time() - older_than_seconds
        with self._database.session() as session:
            gone = session.scalars(select(Token).where((Token.expires_at < limit) | (Token.revoked_at < limit))).all()
            for token in gone:
                session.delete(token)
            return len(gone)

    def _issue(
        self,
        session: Session,
        user_id: int,
        kind: TokenKind,
        name: str,
        scopes: frozenset[Scope],
        lifetime_seconds: float | None,
    ) -> str:
        now = time.time()
        expires_at = None if lifetime_seconds is None else now + lifetime_seconds
        text = str(self._serializer.dumps([secrets.token_urlsafe(SECRET_BYTES), expires_at]))
        session.add(
            Token(
                user_id=user_id,
                kind=kind,
                secret_hash=_hash(text),
                name=name,
                scopes=" ".join(sorted(scopes)),
                created_at=now,
                expires_at=expires_at,
            )
        )
        return text

    def _raise_for_unknown(self, text: str) -> NoReturn:
        """A token without a row: our signature says whether we issued it, and it says its end."""
        try:
            _, expires_at = self._serializer.loads(text)
        except (BadData, TypeError, ValueError) as error:
            raise _wrong() from error
        raise _expired() if expires_at is not None and expires_at <= time.time() else _wrong()

    def _note_use(self, token_id: int, last_used_at: float | None) -> None:
        now = time.time()
        if last_used_at is not None and last_used_at > now - LAST_USE_STEP_SECONDS:
            return
        with self._database.session() as session:
            session.execute(update(Token).where(Token.id == token_id).values(last_used_at=now))


def _load(session: Session, user_id: int, kind: TokenKind | None) -> list[Token]:
    query = select(Token).where(Token.user_id == user_id).order_by(Token.id.desc())
    return list(session.scalars(query if kind is None else query.where(Token.kind == kind)))


def _record(token: Token) -> TokenRecord:
    return TokenRecord(
        token_id=token.id,
        kind=TokenKind(token.kind),
        name=token.name,
        scopes=_scopes(token.scopes.split()),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )


def _scopes(words: Iterable[str]) -> frozenset[Scope]:
    try:
        found = frozenset(map(Scope, words))
    except ValueError as error:
        raise InvalidInput.at("scopes", f"expected some of: {', '.join(Scope)}") from error
    if not found:
        raise InvalidInput.at("scopes", f"expected at least one of: {', '.join(Scope)}")
    return found


def _note(session: Session, by: Actor, action: str, user: User, details: dict[str, Any]) -> None:
    record(session, actor=by.name, address=by.address, action=action, subject=f"user:{user.name}", details=details)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _wrong() -> AccessDenied:
    return AccessDenied("This token is not good (any more). Log in again.")


def _expired() -> TokenExpired:
    return TokenExpired("This token has expired. Log in again.")
