"""Calling a script: from a checked call to a run that is on its way. No protocol's words, so that all can use it.

`Scripting` is what handlers have: the catalogue, the runs, the tokens of runs, AUTHTOKEN_CONFIG. What always holds:
nobody starts a script that they may not run, and a call that is refused leaves nothing in the storage or the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from knossos.accounts.accounts import Role
from knossos.database import Database
from knossos.errors import AccessDenied
from knossos.jobs import Engine, JobRecord
from knossos.scripting.access import ADMINISTRATION, ANONYMOUS, Caller, may_execute
from knossos.scripting.authtokens import AuthToken, AuthTokens
from knossos.scripting.calculations.calculations import Calculations
from knossos.scripting.catalogue import Catalogue, Script
from knossos.scripting.incoming import IncomingFile, IncomingFiles
from knossos.scripting.plan import InputFile, RunKind, RunPlan, TokenPlan
from knossos.scripting.run_records import Run, inputs_prefix, new_run_id
from knossos.scripting.runners.folder import Runner, Runners
from knossos.scripting.runners.inputs import Call
from knossos.scripting.runners.planning import plan_of
from knossos.scripting.runs import Accepting, Runs
from knossos.scripting.tokens import RunTokens
from knossos.settings import Settings
from knossos.storage import Storage


class MayNotRun(AccessDenied):
    """The caller may not run the script ``script``."""

    code = "may_not_run"


class NotLoggedIn(AccessDenied):
    """Nobody is logged in, and not everybody may do that."""

    code = "not_logged_in"


@dataclass(frozen=True)
class Started:
    """A run that was accepted, and its job."""

    run: Run
    record: JobRecord


class Scripting:
    """Safe for threads."""

    def __init__(self, settings: Settings, database: Database, engine: Engine) -> None:
        self.settings = settings
        self.storage = Storage(settings)
        self.catalogue = Catalogue(settings)
        self.runners = Runners(settings)
        self.runs = Runs(settings, database, self.storage, engine)
        self.tokens = RunTokens(settings, database, self.runs.get)
        self.calculations = Calculations(settings, database, self.storage, engine)
        self.authtokens = AuthTokens(settings)

    @cached_property
    def granted_roles(self) -> frozenset[str]:
        """The roles that ROLE_PERMISSIONS names."""
        return frozenset(self.settings.role_permissions)

    def role_names(self) -> frozenset[str]:
        """What accounts may be besides what the server itself knows."""
        return (self.granted_roles | self.authtokens.roles() | {ADMINISTRATION}) - {ANONYMOUS, Role.OPERATOR}

    def find_for(self, caller: Caller, name: str) -> Script:
        """The script with that name, if the caller may run it.

        Raises:
            NotLoggedIn, MayNotRun: what they say. Whoever is not logged in is not told which scripts there are.
            NoSuchScript, BrokenScript: see `Catalogue.find`.
        """
        if may_execute(caller, name, self.settings):
            return self.catalogue.find(name)
        if caller.account is None and not caller.stands_in:
            raise NotLoggedIn("Log in to run this script.")
        script = self.catalogue.find(name)
        raise MayNotRun(f"{caller.name} may not run {script.name}.", script=script.name)

    def scripts_for(self, caller: Caller) -> list[Script]:
        """All scripts that the caller may run, by name."""
        return [script for script in self.catalogue.scripts() if may_execute(caller, script.name, self.settings)]

    def receive(self) -> IncomingFiles:
        """Places for files that come with a call."""
        return IncomingFiles(self.settings, self.storage)

    def start(
        self,
        script: Script,
        caller: Caller,
        arguments: Sequence[str] = (),
        files: Sequence[IncomingFile] = (),
        *,
        run_id: str = "",
        accepting: Accepting | None = None,
    ) -> Started:
        """Run a script for somebody that `find_for` let through. The files are taken; where it fails, none stays.

        Args:
            run_id: the run's, where it was decided before; ``accepting``: see `Runs.submit`.
        """
        run_id = run_id or new_run_id()
        inputs = tuple(
            InputFile(name=file.name, key=f"{inputs_prefix(run_id)}/{number}", size=file.size)
            for number, file in enumerate(files)
        )
        entry = self.authtokens.of_script(script.name)
        plan = plan_script(self.settings, script, caller, arguments, inputs, run_id=run_id, entry=entry)
        try:
            for file, place in zip(files, inputs, strict=True):
                self.storage.put_file(place.key, file.path)
        except BaseException:
            self.runs.discard_inputs(run_id)
            raise
        run, record = self.runs.submit(
            plan,
            owner=caller.owner,
            title=script.title,
            shown=plan.arguments,
            limits=self.runs.limits(plan.kind, plan.name, script.metadata.concurrency, caller.owner),
            retries=script.metadata.retries,
            accepting=accepting,
        )
        return Started(run, record)

    def start_runner(self, runner: Runner, owner: str, call: Call) -> Started:
        """Run a runner for an owner who may call it.

        Raises:
            InvalidInput: the request lacks a value, or has one that cannot be; nothing is stored.
        """
        plan = plan_of(runner, call, self.settings)
        run, record = self.runs.submit(
            plan,
            owner=owner,
            title=runner.title,
            shown=plan.arguments,
            limits=self.runs.limits(plan.kind, plan.name, runner.file.concurrency, owner),
            retries=runner.file.retries,
        )
        return Started(run, record)


def plan_script(
    settings: Settings,
    script: Script,
    caller: Caller,
    arguments: Sequence[str],
    inputs: Sequence[InputFile] = (),
    *,
    run_id: str,
    entry: AuthToken | None = None,
) -> RunPlan:
    """The plan of a script's run. ``entry`` is the script's of AUTHTOKEN_CONFIG."""
    home, keep = settings.server_side_scripting_home_dir, script.metadata.keep_seconds
    return RunPlan(
        run_id=run_id,
        kind=RunKind.SCRIPT,
        name=script.name,
        program=str(script.path),
        arguments=tuple(arguments),
        token=token_plan(caller, entry),
        inputs=tuple(inputs),
        template="" if home is None else str(home),
        limits=script.metadata.limits,
        network=script.metadata.network,
        mail=script.metadata.mail,
        keep_seconds=settings.script_result_lifetime if keep is None else keep,
    )


def token_plan(caller: Caller, entry: AuthToken | None) -> TokenPlan:
    """What the script's token stands for: the roles of its entry, else whoever calls it, in person or not."""
    user_id = None if caller.account is None else caller.account.user_id
    if entry is not None:
        return TokenPlan(
            user_id=user_id,
            roles=tuple(entry.roles),
            permissions=tuple(entry.permissions),
            expires_after_seconds=entry.expires_after_seconds,
            max_replays=entry.max_replays,
        )
    if caller.stands_in:
        return TokenPlan(user_id=user_id, roles=tuple(sorted(caller.roles)), permissions=caller.permissions)
    return TokenPlan(user_id=user_id)
