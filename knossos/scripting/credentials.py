"""By what somebody is known, whatever protocol they speak: a session, the token of an account, or that of a run.

One text is one of the three, wherever it is sent: in the cookie, or in the header ``Authorization: Bearer``. What
always holds: a session counts for everything its account may, a token only for its scopes, and the token of a run for
what its script may do in its caller's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from knossos.accounts import Account, Session, Sessions
from knossos.accounts.tokens import ALL_SCOPES, Scope, Tokens
from knossos.database import Database
from knossos.errors import AccessDenied
from knossos.jobs import Engine
from knossos.scripting.access import Caller, caller_of
from knossos.scripting.plan import RunKind
from knossos.scripting.runs import Runs
from knossos.scripting.tokens import PREFIX as RUN_TOKEN_PREFIX
from knossos.scripting.tokens import RunTokens
from knossos.settings import Settings
from knossos.storage import Storage


@dataclass(frozen=True)
class Holder:
    """Who holds a session or a token. ``by_run``: it is a script, by the token of its run."""

    caller: Caller
    by_run: bool = False
    scopes: frozenset[Scope] = ALL_SCOPES

    @property
    def session(self) -> Session | None:
        """The account in person; None for a script with roles of its own."""
        if self.caller.account is None or self.caller.stands_in:
            return None
        return Session(self.caller.account)

    def session_if(self, scope: Scope) -> Session | None:
        """The account in person, if it may be used for that."""
        return self.session if scope in self.scopes else None

    def require(self, scope: Scope) -> None:
        """Raise AccessDenied unless it may be used for that."""
        if scope not in self.scopes:
            raise AccessDenied(f"This token was not given the scope {scope}.", scope=scope)


class Credentials:
    """Safe for threads."""

    def __init__(self, sessions: Sessions, tokens: Tokens, run_tokens: RunTokens) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._run_tokens = run_tokens

    def of_cookie(self, text: str) -> Holder | None:
        """Who a cookie says is asking: by a session, or by the token of a run; None where it is not good."""
        if text.startswith(RUN_TOKEN_PREFIX):
            try:
                return self.of_token(text)
            except AccessDenied:
                return None
        session = self._sessions.read(text)
        return None if session is None else Holder(caller_of(session.account))

    def of_token(self, text: str) -> Holder:
        """Whose that is: the token of a run or of an account, or a session.

        Raises:
            TokenExpired, RunTokenExpired: it was good once.
            AccessDenied: it is not good.
        """
        if text.startswith(RUN_TOKEN_PREFIX):
            return Holder(self._run_tokens.check(text), by_run=True)
        session = self._sessions.read(text)
        if session is not None:
            return Holder(caller_of(session.account))
        identity = self._tokens.check(text)
        account = Account(identity.user_id, identity.name, identity.roles)
        return Holder(caller_of(account), scopes=identity.scopes)


def credentials_of(settings: Settings, database: Database, engine: Engine) -> Credentials:
    """All that is needed to know who somebody is, for a process that has nothing else of scripting."""
    runs = Runs(settings, database, Storage(settings), engine)
    run_tokens = RunTokens(settings, database, runs.get)
    return Credentials(Sessions(settings, database), Tokens(settings, database), run_tokens)


def scope_to_see(kind: str) -> Scope:
    """What a token needs to see a task of that kind, which may be a run."""
    if kind == RunKind.HOME:
        return Scope.SCRIPTS
    return Scope.RUN if kind in list(RunKind) else Scope.READ


def scope_to_steer(kind: str) -> Scope:
    """What a token needs to end such a task, or to answer its question: that it may see one is not enough."""
    seen = scope_to_see(kind)
    return Scope.RELEASE if seen is Scope.READ else seen
