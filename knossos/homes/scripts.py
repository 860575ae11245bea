"""People's own scripts: the text is kept with the run, and goes to COMMAND on its standard input, in the home.

What always holds: one script that was accepted is one run and one job, whose number is the job's in script-server.md;
the row of the run says what came of it, whatever becomes of the processes and of Redis. MAX_RUNNING counts all people's
scripts, MAX_RUNNING_PER_USER one's own, in the workers of all machines together; whose wait take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from knossos.accounts import Account
from knossos.accounts.access import owner_of_account
from knossos.accounts.directory import spellings
from knossos.database import Database
from knossos.errors import InvalidInput, KnossosError, NotFound
from knossos.homes.homes import Homes
from knossos.jobs import Engine, JobNotFound, JobRecord, JobState, Limit, Signal
from knossos.scripting.interpreter import interpreter
from knossos.scripting.plan import FileRole, RunKind, RunOutcome, RunPlan
from knossos.scripting.run_records import BriefRun, NoSuchRun, Run, new_run_id, run_prefix
from knossos.scripting.runs import Accepting, Runs
from knossos.settings import Settings
from knossos.storage import NoSuchObject, Storage

#: All scripts of people share the slots of this limit.
LIMIT_KEY = "home-scripts"
#: Characters of the line that is a script's title, and bytes of the script in which that is looked for.
TITLE_CHARS = 80
TITLE_BYTES = 4096
#: Titles that a process remembers: lists are asked for again and again, and a script never changes.
TITLES = 4096

_OWNER_PREFIX = owner_of_account("")


class ScriptsOff(NotFound):
    """This server runs no scripts of people: COMMAND is not set."""

    code = "scripts_off"


class NoSuchJob(NotFound):
    """There is no such job (any more), or it is somebody else's."""

    code = "no_such_job"


class NotRunning(KnossosError):
    """The job ``ticket`` does not run: it waits, or has ended."""

    code = "not_running"


class JobStatus(StrEnum):
    """What script-server.md calls the states of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class ListedJob:
    ticket: int
    status: JobStatus
    user: str


@dataclass(frozen=True)
class JobRow:
    """A job as a list for people has it. ``waiting_before`` is how many are to begin before it, None where it does not
    wait; ``waits_for_own`` whether its owner has as many running as one person may have."""

    run: BriefRun
    status: JobStatus
    user: str
    title: str
    waiting_before: int | None
    waits_for_own: bool


@dataclass(frozen=True)
class Job:
    """A job, whole. ``waiting_before`` is how many are to begin before it, None where it does not wait."""

    run: Run
    ticket: int
    status: JobStatus
    user: str
    script: str
    out: str
    err: str
    waiting_before: int | None


class HomeScripts:
    """Safe for threads."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, engine: Engine, runs: Runs, homes: Homes
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._engine = engine
        self._runs = runs
        self._homes = homes
        self._title_of = lru_cache(TITLES)(self._read_title)

    # --- send -------------------------------------------------------------------------------------

    def check_on(self) -> None:
        """Raise ScriptsOff where nobody can send scripts."""
        if not self._settings.command:
            raise ScriptsOff("This server runs no scripts: its operator has not set COMMAND.")

    def submit(
        self, account: Account, script: bytes, *, run_id: str = "", accepting: Accepting | None = None
    ) -> JobRecord:
        """Accept a script.

        Args:
            run_id: the run's, where it was decided before; ``accepting``: see `Runs.submit`.

        Raises:
            ScriptsOff, TooManyRuns, InvalidInput: nothing is stored.
            SettingsError: there is no such interpreter.
            HomesMissing: the home cannot be used.
        """
        self.check_on()
        if not script.strip():
            raise InvalidInput("The script is empty: expected it as the request's body.", errors=[])
        owner = owner_of_account(account.name)
        self._homes.open(account.user_id).close()
        plan = self._plan(account.user_id, interpreter(self._settings), run_id or new_run_id())
        try:
            self._storage.put_bytes(plan.stdin_key, script)
        except BaseException:
            self._storage.delete(plan.stdin_key)
            raise
        _, record = self._runs.submit(
            plan,
            owner=owner,
            title=title_of(script),
            shown=(),
            limits=self._limits(owner),
            accepting=accepting,
        )
        return record

    def _limits(self, owner: str) -> list[Limit]:
        limits = [Limit(key=LIMIT_KEY, most=self._settings.max_running)]
        if self._settings.max_running_per_user:
            limits.append(Limit(key=f"{LIMIT_KEY}:{owner}", most=self._settings.max_running_per_user))
        return limits

    def _plan(self, user_id: int, program: str, run_id: str) -> RunPlan:
        return RunPlan(
            run_id=run_id,
            kind=RunKind.HOME,
            name=program.rpartition("/")[2],
            program=program,
            arguments=self._settings.args,
            folder=str(self._homes.folder(user_id)),
            folder_bytes=self._settings.home_quota_bytes,
            stdin_key=script_key(run_id),
            keep_seconds=self._settings.script_result_lifetime,
        )

    # --- look -------------------------------------------------------------------------------------

    def counts(self) -> tuple[int, int]:
        """How many scripts of all people run, and how many wait."""
        return self._runs.count_open(RunKind.HOME)

    def jobs(self, account: Account, before: int | None = None, limit: int | None = None) -> list[ListedJob]:
        """The account's jobs, or all people's for an operator; newest first."""
        owner = None if account.is_operator else owner_of_account(account.name)
        found = self._runs.brief(RunKind.HOME, owner, before, limit)
        names = self._names({one.owner for one in found})
        return [ListedJob(one.ticket, status_of(one), names[one.owner]) for one in found]

    def rows(self, account: Account, *, everyone: bool, before: int | None, limit: int) -> list[JobRow]:
        """The account's jobs, newest first, as people see them; an operator's may be everyone's."""
        owner = None if everyone and account.is_operator else owner_of_account(account.name)
        found = self._runs.brief(RunKind.HOME, owner, before, limit)
        waiting = [one.ticket for one in found if status_of(one) is JobStatus.WAITING]
        places, names = self._engine.places(LIMIT_KEY, waiting), self._names({one.owner for one in found})
        owners = {one.owner for one in found if status_of(one) is JobStatus.WAITING}
        held = {one for one in owners if self._is_held(one)}
        return [
            JobRow(
                run=one,
                status=(status := status_of(one)),
                user=names[one.owner],
                title=self._title_of(one.run_id),
                waiting_before=places.get(one.ticket, 0) if status is JobStatus.WAITING else None,
                waits_for_own=status is JobStatus.WAITING and one.owner in held,
            )
            for one in found
        ]

    def waiting_before(self, run: Run) -> int | None:
        """How many are to begin before a job; None where it does not wait."""
        if run.ticket is None or status_of(run) is not JobStatus.WAITING:
            return None
        return self._engine.places(LIMIT_KEY, [run.ticket]).get(run.ticket, 0)

    def waits_for_own(self, run: Run) -> bool:
        """Whether a job waits until another one of its owner's has ended."""
        return status_of(run) is JobStatus.WAITING and self._is_held(run.owner)

    def _is_held(self, owner: str) -> bool:
        """Whether somebody has as many running as one person may have."""
        most = self._settings.max_running_per_user
        return bool(most) and self._runs.count_open(RunKind.HOME, owner)[0] >= most

    def title(self, run_id: str) -> str:
        """What a job is called: the first line of its script that says something."""
        return self._title_of(run_id)

    def _read_title(self, run_id: str) -> str:
        try:
            return title_of(b"".join(self._storage.read(script_key(run_id), 0, TITLE_BYTES)))
        except NoSuchObject:
            return title_of(b"")

    def script(self, run_id: str) -> bytes:
        """What was sent. Raises NoSuchObject where the run is gone."""
        return b"".join(self._storage.read(script_key(run_id)))

    def earlier(self, account: Account, which: str) -> Run:
        """A job that the account may see, by its number or by the id of its run. Raises NoSuchJob."""
        if which.isascii() and which.isdigit() and len(which) < 16:
            return self._find(account, int(which))
        try:
            run = self._runs.get(which)
        except NoSuchRun:
            run = None
        return self._checked(account, run, which[:40])

    def job(self, account: Account, ticket: int) -> Job:
        """A job that the account may see.

        Raises:
            NoSuchJob
        """
        run = self._find(account, ticket)
        status = status_of(run)
        streams = (FileRole.STDOUT, FileRole.STDERR)
        if run.outcome is None:
            texts = self._output_so_far(ticket) if status is JobStatus.RUNNING else dict.fromkeys(streams, "")
        else:
            texts = {stream: self._runs.text(run, stream) for stream in streams}
        return Job(
            run=run,
            ticket=ticket,
            status=status,
            user=self._names({run.owner})[run.owner],
            script=self.script(run.run_id).decode("utf-8", "replace"),
            out=texts[FileRole.STDOUT],
            err=texts[FileRole.STDERR],
            waiting_before=self.waiting_before(run),
        )

    def _find(self, account: Account, ticket: int) -> Run:
        return self._runs.get(self._checked(account, self._runs.of_ticket(ticket), str(ticket)).run_id)

    def _checked(self, account: Account, run: Run | None, which: str) -> Run:
        mine = owner_of_account(account.name)
        if run is None or run.kind is not RunKind.HOME or not (account.is_operator or run.owner == mine):
            raise NoSuchJob(f"There is no job {which} (any more).", ticket=which)
        return run

    def _output_so_far(self, ticket: int) -> dict[FileRole, str]:
        pieces: dict[str, list[str]] = {FileRole.STDOUT: [], FileRole.STDERR: []}
        for event in self._engine.events(ticket):
            if event.type == "output" and event.data["stream"] in pieces:
                pieces[event.data["stream"]].append(event.data["text"])
        return {stream: "".join(pieces[stream]) for stream in (FileRole.STDOUT, FileRole.STDERR)}

    def _names(self, owners: set[str]) -> dict[str, str]:
        """What the accounts of owners are called; what it once was, for one that is gone."""
        keys = {owner: owner.removeprefix(_OWNER_PREFIX) for owner in owners}
        with self._database.reading() as session:
            found = spellings(session, keys.values())
        return {owner: found.get(key, key) for owner, key in keys.items()}

    # --- end --------------------------------------------------------------------------------------

    def signal(self, account: Account, ticket: int, which: Signal) -> None:
        """Have the interpreter of a running job, with all that it has started, get a signal.

        Raises:
            NoSuchJob
            NotRunning
        """
        run = self._find(account, ticket)
        try:
            state = self._engine.signal(ticket, which) if run.outcome is None else None
        except JobNotFound:
            state = None
        if state is not JobState.RUNNING:
            why = "waits for its turn" if state is JobState.QUEUED else "has ended"
            raise NotRunning(f"Job {ticket} does not run: it {why}.", ticket=ticket)


def script_key(run_id: str) -> str:
    """Where the storage has the script of a run, until the run is forgotten."""
    return f"{run_prefix(run_id)}/script"


def status_of(run: Run | BriefRun) -> JobStatus:
    if run.outcome is None:
        return JobStatus.WAITING if run.started_at is None else JobStatus.RUNNING
    ended_well = run.outcome == RunOutcome.EXITED and run.exit_code == 0
    return JobStatus.DONE if ended_well else JobStatus.FAILED


def title_of(script: bytes) -> str:
    """The first line that says something."""
    for line in script[:TITLE_BYTES].decode("utf-8", "replace").splitlines():
        text = "".join(character for character in line if character.isprintable()).strip()
        if text and not text.startswith("#!"):
            return text if len(text) <= TITLE_CHARS else text[: TITLE_CHARS - 3] + "..."
    return "A script"
