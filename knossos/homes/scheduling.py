"""All parts of schedules put together, with scripts of people's own among what can be scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from knossos.accounts import Account
from knossos.accounts.access import owner_of_account
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.homes.errors import BadPath, LeavesHome, NoSuchPath, NotAFile
from knossos.homes.homes import Homes
from knossos.homes.opened import OpenedFile
from knossos.homes.scripts import HomeScripts, script_key, title_of
from knossos.jobs import Engine
from knossos.scripting.calls import Scripting
from knossos.scripting.notices.notices import Notices
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import NoSuchRun
from knossos.scripting.runs import Runs
from knossos.scripting.schedules.firing import Firings
from knossos.scripting.schedules.schedules import Schedules
from knossos.scripting.schedules.starters import Prepared, Start, scripting_starters
from knossos.scripting.schedules.sweeping import Sweeper
from knossos.scripting.schedules.ticker import Ticker
from knossos.scripting.schedules.wish import What
from knossos.settings import Settings
from knossos.storage import NoSuchObject, Storage


class HomeStarter:
    """Scripts of people's own: a file of the home as it is then, or a text that is kept with the schedule."""

    def __init__(self, settings: Settings, storage: Storage, runs: Runs, homes: Homes, scripts: HomeScripts) -> None:
        self._settings = settings
        self._storage = storage
        self._runs = runs
        self._homes = homes
        self._scripts = scripts

    def prepare(self, account: Account, what: What) -> Prepared:
        """See `Starter.prepare`."""
        self._scripts.check_on()
        if what.target:
            try:
                self._read(account, what.target)
            except (BadPath, LeavesHome, NoSuchPath, NotAFile) as error:
                raise InvalidInput.at("path", error.message) from error
            return Prepared(What(RunKind.HOME, what.target), what.target.rpartition("/")[2])
        content = what.content if what.content is not None else self._script_of(account, what.job)
        return Prepared(What(RunKind.HOME, "", content=content), title_of(content))

    def start(self, account: Account, start: Start) -> None:
        """See `Starter.start`."""
        content = self._read(account, start.what.target) if start.what.target else start.what.content
        assert content is not None
        self._scripts.submit(account, content, run_id=start.run_id, accepting=start.accepting)

    def _script_of(self, account: Account, run_id: str) -> bytes:
        try:
            run = self._runs.get(run_id)
            if run.kind is RunKind.HOME and run.owner == owner_of_account(account.name):
                return b"".join(self._storage.read(script_key(run.run_id)))
        except (NoSuchRun, NoSuchObject):
            pass
        raise InvalidInput.at("job", "there is no such run of yours (any more)")

    def _read(self, account: Account, path: str) -> bytes:
        """A script in the home, no larger than scripts may be."""
        most = self._settings.max_script_bytes
        with self._homes.open(account.user_id) as home:
            found = home.open(path)
        try:
            if not isinstance(found, OpenedFile):
                raise InvalidInput.at("path", "this is a folder; expected a script")
            if found.size > most:
                raise InvalidInput.at("path", f"expected a script of at most {most} bytes")
            text = b"".join(found.read(0, found.size))
        finally:
            found.close()
        if not text.strip():
            raise InvalidInput.at("path", "the script is empty")
        return text


@dataclass(frozen=True)
class Scheduling:
    """What handlers and the ticker work with."""

    schedules: Schedules
    firings: Firings
    sweeper: Sweeper
    notices: Notices


def scheduling(
    settings: Settings, database: Database, engine: Engine, scripting: Scripting, homes: Homes, scripts: HomeScripts
) -> Scheduling:
    """Put it together."""
    runs, storage = scripting.runs, scripting.storage
    starters = {**scripting_starters(scripting), RunKind.HOME: HomeStarter(settings, storage, runs, homes, scripts)}
    notices = Notices(settings, database, engine)
    firings = Firings(settings, database, storage, runs, notices, starters)
    sweeper = Sweeper(settings, database, engine, runs, notices, firings)
    return Scheduling(Schedules(settings, database, storage, starters), firings, sweeper, notices)


def made_of(settings: Settings, database: Database, engine: Engine) -> Scheduling:
    """The same from the ground up."""
    scripting, homes = Scripting(settings, database, engine), Homes(settings)
    scripts = HomeScripts(settings, database, scripting.storage, engine, scripting.runs, homes)
    return scheduling(settings, database, engine, scripting, homes, scripts)


def tick(settings: Settings) -> None:
    """Have schedules run when they are due, without end: in a process of its own, which may be killed at any moment."""
    made = made_of(settings, Database(settings), Engine(settings))
    Ticker(made.firings, made.sweeper).run()
