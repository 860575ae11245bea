"""Runs: accepting one, finding it again, what was kept of it, and its end where its worker could not tell it.

The row in the database is the truth of what came of a run; the engine's job is the way to it, and is gone long before
the run's results are. What always holds: a run that was accepted has exactly one outcome; what is kept of it is whole
or not there; after its time row and files are gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence

import redis
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from knossos.database import Database
from knossos.jobs import Engine, JobNotFound, JobRecord, JobSpec, JobState, Limit
from knossos.scripting import run_rows
from knossos.scripting.notices.settling import settle
from knossos.scripting.plan import FileRole, RunKind, RunOutcome, RunPlan
from knossos.scripting.run_records import (
    ANONYMOUS_OWNER,
    RUN_ID,
    RUNS_PREFIX,
    BriefRun,
    Ending,
    KeptFile,
    NoSuchRun,
    Run,
    TooManyRuns,
    as_run,
    brief_of,
    inputs_prefix,
    load_run,
    new_run,
    new_run_id,
    run_prefix,
)
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage, StorageUnavailable

#: The engine's job of every run.
FUNCTION = "knossos.scripting.run_job.run"
#: Runs that one page of a history has.
PAGE = 100

#: What lists of runs read.
_BRIEF = (
    *(ScriptRun.id, ScriptRun.ticket, ScriptRun.owner, ScriptRun.created_at, ScriptRun.started_at, ScriptRun.ended_at),
    *(ScriptRun.outcome, ScriptRun.exit_code, ScriptRun.signal),
)

#: What has to hold, or is to happen, in the transaction that accepts a run.
Accepting = Callable[[Session], None]

_log = logging.getLogger(__name__)


class Runs:
    def __init__(self, settings: Settings, database: Database, storage: Storage, engine: Engine) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._engine = engine

    # --- accept -----------------------------------------------------------------------------------

    def submit(
        self,
        plan: RunPlan,
        *,
        owner: str,
        title: str,
        shown: Sequence[str],
        limits: Sequence[Limit] = (),
        retries: int = 0,
        function: str = FUNCTION,
        queue: str = "",
        then: JobSpec | None = None,
        accepting: Accepting | None = None,
    ) -> tuple[Run, JobRecord]:
        """Accept a run: its row, and its job in the queue. Nothing is left where that fails, the plan's files neither.

        Args:
            shown: what was called, without anything secret.
            limits: how many runs may be under way at once; by default SCRIPT_OWNER_CONCURRENCY of the owner's.
            function: the job that runs the plan; ``queue``: where it waits, "" for SCRIPT_QUEUE; ``then``: the job that
                follows it, however it ends.
            accepting: called in the transaction that makes the row; what it raises comes out, and nothing is made.

        Raises:
            TooManyRuns: the owner's others have to end first.
        """
        run = new_run(plan, owner, shown, self._settings.task_lifetime)
        spec = JobSpec(
            function=function,
            kind=plan.kind,
            title=title,
            owner=owner,
            payload=plan.model_copy(update={"shared_name": run.shared_name}).model_dump(mode="json"),
            queue=queue or self._settings.script_queue,
            # The run ends itself when its time is over; this is for one that cannot.
            timeout_seconds=(plan.limits.timeout_seconds or self._settings.script_timeout_seconds)
            + 2 * self._settings.script_kill_grace_seconds
            + 60,
            retries=retries,
            once=retries == 0,
            limits=tuple(limits) or (self.owner_limit(owner),),
        )
        try:
            if not self._accept(run, accepting, self._settings.script_owner_runs):
                self._refuse_too_many(owner)
                self._accept(run, accepting)
            record = self._engine.submit(spec, then)
        except BaseException:
            self._delete(plan.run_id)
            raise
        try:
            with self._database.writing() as connection:
                run_rows.queued(connection, run.run_id, record.ticket)
        except SQLAlchemyError as error:
            # The job is in the queue: to refuse it now would be untrue. Its worker notes the number when it begins.
            _log.warning("run %s is task %d, which could not be noted yet: %s", run.run_id, record.ticket, error)
        return dataclasses.replace(run, ticket=record.ticket), record

    def _accept(self, run: Run, accepting: Accepting | None, most: int | None = None) -> bool:
        """Make the row. False, and nothing is made, where its owner seems to have ``most`` unended ones already."""
        with self._database.session() as session:
            connection = session.connection()
            if most is not None and run_rows.count_unended(connection, run.owner) >= most:
                return False
            if accepting is not None:
                accepting(session)
            run_rows.add(connection, run)
        return True

    def owner_limit(self, owner: str) -> Limit:
        """How many runs of an owner's may be under way at once, of all scripts and runners together."""
        return Limit(key=f"script-owner:{owner}", most=self._settings.script_owner_concurrency)

    def limits(self, kind: RunKind, name: str, concurrency: int | None, owner: str) -> tuple[Limit, ...]:
        """What a script or runner that may have a ``concurrency`` of its own is limited by."""
        own = (Limit(key=f"{kind}:{name}", most=concurrency),) if concurrency else ()
        return (*own, self.owner_limit(owner))

    def _refuse_too_many(self, owner: str) -> None:
        """Raise TooManyRuns where as many runs of an owner's really are under way."""
        most = self._settings.script_owner_runs
        unended = ScriptRun.owner == owner, ScriptRun.outcome.is_(None)
        with self._database.reading() as session:
            rows = session.scalars(select(ScriptRun).where(*unended)).all()
        # Those whose worker was lost do not count, and nobody may have looked at them yet. All are asked for at once:
        # of many that come at the same second, each that is refused would ask for each of them.
        states = self._engine.states([row.ticket for row in rows if row.ticket is not None])
        doubtful = [row for row in rows if row.ticket not in states or states[row.ticket].finished]
        count = len(rows) - len(doubtful)
        if count + sum(self._settled(as_run(row, ())).outcome is None for row in doubtful) >= most:
            raise TooManyRuns(
                f"{most} runs are queued or running already. Wait until some have ended.", owner=owner, most=most
            )

    def rehearse(self) -> None:
        """Go through the life of a run that never was, and leave nothing of it.

        What the database's library prepares for each statement is then there in every process that a worker forks.
        """
        plan = RunPlan(run_id=new_run_id(), kind=RunKind.SCRIPT, name="rehearsal", program="", keep_seconds=60)
        self._accept(new_run(plan, ANONYMOUS_OWNER, (), 0), None, sys.maxsize)
        try:
            self.begin(plan.run_id, 0)
            self.end(plan.run_id, Ending(RunOutcome.EXITED, 0), [KeptFile(0, FileRole.STDOUT, "stdout", 0, "none")])
        finally:
            self._delete(plan.run_id)

    def warm_up(self) -> None:
        """Ask and say of a run that never was what is asked and said of each; nothing is written.

        A process that was just copied then has its own pages of what that takes.
        """
        nobodys = new_run_id()
        with contextlib.suppress(NoSuchRun):
            self.begin(nobodys, 0)
        self._note(nobodys, Ending(RunOutcome.EXITED, 0), (), time.time(), 0)
        with self._database.writing() as connection:
            settle(connection, nobodys, RunOutcome.EXITED, 0, time.time())

    def discard_inputs(self, run_id: str) -> None:
        """Remove the files that came with a call: the run has ended, or will not be."""
        self._storage.delete_below(inputs_prefix(run_id))

    # --- find -------------------------------------------------------------------------------------

    def get(self, run_id: str) -> Run:
        """The run as it stands, settled where its worker was lost.

        Raises:
            NoSuchRun
        """
        if not RUN_ID.fullmatch(run_id):
            raise NoSuchRun("There is no such run (any more).", run_id=run_id[:40])
        with self._database.reading() as session:
            row = session.get(ScriptRun, run_id)
            found = None if row is None else load_run(session, row)
        if found is None or found.expires_at <= time.time():
            raise NoSuchRun("There is no such run (any more).", run_id=run_id)
        return self._settled(found) if found.outcome is None else found

    def of_ticket(self, ticket: int) -> Run | None:
        """The run of the engine's job with that number."""
        with self._database.reading() as session:
            # A Redis that lost everything counts from 1 again: the newest is meant.
            query = select(ScriptRun).where(ScriptRun.ticket == ticket).order_by(ScriptRun.created_at.desc())
            row = session.scalar(query.limit(1))
            return None if row is None else load_run(session, row)

    def of_shared_name(self, shared_name: str) -> Run:
        """The run whose SHARED_DIR has that name. Raises NoSuchRun."""
        with self._database.reading() as session:
            row = session.scalar(select(ScriptRun).where(ScriptRun.shared_name == shared_name))
            found = None if row is None else load_run(session, row)
        if found is None or found.expires_at <= time.time():
            raise NoSuchRun("There is no such folder (any more).", run_id="")
        return found

    def history(self, owner: str | None, before: float | None = None, limit: int = PAGE) -> list[Run]:
        """Runs of one owner (None: of all), newest first, without their files."""
        query = select(ScriptRun).where(ScriptRun.expires_at > time.time()).order_by(ScriptRun.created_at.desc())
        if owner is not None:
            query = query.where(ScriptRun.owner == owner)
        if before is not None:
            query = query.where(ScriptRun.created_at < before)
        with self._database.reading() as session:
            return [as_run(row, ()) for row in session.scalars(query.limit(limit))]

    def brief(
        self, kind: RunKind, owner: str | None, before: int | None = None, limit: int | None = None
    ) -> list[BriefRun]:
        """Runs of a kind and an owner (None: of all), newest first, settled; quick, also for thousands.

        Args:
            before: only those whose job has a lower number.
        """
        query = select(*_BRIEF).where(
            ScriptRun.kind == kind, ScriptRun.expires_at > time.time(), ScriptRun.ticket.is_not(None)
        )
        if owner is not None:
            query = query.where(ScriptRun.owner == owner)
        query = query.order_by(ScriptRun.created_at.desc(), ScriptRun.ticket.desc())
        with self._database.reading() as session:
            if before is not None:
                query = query.where(ScriptRun.ticket < before)
                # So that an index leads to the page, however many come before it.
                newest = session.scalar(select(func.max(ScriptRun.created_at)).where(ScriptRun.ticket == before))
                query = query if newest is None else query.where(ScriptRun.created_at <= newest)
            rows = session.execute(query if limit is None else query.limit(limit)).all()
        states = self._engine.states([row.ticket for row in rows if row.outcome is None])
        found = []
        for row in rows:
            outcome = None if row.outcome is None else RunOutcome(row.outcome)
            if outcome is None and ((state := states.get(row.ticket)) is None or state.finished):
                found.append(brief_of(self.get(row.id), row.ticket))
            else:
                times = row.created_at, row.started_at, row.ended_at
                found.append(BriefRun(row.id, row.ticket, row.owner, *times, outcome, row.exit_code, row.signal))
        return found

    def count_open(self, kind: RunKind, owner: str | None = None) -> tuple[int, int]:
        """How many runs of a kind are running, and how many wait; of all, or of one owner.

        The oldest are settled first, so that what lost its worker does not count for ever.
        """
        chosen = [ScriptRun.kind == kind, ScriptRun.outcome.is_(None), ScriptRun.expires_at > time.time()]
        if owner is not None:
            chosen.append(ScriptRun.owner == owner)
        oldest = select(ScriptRun).where(*chosen, ScriptRun.ticket.is_not(None)).order_by(ScriptRun.created_at)
        with self._database.reading() as session:
            rows = [as_run(row, ()) for row in session.scalars(oldest.limit(PAGE))]
        states = self._engine.states([run.ticket for run in rows if run.ticket is not None])
        for run in rows:
            if run.ticket not in states or states[run.ticket].finished:
                self._settled(run)
        with self._database.reading() as session:
            counts = select(func.count(ScriptRun.started_at), func.count(ScriptRun.id)).where(*chosen)
            running, both = session.execute(counts).one()
        return running, both - running

    def read(self, file: KeptFile) -> Generator[bytes, None, None]:
        """The bytes of a kept file, in pieces."""
        return self._storage.read(file.key)

    def text(self, run: Run, role: FileRole, last_bytes: int | None = None) -> str:
        """A kept text of a run, or its last bytes; "" where it has none. What is no UTF-8 is replaced."""
        file = run.file(role)
        if file is None or not file.size:
            return ""
        start = 0 if last_bytes is None else max(0, file.size - last_bytes)
        return b"".join(self._storage.read(file.key, start)).decode("utf-8", "replace")

    def _settled(self, run: Run) -> Run:
        """A run without an outcome whose job has ended gets the outcome that the job says."""
        try:
            record = None if run.ticket is None else self._engine.find(run.ticket)
        except JobNotFound:
            record = None
        if run.ticket is None and run.created_at > time.time() - self._settings.task_lifetime:
            return run
        if record is not None and not record.state.finished:
            return run
        self.end(run.run_id, _ending_of(record), (), ended_at=None if record is None else record.ended_at)
        return self.get(run.run_id)

    # --- what the worker tells --------------------------------------------------------------------

    def begin(self, run_id: str, ticket: int) -> Run:
        """A worker starts the run.

        Raises:
            NoSuchRun: it is gone, or has ended.
        """
        with self._database.writing() as connection:
            begun = run_rows.begin(connection, run_id, ticket, time.time())
        if begun is None:
            raise NoSuchRun("There is no such run (any more).", run_id=run_id)
        return begun

    def end(
        self,
        run_id: str,
        ending: Ending,
        files: Iterable[KeptFile],
        keep_seconds: float | None = None,
        ended_at: float | None = None,
        *,
        has_inputs: bool = True,
    ) -> bool:
        """Note what came of a run, and when (None: now). False where that was noted: the first counts.

        Of one that was removed in the meantime nothing stays. The files that came with the call go; where it is known
        that there were none (``has_inputs``), the storage is not asked.
        """
        now = time.time() if ended_at is None else ended_at
        keep = self._settings.script_result_lifetime if keep_seconds is None else keep_seconds
        noted, is_gone, due = self._note(run_id, ending, files, now, keep)
        if is_gone:
            self._storage.delete_below(run_prefix(run_id))
        elif noted and has_inputs:
            try:
                self.discard_inputs(run_id)
            except StorageUnavailable as error:  # they go with the run; what came of it stands, and is to be told
                _log.warning("the files that came with run %s stay as long as it: %s", run_id, error)
        if due:
            self._tell(due)
        return noted

    def _note(
        self, run_id: str, ending: Ending, files: Iterable[KeptFile], ended_at: float, keep_seconds: float
    ) -> tuple[bool, bool, list[str]]:
        """Whether it was noted; where not, whether because there is no such run; and the notices that are due."""
        due: list[str] = []
        with self._database.writing() as connection:
            noted = run_rows.end(connection, run_id, ending, ended_at, ended_at + keep_seconds)
            is_gone = not noted and not run_rows.is_there(connection, run_id)
            if noted:
                due = settle(connection, run_id, ending.outcome, ending.exit_code, ended_at)
                run_rows.keep(connection, run_id, files)
        return noted, is_gone, due

    def _tell(self, notices: list[str]) -> None:
        """Have jobs deliver what is due. Where that fails now, somebody picks it up (`Notices.sweep`)."""
        # Most runs have nobody who waits for them, and do without what mails and webhooks need.
        from knossos.scripting.notices.notices import Notices

        try:
            Notices(self._settings, self._database, self._engine).submit(notices, time.time())
        except (redis.RedisError, SQLAlchemyError) as error:
            _log.warning("notices are delivered later: %s", error)

    # --- forget -----------------------------------------------------------------------------------

    def purge(self) -> int:
        """Remove what has expired, with its files; settle what lost its worker. Answers how many runs went."""
        with self._database.reading() as session:
            gone = set(session.scalars(select(ScriptRun.id).where(ScriptRun.expires_at <= time.time())))
            unsettled = session.scalars(select(ScriptRun).where(ScriptRun.outcome.is_(None))).all()
        for row in unsettled:
            if row.id not in gone:
                self._settled(as_run(row, ()))
        for run_id in gone:
            self._delete(run_id)
        self._delete_strays()
        return len(gone)

    def _delete_strays(self) -> None:
        """Remove files of runs that are in no table: whoever stored them was killed before they were noted."""
        before = time.time() - self._settings.task_lifetime
        newest: dict[str, float] = {}
        for key, _, stored_at in self._storage.list_keys(RUNS_PREFIX):
            run_id = key.split("/")[1]
            newest[run_id] = max(stored_at, newest.get(run_id, 0.0))
        for run_id, stored_at in newest.items():
            if stored_at < before and not self._is_known(run_id):
                self._storage.delete_below(f"{RUNS_PREFIX}/{run_id}")

    def _is_known(self, run_id: str) -> bool:
        with self._database.reading() as session:
            return session.get(ScriptRun, run_id) is not None

    def remove(self, run_id: str, reason: str) -> None:
        """Remove a run with all that is kept of it, cancelled where it is under way."""
        with self._database.reading() as session:
            ticket = session.scalar(select(ScriptRun.ticket).where(ScriptRun.id == run_id))
        self._delete(run_id)
        # Once more: its worker may just have kept what there was. What it keeps from now on, it removes (`end`).
        self._storage.delete_below(run_prefix(run_id))
        if ticket is None:
            return
        with contextlib.suppress(JobNotFound):
            if not self._engine.cancel(ticket, reason) or self._engine.find(ticket).state.finished:
                self._engine.forget(ticket)

    def _delete(self, run_id: str) -> None:
        self._storage.delete_below(run_prefix(run_id))
        with self._database.session() as session:
            row = session.get(ScriptRun, run_id)
            if row is not None:
                session.delete(row)


def _ending_of(record: JobRecord | None) -> Ending:
    if record is None or record.failure is None:
        return Ending(RunOutcome.LOST, error="What came of this run was lost with its task.")
    if record.state is JobState.CANCELLED:
        return Ending(RunOutcome.CANCELLED, error=record.failure.message)
    outcome = RunOutcome.TIMEOUT if record.failure.code == "timeout" else RunOutcome.LOST
    return Ending(outcome, error=record.failure.message)
