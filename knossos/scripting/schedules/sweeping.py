"""Finishing what somebody who was killed has left: times that were claimed and not started, runs whose worker was lost
while somebody waits to be told, notices that nobody delivers."""

from __future__ import annotations

import logging

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.notices.notices import AHEAD_SECONDS, Notices
from knossos.scripting.notices.states import NoticeState
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import NoSuchRun, new_run_id
from knossos.scripting.runs import Runs
from knossos.scripting.schedules.firing import Firings
from knossos.scripting.schedules.schedules import as_firing
from knossos.scripting.schedules.states import Firing, FiringState
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.schedules.when import When, times_after
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings

#: Seconds after which a time that was claimed and not started counts as left behind. A calculation's claim on its input
#: is over by then.
LEFT_SECONDS = 90.0
#: Rows that are looked at in one go.
AT_ONCE = 200

_log = logging.getLogger(__name__)


class Sweeper:
    def __init__(
        self, settings: Settings, database: Database, engine: Engine, runs: Runs, notices: Notices, firings: Firings
    ) -> None:  # fmt: skip
        self._settings = settings
        self._database = database
        self._engine = engine
        self._runs = runs
        self._notices = notices
        self._firings = firings

    def sweep(self, now: float) -> None:
        """Look once after all of it."""
        self.finish_claims(now)
        self.settle_runs(now)
        self._notices.sweep(now)

    def put_right(self, now: float) -> int:
        """Have schedules come that wait for a far day, since a clock was ahead when they came last. Answers how many.

        No time that was decided on then comes once more. It reads all that is noted, so it is not done at each look.
        """
        ahead = FiringRow.claimed_at > now + AHEAD_SECONDS
        with self._database.reading() as session:
            found = session.scalars(select(FiringRow.schedule_id).where(ahead).distinct().limit(AT_ONCE)).all()
        for schedule_id in found:
            with self._database.session() as session:
                row = session.scalar(select(ScheduleRow).where(ScheduleRow.id == schedule_id).with_for_update())
                if row is not None and row.next_at is not None and row.at is None:
                    row.next_at = self._next_of(session, row, now)
                mine = update(FiringRow).where(FiringRow.schedule_id == schedule_id, ahead)
                session.execute(mine.values(claimed_at=now))
            _log.warning("a clock was ahead when schedule %s came last; it comes as it should again", schedule_id)
        return len(found)

    def _next_of(self, session: Session, row: ScheduleRow, now: float) -> float | None:
        decided = select(FiringRow.due_at).where(FiringRow.schedule_id == row.id, FiringRow.due_at > now)
        known = set(session.scalars(decided))
        times = times_after(When(cron=row.cron, zone=row.zone), now)
        return next((one for one in times if one not in known), row.next_at)

    def finish_claims(self, now: float) -> int:
        """Have those run that were claimed and not started. Answers how many this call has taken over."""
        with self._database.reading() as session:
            left = FiringRow.state == FiringState.CLAIMED, FiringRow.claimed_at < now - LEFT_SECONDS
            found = [as_firing(row) for row in session.scalars(select(FiringRow).where(*left).limit(AT_ONCE))]
        count = 0
        for firing in found:
            taken = self._take_over(firing, now)
            if taken is not None:
                count += 1
                _log.warning("a run of schedule %s was left behind; it is started now", firing.schedule_id)
                self._firings.start(taken, now)
        return count

    def _take_over(self, firing: Firing, now: float) -> Firing | None:
        """Make a time one's own, with another run; None where its run was accepted, or somebody else was faster."""
        with self._database.session() as session:
            mine = (
                FiringRow.id == firing.firing_id,
                FiringRow.run_id == firing.run_id,
                FiringRow.state == FiringState.CLAIMED,
                FiringRow.claimed_at == firing.claimed_at,
            )
            row = session.scalar(select(FiringRow).where(*mine).with_for_update())
            if row is None:
                return None
            if not _withdraw(session, firing.run_id):
                row.state = FiringState.STARTED
                return None
            row.run_id, row.claimed_at = new_run_id(), now
            notices = update(NoticeRow).where(NoticeRow.run_id == firing.run_id)
            session.execute(notices.values(run_id=row.run_id))
            session.flush()
            return as_firing(row)

    def settle_runs(self, now: float) -> int:
        """Note what came of runs that somebody waits for and whose worker could not tell. Answers how many."""
        waited = select(NoticeRow.run_id).where(NoticeRow.state == NoticeState.WAITING, NoticeRow.run_id.is_not(None))
        scheduled = select(FiringRow.run_id).where(
            FiringRow.state == FiringState.STARTED, FiringRow.outcome.is_(None)
        )  # fmt: skip
        query = select(ScriptRun.id, ScriptRun.ticket).where(
            ScriptRun.id.in_(waited.union(scheduled)), ScriptRun.outcome.is_(None), ScriptRun.ticket.is_not(None)
        )
        with self._database.reading() as session:
            rows = session.execute(query.order_by(ScriptRun.created_at).limit(AT_ONCE)).all()
        states = self._engine.states([row.ticket for row in rows]) if rows else {}
        over = [row.id for row in rows if row.ticket not in states or states[row.ticket].finished]
        for run_id in over:
            try:
                self._runs.get(run_id)
            except NoSuchRun:
                continue
        self._forget_removed(now)
        return len(over)

    def _forget_removed(self, now: float) -> None:
        """A time whose run was removed before it ended does not go on for ever."""
        gone = (
            FiringRow.state == FiringState.STARTED,
            FiringRow.outcome.is_(None),
            FiringRow.claimed_at < now - LEFT_SECONDS,
            FiringRow.run_id.not_in(select(ScriptRun.id)),
        )
        with self._database.reading() as session:
            if session.scalar(select(FiringRow.id).where(*gone).limit(1)) is None:
                return
        with self._database.session() as session:
            values = {"outcome": RunOutcome.LOST, "ended_at": now, "text": "Its run was removed."}
            session.execute(update(FiringRow).where(*gone).values(**values))


def _withdraw(session: Session, run_id: str) -> bool:
    """Take back a run that may have been accepted without its job; False where it has a job. A job of it that comes
    nevertheless finds no run, and does nothing."""
    row = session.scalar(select(ScriptRun).where(ScriptRun.id == run_id).with_for_update())
    if row is None:
        return True
    if row.ticket is not None or row.started_at is not None or row.outcome is not None:
        return False
    session.execute(delete(ScriptRun).where(ScriptRun.id == run_id))
    return True
