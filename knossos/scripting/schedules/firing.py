"""Having schedules run when they are due: exactly once for each time, by whoever comes first.

Any number of processes on any number of machines do this. A time is had by the one whose UPDATE changes ``next_at``
from the value that it saw, and in the same transaction it is noted with the id of its run; so one that is killed then
leaves something that `Sweeper` finishes. That one gives the run another id first, and the transaction that accepts a
run wants the id to be the one that is noted (`Start.accepting`): somebody who was only slow is too late, and nothing is
run twice. Rights are the account's as it is then.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from functools import partial

import redis
from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from knossos.accounts import Account
from knossos.accounts.accounts import as_account
from knossos.accounts.tables import User
from knossos.database import Database
from knossos.errors import AccessDenied, KnossosError, MissingDependency
from knossos.scripting.notices.notices import Notices, add_due, add_waiting
from knossos.scripting.notices.states import NoticeEvent, NoticeState
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import NoSuchRun, new_run_id
from knossos.scripting.runs import Runs
from knossos.scripting.schedules.deciding import Decision, decide
from knossos.scripting.schedules.schedules import as_firing, as_schedule, wanted_of
from knossos.scripting.schedules.starters import Start, Starter
from knossos.scripting.schedules.states import Firing, FiringState, NoSuchSchedule, StillRunning
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.schedules.when import BadTime, When
from knossos.scripting.schedules.wish import What
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage

#: Schedules that are looked at in one go.
AT_ONCE = 50

#: What passes by itself: the time is kept, and tried again.
PASSING = (redis.RedisError, OperationalError, MissingDependency)

_log = logging.getLogger(__name__)


class Superseded(KnossosError):
    """Somebody else has the run of this time by now."""

    code = "superseded"


class Firings:
    """Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        runs: Runs,
        notices: Notices,
        starters: Mapping[RunKind, Starter],
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._runs = runs
        self._notices = notices
        self._starters = starters

    # --- what is due ------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When the next schedule of all is due."""
        with self._database.reading() as session:
            query = select(ScheduleRow.next_at).where(ScheduleRow.next_at.is_not(None)).order_by(ScheduleRow.next_at)
            return session.scalar(query.limit(1))

    def fire_due(self, now: float) -> int:
        """Have all run that are due. Answers of how many times this call has decided."""
        with self._database.reading() as session:
            query = select(ScheduleRow.id, ScheduleRow.next_at).where(ScheduleRow.next_at <= now)
            due = session.execute(query.order_by(ScheduleRow.next_at).limit(AT_ONCE)).all()
        count = 0
        for row in due:
            self._settle_last(row.id)
            try:
                firing = self.claim(row.id, row.next_at, now)
            except BadTime as error:
                self._stop(row.id, row.next_at, f"Its time cannot be read any more: {error.message}", now)
                continue
            if firing is not None:
                count += 1
                try:
                    self.start(firing, now)
                except Exception as error:
                    # What is wrong with one keeps no other from its time. `Sweeper` finishes it.
                    _log.warning("schedule %s: %s", row.id, " ".join(str(error).split())[:300])
        return count

    def claim(self, schedule_id: str, due: float, now: float) -> Firing | None:
        """Decide on a time, in one transaction. None where somebody else has, or the schedule was changed."""
        due_notices: list[str] = []
        with self._database.session() as session:
            mine = ScheduleRow.id == schedule_id, ScheduleRow.next_at == due
            row = session.scalar(select(ScheduleRow).where(*mine).with_for_update())
            if row is None:
                return None
            when = When(row.at, row.cron, row.zone)
            decision = decide(
                when, due, now, self._settings.schedule_grace_seconds, goes_on=_goes_on(session, schedule_id)
            )
            change = update(ScheduleRow).where(*mine).values(next_at=decision.next_at, stopped=decision.stopped)
            if session.execute(change.returning(ScheduleRow.id)).scalar() is None:
                return None
            firing = self._note(session, row, decision, now)
            if decision.state is FiringState.MISSED:
                due_notices = _tell(session, row, NoticeEvent.NOT_RUN, decision.text, now)
        _log.info("schedule %s is due: %s %s", schedule_id, decision.state, decision.text)
        self._notices.submit(due_notices, now)
        return as_firing(firing)

    def run_now(self, account: Account, schedule_id: str) -> Firing:
        """Have it run at once, whatever the clock says; when it comes next stays as it is.

        Raises:
            NoSuchSchedule
            StillRunning: its run before still goes on.
            KnossosError: it cannot be run, and what for; the history says so as well.
        """
        now = time.time()
        self._settle_last(schedule_id)
        with self._database.session() as session:
            mine = ScheduleRow.id == schedule_id, ScheduleRow.user_id == account.user_id
            row = session.scalar(select(ScheduleRow).where(*mine).with_for_update())
            if row is None:
                raise NoSuchSchedule("There is no such schedule (any more).", schedule_id=schedule_id[:40])
            if _goes_on(session, schedule_id):
                raise StillRunning("Its run before still goes on.", schedule_id=schedule_id)
            decision = Decision(FiringState.CLAIMED, "", now, row.next_at, row.stopped)
            firing = as_firing(self._note(session, row, decision, now, by_hand=True))
        refused = self.start(firing, now)
        if refused is not None:
            raise refused
        return firing

    def _note(
        self, session: Session, row: ScheduleRow, decision: Decision, now: float, *, by_hand: bool = False
    ) -> FiringRow:
        firing = FiringRow(
            id=str(uuid.uuid4()),
            schedule_id=row.id,
            due_at=decision.due_at,
            claimed_at=now,
            by_hand=by_hand,
            state=decision.state,
            text=decision.text,
            run_id=new_run_id(),
        )
        session.add(firing)
        if decision.state is FiringState.CLAIMED:
            add_waiting(
                session,
                wanted_of(row),
                user_id=row.user_id,
                run_id=firing.run_id,
                schedule_id=row.id,
                title=row.name,
                at=now,
            )
        return firing

    def _stop(self, schedule_id: str, due: float, text: str, now: float) -> None:
        """Stop a schedule that came to no time, such as one whose zone is not there after an update; tell of it."""
        due_notices: list[str] = []
        with self._database.session() as session:
            mine = ScheduleRow.id == schedule_id, ScheduleRow.next_at == due
            row = session.scalar(select(ScheduleRow).where(*mine).with_for_update())
            if row is None:
                return
            row.next_at, row.stopped = None, text
            due_notices = _tell(session, row, NoticeEvent.STOPPED, text, now)
        _log.warning("schedule %s is stopped: %s", schedule_id, text)
        self._notices.submit(due_notices, now)

    def _settle_last(self, schedule_id: str) -> None:
        """Let a run whose worker was lost not count as going on."""
        open_ = FiringRow.schedule_id == schedule_id, *_UNENDED
        with self._database.reading() as session:
            run_ids = session.scalars(select(FiringRow.run_id).where(*open_)).all()
        for run_id in run_ids:
            try:
                self._runs.get(run_id)
            except NoSuchRun:
                continue

    # --- start ------------------------------------------------------------------------------------

    def start(self, firing: Firing, now: float) -> KnossosError | None:
        """Have the run of a time that was claimed accepted. Answers why it cannot be, which is noted."""
        if firing.state is not FiringState.CLAIMED:
            return None
        with self._database.reading() as session:
            row = session.get(ScheduleRow, firing.schedule_id)
            user = None if row is None else session.get(User, row.user_id)
        if row is None or user is None:
            return None
        if user.disabled_at is not None:
            error = AccessDenied("Its account was disabled.")
            self._refuse(firing, FiringState.REFUSED, error.message, now, stops=True, tells=False)
            return error
        try:
            self._start(row, as_account(user), firing)
        except Superseded:
            return None
        except StillRunning as error:
            self._refuse(firing, FiringState.SKIPPED, "The run before it still went on.", now, tells=False)
            return error
        except PASSING as error:
            _log.warning("schedule %s is started later: %s", firing.schedule_id, error)
            return None
        except KnossosError as error:
            self._refuse(firing, FiringState.REFUSED, error.message, now, stops=isinstance(error, AccessDenied))
            return error
        except Exception:
            _log.exception("schedule %s cannot be started", firing.schedule_id)
            self._refuse(firing, FiringState.REFUSED, "This server made a mistake. Its log says more.", now)
            raise
        with self._database.session() as session:
            session.execute(update(FiringRow).where(*_still(firing)).values(state=FiringState.STARTED))
        return None

    def _start(self, row: ScheduleRow, account: Account, firing: Firing) -> None:
        schedule = as_schedule(row, None)
        content = b"".join(self._storage.read(row.content_key)) if row.content_key else None
        what = What(schedule.kind, schedule.target, schedule.arguments, schedule.form, content)
        accepting = partial(_accept, firing=firing)
        self._starters[schedule.kind].start(account, Start(what, firing.run_id, accepting))

    def _refuse(
        self, firing: Firing, state: FiringState, text: str, now: float, *, stops: bool = False, tells: bool = True
    ) -> None:
        """Note that a time comes to no run, and why; tell those who want to know, and stop the schedule."""
        due: list[str] = []
        with self._database.session() as session:
            noted = update(FiringRow).where(*_still(firing)).values(state=state, text=text).returning(FiringRow.id)
            if session.execute(noted).scalar() is None:
                return
            waiting = NoticeRow.run_id == firing.run_id, NoticeRow.state == NoticeState.WAITING
            session.execute(delete(NoticeRow).where(*waiting))
            row = session.get(ScheduleRow, firing.schedule_id)
            assert row is not None
            if stops:
                row.next_at, row.stopped = None, text
            if tells:
                due = _tell(session, row, NoticeEvent.STOPPED if stops else NoticeEvent.NOT_RUN, text, now)
        _log.info("schedule %s is not run: %s", firing.schedule_id, text)
        self._notices.submit(due, now)


_UNENDED: tuple[ColumnElement[bool], ...] = (FiringRow.state == FiringState.STARTED, FiringRow.outcome.is_(None))


def _goes_on(session: Session, schedule_id: str) -> bool:
    """Whether a run of the schedule waits or runs, or is about to."""
    runs = exists().where(ScriptRun.id == FiringRow.run_id, ScriptRun.outcome.is_(None))
    going = or_(FiringRow.state == FiringState.CLAIMED, _UNENDED[0] & _UNENDED[1] & runs)
    query = select(FiringRow.id).where(FiringRow.schedule_id == schedule_id, going).limit(1)
    return session.scalar(query) is not None


def _accept(session: Session, firing: Firing) -> None:
    """In the transaction that accepts the run: it is still the run of this time."""
    held = update(FiringRow).where(*_still(firing)).values(state=FiringState.CLAIMED).returning(FiringRow.id)
    if session.execute(held).scalar() is None:
        raise Superseded("Somebody else has this run started by now.", run_id=firing.run_id)


def _still(firing: Firing) -> tuple[ColumnElement[bool], ...]:
    return (
        FiringRow.id == firing.firing_id,
        FiringRow.run_id == firing.run_id,
        FiringRow.state == FiringState.CLAIMED,
    )


def _tell(session: Session, row: ScheduleRow, event: NoticeEvent, text: str, now: float) -> list[str]:
    return add_due(
        session, wanted_of(row), user_id=row.user_id, schedule_id=row.id, title=row.name, event=event, text=text, at=now
    )
