"""Removing an account: what becomes of all that it had.

Its logins and tokens end at once, its tasks and running scripts are cancelled, what its runs left goes, and its home is
out of reach at once. What it published stays: others have installed it, and need it. A mod that it alone owned gets an
operator as its owner.

What always holds: an account of the same name that is made later finds nothing of the earlier one. Where something
fails half way, the account is disabled, and removing it again does the rest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from knossos.accounts.access import owner_of_account
from knossos.accounts.administration import Administration, By, first_operator
from knossos.database import Database
from knossos.homes.homes import Homes
from knossos.jobs import Engine
from knossos.publishing.teams import hand_over
from knossos.scripting.leaving import remove_runs
from knossos.scripting.runs import Runs

REASON = "The account was removed."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Departed:
    """What was removed, and which mods have another owner now."""

    name: str
    runs: int
    had_home: bool
    mods: list[str]


class Departure:
    """Safe for threads."""

    def __init__(
        self, administration: Administration, database: Database, runs: Runs, engine: Engine, homes: Homes
    ) -> None:
        self._administration = administration
        self._database = database
        self._runs = runs
        self._engine = engine
        self._homes = homes

    def remove(self, name: str, by: By) -> Departed:
        """Remove an account.

        Raises:
            NoSuchAccount
            KeepsOperator: it is the last operator who can log in, or oneself.
            HomesMissing: its home cannot be taken away; it is disabled now.
        """
        account = self._administration.begin_removal(name, by)
        owner = owner_of_account(account.name)
        runs = remove_runs(self._database, self._runs, self._engine, owner, REASON)
        had_home = self._homes.discard(account.user_id)
        with self._database.session() as session:
            heir = by.user_id if by.user_id is not None else first_operator(session, account.user_id)
            mods = hand_over(session, account.user_id, heir)
            details = {"runs": runs, "home": had_home, "mods": mods}
            self._administration.finish_removal(session, account.user_id, by.actor, details)
        # Once more: a request that had begun before the account was shut out may have been at something.
        remove_runs(self._database, self._runs, self._engine, owner, REASON)
        self._homes.discard(account.user_id)
        _log.info("%s removed the account %s", by.actor.name, account.name)
        return Departed(account.name, runs, had_home, mods)
