"""Schedules over a real database and a real Redis, without anybody who looks at a clock."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import update

from knossos.accounts import Account
from knossos.accounts.tables import User
from knossos.database import Database
from knossos.homes.scheduling import Scheduling, made_of
from knossos.jobs import Engine
from knossos.scripting.schedules.schedules import as_firing
from knossos.scripting.schedules.states import Firing, Schedule
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from tests.support.people import add_account


class ScheduleBench:
    """One machine, with an account that has schedules; `another` is one more machine over the same database."""

    def __init__(self, settings: Settings, database: Database, engine: Engine) -> None:
        self.settings, self.database, self.engine = settings, database, engine
        self.made: Scheduling = made_of(settings, database, engine)

    def account(self, name: str, *roles: str, email: str | None = None) -> Account:
        made = add_account(self.database, name, *roles, email=email)
        if email is not None:
            with self.database.session() as session:
                session.execute(update(User).where(User.id == made.user_id).values(verified_at=time.time()))
        return made

    def make(self, account: Account, **fields: Any) -> Schedule:
        data = {"kind": "script", "script": "echo.sh", "cron": "0 * * * *", **fields}
        return self.made.schedules.create(account, data)

    def due(self, schedule: Schedule, at: float) -> None:
        """Have it been due at that time."""
        with self.database.session() as session:
            session.execute(update(ScheduleRow).where(ScheduleRow.id == schedule.schedule_id).values(next_at=at))

    def firings(self, schedule: Schedule) -> list[Firing]:
        """The times that it came to, oldest first."""
        with self.database.reading() as session:
            rows = session.query(FiringRow).filter_by(schedule_id=schedule.schedule_id).order_by(FiringRow.claimed_at)
            return [as_firing(row) for row in rows]

    def runs(self) -> list[ScriptRun]:
        with self.database.reading() as session:
            return session.query(ScriptRun).order_by(ScriptRun.created_at).all()

    def another(self) -> ScheduleBench:
        return ScheduleBench(self.settings, Database(self.settings), Engine(self.settings))
