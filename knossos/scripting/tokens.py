"""Tokens of runs: with ``--auth-token`` a script calls this server back as the one that called it.

A token is told once, to the script, as the run begins; the database has its SHA-256, and no log has anything of it. It
stands for the caller, or for the roles that AUTHTOKEN_CONFIG gives the script instead.

What always holds: a token is void SCRIPT_TOKEN_GRACE_SECONDS after the end of its run, however that came to be noted,
and as soon as its account is disabled or gets another password; of one with limited uses, each is counted once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable

from sqlalchemy import bindparam, delete, insert, or_, select, update

from knossos.accounts import Account
from knossos.accounts.accounts import as_account
from knossos.accounts.tables import User
from knossos.database import Base, Database
from knossos.errors import AccessDenied
from knossos.scripting.access import ANONYMOUS, Caller, caller_of
from knossos.scripting.plan import TokenPlan
from knossos.scripting.run_records import NoSuchRun, Run
from knossos.scripting.tables import ScriptRun, ScriptToken
from knossos.settings import Settings

#: What every token begins with; the cookie of a session never does.
PREFIX = "knossos-run-"
#: Random bytes in a token. What they are written with needs no quoting in a cookie, an address or a command line.
SECRET_BYTES = 32
#: A longer text is no token.
MAX_TOKEN_CHARS = 200

_TOKENS = Base.metadata.tables[ScriptToken.__tablename__]
_ISSUE = insert(_TOKENS)
_END = (
    update(_TOKENS)
    .where(_TOKENS.c.run_id == bindparam("run"), _TOKENS.c.expires_at > bindparam("until"))
    .values(expires_at=bindparam("until"))
)
_CHECK = (
    select(
        ScriptToken.run_id,
        ScriptToken.user_id,
        ScriptToken.roles,
        ScriptToken.permissions,
        ScriptToken.expires_at,
        ScriptToken.uses_left,
        ScriptRun.created_at,
        ScriptRun.ended_at,
    )
    .join(ScriptRun, ScriptRun.id == ScriptToken.run_id)
    .where(ScriptToken.secret_hash == bindparam("sought"))
)


def new_text() -> str:
    """The text of a token that nobody has yet; it is good once it is issued."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


class RunTokenExpired(AccessDenied):
    """The token was good once: its run is over, its time, or its uses."""

    code = "token_expired"


class RunTokens:
    """``find_run`` answers how a run stands, also one whose worker could not note its end. Those who check need it."""

    def __init__(self, settings: Settings, database: Database, find_run: Callable[[str], Run] | None = None) -> None:
        self._settings = settings
        self._database = database
        self._find_run = find_run

    def issue(self, token: TokenPlan, run_id: str, text: str = "") -> str:
        """Make a token for a run that begins, of a text of `new_text` where there is one. Answers its text, which is
        not to be had again."""
        # No run goes on for longer than TASK_LIFETIME; its end makes the token void much earlier.
        lifetime = self._settings.task_lifetime
        if token.expires_after_seconds is not None:
            lifetime = min(lifetime, token.expires_after_seconds)
        text = text or new_text()
        values = {
            "secret_hash": _hash(text),
            "run_id": run_id,
            "user_id": token.user_id,
            "roles": None if token.roles is None else json.dumps(sorted(token.roles)),
            "permissions": json.dumps(list(token.permissions)),
            "expires_at": time.time() + lifetime,
            "uses_left": token.max_replays,
        }
        with self._database.writing() as connection:
            connection.execute(_ISSUE, values)
        return text

    def check(self, text: str) -> Caller:
        """Whom the token stands for. Counts one use of it.

        Raises:
            RunTokenExpired: its run ended too long ago, its time is over, or its uses are used up.
            AccessDenied: it was never issued, or its account is disabled, or has another password since.
        """
        if not text.startswith(PREFIX) or len(text) > MAX_TOKEN_CHARS:
            raise _wrong()
        sought = _hash(text)
        with self._database.reading() as session:
            row = session.execute(_CHECK, {"sought": sought}).one_or_none()
            if row is None:
                raise _wrong()
            user = None if row.user_id is None else session.get(User, row.user_id)
            account = None if user is None else _standing(user, row.created_at)
        self._refuse_old(row.expires_at, self._end_of(row.run_id) if row.ended_at is None else row.ended_at)
        if row.uses_left is not None:
            self._count_use(sought)
        if row.roles is None:
            return caller_of(account)
        roles = frozenset({ANONYMOUS, *json.loads(row.roles)})
        return Caller(account, roles, tuple(json.loads(row.permissions)), stands_in=True)

    def revoke(self, text: str) -> None:
        """Make a token void at once: the script has logged out. What is no token is passed over."""
        with self._database.session() as session:
            session.execute(delete(ScriptToken).where(ScriptToken.secret_hash == _hash(text)))

    def end(self, run_id: str) -> None:
        """The run has ended: its tokens are good for SCRIPT_TOKEN_GRACE_SECONDS from now, and not longer."""
        until = time.time() + self._settings.script_token_grace_seconds
        with self._database.writing() as connection:
            connection.execute(_END, {"run": run_id, "until": until})

    def purge(self) -> int:
        """Remove tokens that are void; how many."""
        ended = select(ScriptRun.id).where(
            ScriptRun.ended_at < time.time() - self._settings.script_token_grace_seconds,
        )
        void = delete(ScriptToken).where(or_(ScriptToken.expires_at <= time.time(), ScriptToken.run_id.in_(ended)))
        with self._database.session() as session:
            return len(session.scalars(void.returning(ScriptToken.secret_hash)).all())

    def _end_of(self, run_id: str) -> float | None:
        """When a run ended whose end is not noted: it was cancelled, its worker was lost, or it goes on (None)."""
        try:
            return None if self._find_run is None else self._find_run(run_id).ended_at
        except NoSuchRun as error:
            raise _expired() from error

    def _refuse_old(self, expires_at: float, ended_at: float | None) -> None:
        now, grace = time.time(), self._settings.script_token_grace_seconds
        if expires_at <= now or (ended_at is not None and ended_at + grace <= now):
            raise _expired()

    def _count_use(self, sought: str) -> None:
        one_less = (
            update(ScriptToken)
            .where(ScriptToken.secret_hash == sought, ScriptToken.uses_left > 0)
            .values(uses_left=ScriptToken.uses_left - 1)
        )
        with self._database.session() as session:
            if session.scalar(one_less.returning(ScriptToken.uses_left)) is None:
                raise _expired()


def _standing(user: User, started_at: float) -> Account:
    """The account as it is now, where it may still be acted for."""
    if user.disabled_at is not None or started_at < user.sessions_valid_from:
        raise _wrong()
    return as_account(user)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _wrong() -> AccessDenied:
    return AccessDenied("This token is not good (any more).")


def _expired() -> RunTokenExpired:
    return RunTokenExpired("This token has expired: its run is over, its time, or its uses.")
