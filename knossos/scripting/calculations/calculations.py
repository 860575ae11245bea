"""Calculations by the SHA-1 of their input: starting one, finding it again, deleting it.

What always holds: one input is under way once, however often and by however many it is posted at the same moment; one
that has finished stays; one that failed or was cancelled is started anew when its input is posted again. A calculation
that was deleted leaves nothing, whatever its worker was at.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select, update

from knossos.database import Database, insert_into
from knossos.errors import NotFound, SettingsError
from knossos.jobs import Engine, JobNotFound, JobRecord, Limit
from knossos.scripting.calculations import batch_job
from knossos.scripting.calculations.input import check_input
from knossos.scripting.calculations.listing import CalculationList
from knossos.scripting.calculations.states import CalculationState, plain, state_of
from knossos.scripting.calculations.tables import CalculationRow
from knossos.scripting.metadata import RunLimits
from knossos.scripting.plan import FileRole, InputFile, RunKind, RunPlan
from knossos.scripting.run_records import KeptFile, NoSuchRun, Run, new_run_id, run_prefix
from knossos.scripting.runs import FUNCTION, Accepting, Runs
from knossos.scripting.tables import ScriptRun
from knossos.settings import ROOT, Settings
from knossos.storage import Storage

#: Whose the runs are, as the engine names owners: old clients have a key at most, and no account.
OWNER = "calculations"
INPUT_NAME = "input.xml"
INFO_NAME = "info.xml"
XML_SUFFIX = ".xml"
#: Seconds that lie at most between the row of a calculation and that of its run.
STARTING_SECONDS = 60.0


class NoSuchCalculation(NotFound):
    """There is no calculation ``sha1`` (any more), or it has no such file."""

    code = "no_such_calculation"


@dataclass(frozen=True)
class Calculation:
    """A calculation as it stands."""

    sha1: str
    run_id: str
    state: CalculationState
    #: The job's id: the batch system's, else the engine's; "" while there is none.
    job: str
    #: What there is to say of it, for people.
    text: str
    #: None: its row is being written.
    run: Run | None
    #: The engine's job, while it has it.
    record: JobRecord | None

    def file(self, name: str) -> KeptFile | None:
        """A file by its path; the two streams by their names."""
        files = self.run.files if self.run is not None else ()
        streams = [file for file in files if file.role in (FileRole.STDOUT, FileRole.STDERR)]
        written = [file for file in files if file.role is FileRole.WRITTEN]
        return next((file for file in (*streams, *written) if file.name == name), None)

    def xml_files(self) -> list[KeptFile]:
        """The XML files that the program wrote."""
        files = self.run.files if self.run is not None else ()
        return [
            file
            for file in files
            if file.role is FileRole.WRITTEN and file.name.lower().endswith(XML_SUFFIX) and file.name != INPUT_NAME
        ]


class Calculations:
    """Safe for threads."""

    def __init__(self, settings: Settings, database: Database, storage: Storage, engine: Engine) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._engine = engine
        self._runs = Runs(settings, database, storage, engine)
        self.listed = CalculationList(settings, database, storage, engine, self._runs)

    # --- start ------------------------------------------------------------------------------------

    def post(
        self, sha1: str, data: bytes, *, run_id: str = "", anew: bool = False, accepting: Accepting | None = None
    ) -> Calculation:
        """Start the calculation of an input, unless it is under way or has finished.

        Args:
            run_id: the run's, where it was decided before; ``accepting``: see `Runs.submit`.
            anew: also where it has finished; what it left is replaced.

        Raises:
            BadInput: the address is another input's, or it is no XML that may be; nothing is stored.
            SettingsError: the operator's program is not there.
        """
        check_input(sha1, data)
        row, known = self._current(sha1)
        goes_on = known is not None and not known.state.over
        if known is not None and (goes_on or (known.state is CalculationState.FINISHED and not anew)):
            return known
        before = "" if row is None else row.run_id
        plan = self._plan(sha1, len(data), run_id or new_run_id())
        self._storage.put_bytes(input_key(plan.run_id), data)
        if not self._claim(sha1, plan.run_id, before):
            self._storage.delete(input_key(plan.run_id))
            return self._posted(sha1, "")
        try:
            self._submit(sha1, plan, accepting)
        except BaseException:
            if known is not None and known.state is CalculationState.FINISHED:
                self._claim(sha1, before, plan.run_id)  # what it left stays
            else:
                self._forget(sha1, plan.run_id)
            raise
        if before:
            self._runs.remove(before, "Its input was posted again.")
        row = self._row(sha1)
        if row is None or row.run_id != plan.run_id:
            # Somebody has deleted it in between.
            self._runs.remove(plan.run_id, "The calculation was deleted.")
        return self._posted(sha1, plan.run_id)

    def _posted(self, sha1: str, run_id: str) -> Calculation:
        """What a post has come to: it was accepted also where somebody has deleted it at the same moment.

        Args:
            run_id: the run that the post has started; "" where somebody else's was faster.
        """
        try:
            return self.get(sha1)
        except NoSuchCalculation:
            return Calculation(sha1, run_id, CalculationState.CANCELLED, "", "It was deleted.", None, None)

    def post_again(self, sha1: str) -> Calculation:
        """Start one that failed or was cancelled anew, with the input that is kept of it. Raises as `post` does."""
        found = self.get(sha1)
        return self.post(sha1, b"".join(self._storage.read(input_key(found.run_id))))

    def input(self, run_id: str, most: int | None = None) -> bytes:
        """The input of a calculation's run, or its first bytes, ``most`` of them. Raises NotFound."""
        return b"".join(self._storage.read(input_key(run_id), 0, most))

    def _claim(self, sha1: str, run_id: str, before: str) -> bool:
        """Make the run the calculation's instead of ``before``, "" for none; False where somebody else was faster."""
        now = time.time()
        values = {"run_id": run_id, "created_at": now, "changed_at": now}
        # In a batch system it waits until that says something else.
        state = CalculationState.QUEUED if self._settings.calculation_startcalc else None
        fresh = {**values, "batch_job": "", "batch_state": state, "batch_text": "", "plotted": None}
        with self._database.session() as session:
            insert = insert_into(session, CalculationRow).values(sha1=sha1, **fresh).on_conflict_do_nothing()
            if session.execute(insert.returning(CalculationRow.sha1)).scalar() is not None:
                return True
            query = update(CalculationRow).where(CalculationRow.sha1 == sha1, CalculationRow.run_id == before)
            return session.execute(query.values(**fresh).returning(CalculationRow.sha1)).scalar() is not None

    def _plan(self, sha1: str, size: int, run_id: str) -> RunPlan:
        settings = self._settings
        in_batch = bool(settings.calculation_startcalc)
        program, *arguments = (settings.calculation_startcalc,) if in_batch else settings.calculation_command
        limits = RunLimits(timeout_seconds=settings.calculation_timeout_seconds) if in_batch else RunLimits()
        return RunPlan(
            run_id=run_id,
            kind=RunKind.CALCULATION,
            name="calculation",
            program=program if in_batch else find_program(settings, program),
            arguments=tuple(arguments),
            rundir_in_arguments=True,
            inputs=(InputFile(name=INPUT_NAME, key=input_key(run_id), size=size),),
            inputs_folder="",
            read_paths=tuple(one for one in arguments if os.path.isabs(one) and os.path.isfile(one)),
            limits=limits,
            keep_all=True,
            keep_seconds=settings.calculation_lifetime,
        )

    def _submit(self, sha1: str, plan: RunPlan, accepting: Accepting | None) -> None:
        settings = self._settings
        in_batch = bool(settings.calculation_startcalc)
        queue = settings.calculation_queue or settings.script_queue
        self._runs.submit(
            plan,
            owner=OWNER,
            title=f"Calculation {sha1[:12]}",
            shown=[sha1],
            limits=[Limit(key=f"{plan.kind}:{plan.name}", most=settings.calculation_concurrency)],
            # The same input gives the same results, and what is in a batch system is found there again.
            retries=settings.task_retries,
            function=batch_job.FUNCTION if in_batch else FUNCTION,
            queue=queue,
            then=batch_job.closing(plan.run_id, queue) if in_batch else None,
            accepting=accepting,
        )

    # --- find -------------------------------------------------------------------------------------

    def get(self, sha1: str) -> Calculation:
        """Raises NoSuchCalculation."""
        _, found = self._current(sha1)
        if found is None:
            raise NoSuchCalculation("There is no calculation with this SHA-1 (any more).", sha1=sha1)
        return found

    def read(self, file: KeptFile) -> Generator[bytes, None, None]:
        """The bytes of a kept file, in pieces."""
        return self._storage.read(file.key)

    def output_so_far(self, found: Calculation, stream: FileRole) -> str:
        """What a calculation that has not ended has printed to a stream."""
        return "" if found.record is None else "".join(self.printed(found.record.ticket, stream))

    def printed(self, ticket: int, stream: FileRole) -> Iterator[str]:
        """The same by the number of its job, in pieces."""
        return written(self._engine, ticket, stream)

    def _current(self, sha1: str) -> tuple[CalculationRow | None, Calculation | None]:
        """The row of an input, and the calculation that it stands for, if that is still there."""
        row = self._row(sha1)
        while row is not None:
            found = self._look(row)
            if found is not None and found.run is not None:
                return row, found
            # There is no such run (yet). Somebody may have posted the input anew while we looked for the old one.
            again = self._row(sha1)
            if again is not None and again.run_id == row.run_id:
                return row, found
            row = again
        return None, None

    def _row(self, sha1: str) -> CalculationRow | None:
        with self._database.reading() as session:
            return session.get(CalculationRow, sha1)

    def _look(self, row: CalculationRow) -> Calculation | None:
        """A calculation with its run and its job; None where the run has expired."""
        run: Run | None
        try:
            run = self._runs.get(row.run_id)
        except NoSuchRun:
            if row.created_at < time.time() - STARTING_SECONDS:
                return None
            run = None
        record = None
        if run is not None and run.ticket is not None:
            with contextlib.suppress(JobNotFound):
                record = self._engine.find(run.ticket)
        batch = None if row.batch_state is None else CalculationState(row.batch_state)
        state = state_of(run, record, batch)
        ticket = "" if run is None or run.ticket is None or self._settings.calculation_startcalc else str(run.ticket)
        text = row.batch_text if run is None or run.outcome is None or state is CalculationState.FINISHED else run.error
        return Calculation(row.sha1, row.run_id, state, row.batch_job or ticket, plain(text), run, record)

    # --- forget -----------------------------------------------------------------------------------

    def delete(self, sha1: str) -> None:
        """Delete a calculation with all that is kept of it, cancelled where it is under way.

        Raises:
            NoSuchCalculation
        """
        found = self.get(sha1)
        if not self._forget(sha1, found.run_id):
            raise NoSuchCalculation("There is no calculation with this SHA-1 (any more).", sha1=sha1)
        self._runs.remove(found.run_id, "The calculation was deleted.")

    def _forget(self, sha1: str, run_id: str) -> bool:
        query = delete(CalculationRow).where(CalculationRow.sha1 == sha1, CalculationRow.run_id == run_id)
        with self._database.session() as session:
            return session.execute(query.returning(CalculationRow.sha1)).scalar() is not None

    def purge(self) -> int:
        """Remove those whose run has expired. Answers how many went."""
        with self._database.session() as session:
            query = delete(CalculationRow).where(
                CalculationRow.created_at < time.time() - STARTING_SECONDS,
                CalculationRow.run_id.not_in(select(ScriptRun.id)),
            )
            return len(session.scalars(query.returning(CalculationRow.sha1)).all())


def is_offered(settings: Settings) -> bool:
    """Whether this server calculates at all."""
    return bool(settings.calculation_command or settings.calculation_startcalc)


def input_key(run_id: str) -> str:
    """Where the storage has the input of a calculation's run, for as long as the run is kept."""
    return f"{run_prefix(run_id)}/{INPUT_NAME}"


def find_program(settings: Settings, named: str) -> str:
    """The program of CALCULATION_COMMAND: a path, relative ones below the project's folder, or one on SCRIPT_PATH.

    Raises:
        SettingsError: there is none.
    """
    found = str(ROOT / named) if "/" in named else shutil.which(named, path=settings.script_path)
    if found is None or not os.access(found, os.X_OK) or not Path(found).is_file():
        raise SettingsError(
            f"CALCULATION_COMMAND: expected a program first, as a path or one on SCRIPT_PATH (it is {named!r})",
            setting="CALCULATION_COMMAND",
        )
    return found


def written(engine: Engine, ticket: int, stream: FileRole) -> Iterator[str]:
    """What a job has printed to a stream so far, in pieces. One that was started again begins anew."""
    events = list(_output_events(engine, ticket))
    started = max((number for number, text in enumerate(events) if text is None), default=-1)
    yield from (entry[1] for entry in events[started + 1 :] if entry is not None and entry[0] == stream)


def _output_events(engine: Engine, ticket: int) -> Iterator[tuple[str, str] | None]:
    """Stream and text of each piece; None where the job was started again."""
    after = "0-0"
    while events := engine.events(ticket, after=after, count=500):
        after = events[-1].id
        for event in events:
            if event.type == "output":
                yield str(event.data.get("stream")), str(event.data.get("text", ""))
            elif event.type == "state" and event.data.get("state") == "retrying":
                yield None
