"""Schedules of accounts: making, changing and removing them, and what came of them.

What always holds: a schedule is its account's alone; what was refused left nothing; a text or an input that is kept
with a schedule is in the storage before its row says so, and is removed after it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from knossos.accounts import Account
from knossos.accounts.tables import User
from knossos.database import Database
from knossos.scripting.notices.notices import check_wanted
from knossos.scripting.notices.states import NoticeWhen, Wanted
from knossos.scripting.plan import RunKind, RunOutcome
from knossos.scripting.schedules.starters import Starter
from knossos.scripting.schedules.states import Firing, FiringState, NoSuchSchedule, Schedule, TooManySchedules
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.schedules.when import When, next_after
from knossos.scripting.schedules.wish import WHAT_FIELDS, What, Wish, read_wish
from knossos.settings import Settings
from knossos.storage import Storage

#: Below it the storage has what is kept with schedules.
PREFIX = "schedules"
#: Times of a schedule that one page of its history has, and that are kept of it.
PAGE = 50
KEPT = 200


class Schedules:
    """Safe for threads."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, starters: Mapping[RunKind, Starter]
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._starters = starters

    # --- look -------------------------------------------------------------------------------------

    def of_account(self, account: Account) -> list[Schedule]:
        """The account's schedules: those that come next first, and then those that are off."""
        order = (ScheduleRow.next_at.is_(None), ScheduleRow.next_at, ScheduleRow.created_at.desc())
        with self._database.reading() as session:
            rows = session.scalars(select(ScheduleRow).where(ScheduleRow.user_id == account.user_id).order_by(*order))
            return [as_schedule(row, _last(session, row.id)) for row in rows.all()]

    def get(self, account: Account, schedule_id: str) -> Schedule:
        """Raises NoSuchSchedule."""
        with self._database.reading() as session:
            row = _row(session, account, schedule_id)
            return as_schedule(row, _last(session, row.id))

    def history(self, account: Account, schedule_id: str, before: float | None = None) -> list[Firing]:
        """The times that it came to, newest first.

        Raises:
            NoSuchSchedule
        """
        with self._database.reading() as session:
            row = _row(session, account, schedule_id)
            query = select(FiringRow).where(FiringRow.schedule_id == row.id).order_by(FiringRow.claimed_at.desc())
            if before is not None:
                query = query.where(FiringRow.claimed_at < before)
            return [as_firing(one) for one in session.scalars(query.limit(PAGE))]

    def content(self, schedule: Schedule) -> bytes | None:
        """The text or the input that is kept with it."""
        return b"".join(self._storage.read(schedule.content_key)) if schedule.content_key else None

    # --- change -----------------------------------------------------------------------------------

    def create(self, account: Account, data: Mapping[str, Any], what: What | None = None) -> Schedule:
        """Make a schedule of what was sent.

        Args:
            what: what is run, where ``data`` does not say it.

        Raises:
            InvalidInput, NotAllowed, TooManySchedules: what they say; nothing was made.
        """
        now = time.time()
        wish = read_wish(data, self._settings, now, what)
        check_wanted(self._settings, self._database, account, wish.notices)
        prepared = self._starters[wish.what.kind].prepare(account, wish.what)
        row = ScheduleRow(
            id=str(uuid.uuid4()), user_id=account.user_id, name=wish.name or prepared.title[:100], created_at=now
        )
        self._put_what(row, prepared.what)
        try:
            _put(row, wish, now)
            with self._database.session() as session:
                self._refuse_too_many(session, account)
                session.add(row)
        except BaseException:
            self._storage.delete_below(f"{PREFIX}/{row.id}")
            raise
        return as_schedule(row, None)

    def change(
        self, account: Account, schedule_id: str, data: Mapping[str, Any], what: What | None = None
    ) -> Schedule:  # fmt: skip
        """Change the fields that were sent, and leave the others.

        Raises:
            NoSuchSchedule
            InvalidInput, NotAllowed: nothing was changed.
        """
        now, old = time.time(), self.get(account, schedule_id)
        merged = {**_as_sent(old), **data}
        for one, other in (("at", "cron"), ("cron", "at")):
            if data.get(one) and other not in data:
                merged.pop(other, None)
        says_what = what is not None or any(name in data for name in WHAT_FIELDS)
        if what is None and not says_what:
            merged = {name: value for name, value in merged.items() if name not in WHAT_FIELDS}
            what = What(old.kind, old.target, old.arguments, old.form)
        wish = read_wish(merged, self._settings, now, what)
        check_wanted(self._settings, self._database, account, wish.notices)
        prepared = self._starters[wish.what.kind].prepare(account, wish.what) if says_what else None
        new_key = ""
        try:
            with self._database.session() as session:
                row = _row(session, account, schedule_id, lock=True)
                old_key = row.content_key
                _put(row, wish, now)
                row.name = wish.name or row.name
                if prepared is not None:
                    self._put_what(row, prepared.what)
                    new_key = row.content_key
        except BaseException:
            if new_key:
                self._storage.delete(new_key)
            raise
        if prepared is not None and old_key:
            self._storage.delete(old_key)
        return self.get(account, schedule_id)

    def remove(self, account: Account, schedule_id: str) -> None:
        """Remove a schedule with its history. A run that goes on ends as it would, and is told of.

        Raises:
            NoSuchSchedule
        """
        with self._database.session() as session:
            session.delete(_row(session, account, schedule_id, lock=True))
        self._storage.delete_below(f"{PREFIX}/{schedule_id}")

    def _refuse_too_many(self, session: Session, account: Account) -> None:
        most = self._settings.schedules_per_account
        # Held, so that two at the same moment are counted.
        session.scalar(select(User.id).where(User.id == account.user_id).with_for_update())
        mine = select(func.count()).select_from(ScheduleRow).where(ScheduleRow.user_id == account.user_id)
        if (session.scalar(mine) or 0) >= most:
            raise TooManySchedules(f"You have {most} schedules already; remove one first.", most=most)

    def _put_what(self, row: ScheduleRow, what: What) -> None:
        row.kind, row.target = what.kind, what.target
        row.arguments = json.dumps(list(what.arguments))
        row.form = "" if what.form is None else json.dumps(what.form)
        row.content_key = ""
        if what.content is not None:
            row.content_key = f"{PREFIX}/{row.id}/{uuid.uuid4().hex}"
            self._storage.put_bytes(row.content_key, what.content)

    # --- forget -----------------------------------------------------------------------------------

    def purge(self, now: float) -> int:
        """Remove what is kept for no schedule, and the oldest times of those that have many. Answers how many went."""
        with self._database.reading() as session:
            keys = set(session.scalars(select(ScheduleRow.content_key).where(ScheduleRow.content_key != "")))
            counts = session.execute(
                select(FiringRow.schedule_id).group_by(FiringRow.schedule_id).having(func.count() > KEPT)
            ).scalars()
            many = list(counts)
        for key, _, stored_at in list(self._storage.list_keys(PREFIX)):
            if key not in keys and stored_at < now - self._settings.task_lifetime:
                self._storage.delete(key)
        return sum(self._purge_history(schedule_id) for schedule_id in many)

    def _purge_history(self, schedule_id: str) -> int:
        with self._database.session() as session:
            newest = select(FiringRow.id).where(FiringRow.schedule_id == schedule_id)
            kept = set(session.scalars(newest.order_by(FiringRow.claimed_at.desc()).limit(KEPT)))
            old = set(session.scalars(newest)) - kept
            for firing_id in old:
                session.execute(delete(FiringRow).where(FiringRow.id == firing_id))
            return len(old)


def _put(row: ScheduleRow, wish: Wish, now: float) -> None:
    """All of a wish but what is run and the name."""
    was, was_next = When(row.at, row.cron or "", row.zone or "UTC"), row.next_at
    row.at, row.cron, row.zone = wish.when.at, wish.when.cron, wish.when.zone
    row.notify, row.notify_mail, row.notify_url = wish.notices.when, wish.notices.mail, wish.notices.webhook
    row.changed_at = now
    if not wish.enabled:
        row.next_at = None
    elif was_next is None or was != wish.when:
        row.next_at, row.stopped = next_after(wish.when, now), ""
    if row.next_at is None and not wish.enabled and was_next is not None:
        row.stopped = ""


def _as_sent(old: Schedule) -> dict[str, Any]:
    """A schedule as somebody would have asked for it, without what is run."""
    when = old.when
    time_of = {"cron": when.cron} if when.at is None else {"at": _iso(when.at)}
    wanted = {"when": old.notices.when, "mail": old.notices.mail, "webhook": old.notices.webhook}
    return {"name": old.name, **time_of, "zone": when.zone, "enabled": old.is_on, "notices": wanted}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _row(session: Session, account: Account, schedule_id: str, *, lock: bool = False) -> ScheduleRow:
    query = select(ScheduleRow).where(ScheduleRow.id == schedule_id, ScheduleRow.user_id == account.user_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NoSuchSchedule("There is no such schedule (any more).", schedule_id=schedule_id[:40])
    return row


def _last(session: Session, schedule_id: str) -> Firing | None:
    query = select(FiringRow).where(FiringRow.schedule_id == schedule_id).order_by(FiringRow.claimed_at.desc())
    row = session.scalar(query.limit(1))
    return None if row is None else as_firing(row)


def wanted_of(row: ScheduleRow) -> Wanted:
    return Wanted(NoticeWhen(row.notify), row.notify_mail, row.notify_url)


def as_schedule(row: ScheduleRow, last: Firing | None) -> Schedule:
    return Schedule(
        schedule_id=row.id,
        user_id=row.user_id,
        name=row.name,
        kind=RunKind(row.kind),
        target=row.target,
        arguments=tuple(json.loads(row.arguments)),
        form=json.loads(row.form) if row.form else None,
        content_key=row.content_key,
        when=When(row.at, row.cron or "", row.zone),
        next_at=row.next_at,
        stopped=row.stopped or "",
        notices=wanted_of(row),
        created_at=row.created_at,
        changed_at=row.changed_at,
        last=last,
    )


def as_firing(row: FiringRow) -> Firing:
    return Firing(
        firing_id=row.id,
        schedule_id=row.schedule_id,
        due_at=row.due_at,
        claimed_at=row.claimed_at,
        by_hand=row.by_hand,
        state=FiringState(row.state),
        text=row.text,
        run_id=row.run_id,
        outcome=None if row.outcome is None else RunOutcome(row.outcome),
        exit_code=row.exit_code,
        ended_at=row.ended_at,
    )
