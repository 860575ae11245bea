"""Lists of calculations, quick for thousands, and the numbers of their plots.

The last numbers of an ended calculation's plot are read from its output by whoever first shows them, and kept in its
row from then on; a list reads only for a moment, so that the rest of them come when it is looked at again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from knossos.database import Database
from knossos.jobs import Engine, JobState
from knossos.scripting.calculations.plot import (
    READING_SECONDS,
    PlotSeries,
    Values,
    decoded,
    fingerprint,
    plot_series,
    read_values,
)
from knossos.scripting.calculations.states import CalculationState, plain, stage_of
from knossos.scripting.calculations.tables import CalculationRow
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import KeptFile, NoSuchRun
from knossos.scripting.runs import Runs
from knossos.scripting.tables import ScriptFile, ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage

#: Seconds for which one list reads outputs.
LIST_SECONDS = 0.5


@dataclass(frozen=True)
class ListedCalculation:
    """A calculation in a list. Times are Unix time in seconds."""

    sha1: str
    run_id: str
    state: CalculationState
    #: The job's id: the batch system's, else the engine's.
    job: str
    #: What there is to say of it, for people.
    text: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    #: The last number of each line of its plot; None: not read yet.
    last: tuple[float | None, ...] | None


class CalculationList:
    """Safe for threads."""

    def __init__(self, settings: Settings, database: Database, storage: Storage, engine: Engine, runs: Runs) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._engine = engine
        self._runs = runs
        self.series: tuple[PlotSeries, ...] = plot_series(settings)
        self._by = fingerprint(self.series)

    def page(
        self, state: CalculationState | None = None, before: float | None = None, limit: int = 50
    ) -> list[ListedCalculation]:
        """Calculations, newest first, settled where their worker was lost.

        Args:
            state: only those in it.
            before: only those that were posted before that time.
        """
        columns = (CalculationRow, ScriptRun)
        query = select(*columns).join(ScriptRun, ScriptRun.id == CalculationRow.run_id)
        query = query.where(ScriptRun.expires_at > time.time())
        if state is not None:
            query = query.where(_in_state(state))
        if before is not None:
            query = query.where(ScriptRun.created_at < before)
        with self._database.reading() as session:
            rows = [
                (row, run) for row, run in session.execute(query.order_by(ScriptRun.created_at.desc()).limit(limit))
            ]
        states = self._engine.states([run.ticket for _, run in rows if run.outcome is None and run.ticket is not None])
        found = [self._listed(row, run, states) for row, run in rows]
        # One that has turned out to have ended is in another state than the database said.
        wanted = [one for one in found if state is None or one.state is state or not one.state.over]
        return self._with_numbers(wanted)

    def _listed(self, row: CalculationRow, run: ScriptRun, states: dict[int, JobState]) -> ListedCalculation:
        outcome, exit_code, ended_at, error = run.outcome, run.exit_code, run.ended_at, run.error
        known = None if run.ticket is None else states.get(run.ticket)
        if outcome is None and run.ticket is not None and (known is None or known.finished):
            try:
                settled = self._runs.get(run.id)
                outcome, exit_code, ended_at, error = (
                    settled.outcome, settled.exit_code, settled.ended_at, settled.error,
                )  # fmt: skip
            except NoSuchRun:
                outcome, ended_at, error = RunOutcome.CANCELLED, time.time(), "It was deleted."
        batch = None if row.batch_state is None else CalculationState(row.batch_state)
        ending = None if outcome is None else RunOutcome(outcome)
        state = stage_of(ending, exit_code, known is JobState.RUNNING, batch)
        ticket = "" if run.ticket is None or self._settings.calculation_startcalc else str(run.ticket)
        text = row.batch_text if ending is None or state is CalculationState.FINISHED else error
        return ListedCalculation(
            row.sha1, run.id, state, row.batch_job or ticket, plain(text),
            run.created_at, run.started_at, ended_at, self._kept(row.plotted),
        )  # fmt: skip

    # --- numbers of plots -------------------------------------------------------------------------

    def values(self, stdout: KeptFile | None, seconds: float = READING_SECONDS) -> Values:
        """The numbers of the plot in an output that is kept."""
        pieces: Iterable[bytes] = () if stdout is None else self._storage.read(stdout.key)
        return read_values(self.series, decoded(pieces), seconds)

    def note(self, run_id: str, values: Values) -> None:
        """Keep the last numbers of a calculation that has ended."""
        text = json.dumps({"by": self._by, "last": values.last})
        with self._database.session() as session:
            session.execute(update(CalculationRow).where(CalculationRow.run_id == run_id).values(plotted=text))

    def _kept(self, text: str | None) -> tuple[float | None, ...] | None:
        """What was noted, unless other patterns have read it."""
        found: dict[str, Any] = {} if text is None else json.loads(text)
        return tuple(found["last"]) if found.get("by") == self._by else None

    def _with_numbers(self, found: Sequence[ListedCalculation]) -> list[ListedCalculation]:
        if not self.series:
            return list(found)
        until = time.monotonic() + LIST_SECONDS
        unread = [one.run_id for one in found if one.state.over and one.last is None]
        read: dict[str, Values] = {}
        outputs = self._outputs(unread)
        for run_id in unread:
            if time.monotonic() > until:
                break
            read[run_id] = self.values(outputs.get(run_id))
            self.note(run_id, read[run_id])
        return [replace(one, last=read[one.run_id].last) if one.run_id in read else one for one in found]

    def _outputs(self, run_ids: Sequence[str]) -> dict[str, KeptFile]:
        if not run_ids:
            return {}
        query = select(ScriptFile).where(ScriptFile.run_id.in_(run_ids), ScriptFile.role == FileRole.STDOUT)
        with self._database.reading() as session:
            return {
                f.run_id: KeptFile(f.number, FileRole(f.role), f.name, f.size, f.key) for f in session.scalars(query)
            }


def _in_state(state: CalculationState) -> ColumnElement[bool]:
    """`stage_of` as far as the database knows it."""
    ended, batch = ScriptRun.outcome.is_not(None), CalculationRow.batch_state
    well = and_(ScriptRun.outcome == RunOutcome.EXITED, ScriptRun.exit_code == 0)
    over = [one for one in CalculationState if one.over]
    works = and_(batch.is_(None), ScriptRun.started_at.is_not(None))
    waits = and_(batch.is_(None), ScriptRun.started_at.is_(None))
    conditions: dict[CalculationState, ColumnElement[bool]] = {
        CalculationState.FINISHED: well,
        CalculationState.CANCELLED: ScriptRun.outcome == RunOutcome.CANCELLED,
        CalculationState.FAILED: and_(
            ended,
            ScriptRun.outcome != RunOutcome.CANCELLED,
            or_(ScriptRun.outcome != RunOutcome.EXITED, ScriptRun.exit_code.is_(None), ScriptRun.exit_code != 0),
        ),
        CalculationState.RUNNING: and_(~ended, or_(batch == state, batch.in_(over), works)),
        CalculationState.QUEUED: and_(~ended, or_(batch == state, waits)),
        CalculationState.UNKNOWN: and_(~ended, batch == state),
    }
    return conditions[state]
