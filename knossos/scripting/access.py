"""Who may run which script: callers, their roles, and permissions such as ``SCRIPTING:EXECUTE:tables/*``.

Pure functions. What a role may do is the setting ROLE_PERMISSIONS; ``administration`` may run all scripts, and
operators have it; ``anonymous`` is a role of everybody, logged in or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from knossos.accounts import Account
from knossos.accounts.access import owner_of_account
from knossos.scripting.run_records import ANONYMOUS_OWNER
from knossos.settings import Settings

ADMINISTRATION = "administration"
ANONYMOUS = "anonymous"
EXECUTE = "SCRIPTING:EXECUTE:"
CALL_RUNNER = "RUNNER:EXECUTE:"
#: To see and start calculations, and to delete them: all that a key of the service allows.
CALCULATE = "CALCULATION:USE"


@dataclass(frozen=True)
class Caller:
    """Who calls, and as what. ``account`` None: nobody is logged in."""

    account: Account | None
    roles: frozenset[str]
    #: Permissions beside those of the roles.
    permissions: tuple[str, ...] = ()
    #: True: a script calls, with roles of AUTHTOKEN_CONFIG rather than the account's. They count for scripts only.
    stands_in: bool = False

    @property
    def name(self) -> str:
        return ANONYMOUS if self.account is None else self.account.name

    @property
    def owner(self) -> str:
        """Whose the runs are, as the engine names owners."""
        return ANONYMOUS_OWNER if self.account is None else owner_of_account(self.account.name)

    def can_run_something(self, settings: Settings) -> bool:
        """False for those who are not logged in where ``anonymous`` was granted nothing."""
        return self.account is not None or self.stands_in or bool(settings.role_permissions.get(ANONYMOUS))


def caller_of(account: Account | None) -> Caller:
    """Somebody in person, or nobody."""
    if account is None:
        return Caller(None, frozenset({ANONYMOUS}))
    administers = {ADMINISTRATION} if account.is_operator else set()
    return Caller(account, frozenset({ANONYMOUS, *account.roles, *administers}))


def may_execute(caller: Caller, script: str, settings: Settings) -> bool:
    """Whether the caller may run the script of that name."""
    return _may(caller, EXECUTE + script, settings)


def may_call_runner(caller: Caller, runner: str, settings: Settings) -> bool:
    """Whether the caller may call the runner of that name; the default runner is ``config``."""
    return _may(caller, CALL_RUNNER + runner, settings)


def may_see_calculations(caller: Caller, settings: Settings) -> bool:
    """Whether the caller has the pages of calculations, with all that can be done there: everybody where the service is
    open, operators, and those with the permission ``CALCULATION:USE``. False where nothing calculates."""
    offered = bool(settings.calculation_command or settings.calculation_startcalc)
    return offered and (settings.calculation_open or _may(caller, CALCULATE, settings))


def _may(caller: Caller, wanted: str, settings: Settings) -> bool:
    if ADMINISTRATION in caller.roles:
        return True
    granted = [one for role in caller.roles for one in settings.role_permissions.get(role, ())]
    return any(_pattern(permission).fullmatch(wanted) for permission in (*granted, *caller.permissions))


@lru_cache(maxsize=1024)
def _pattern(permission: str) -> re.Pattern[str]:
    """A permission as a pattern: ``*`` stands for any characters, slashes too; all others for themselves."""
    return re.compile(".*".join(map(re.escape, permission.split("*"))), re.DOTALL)
