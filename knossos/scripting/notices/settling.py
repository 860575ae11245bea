"""What happens with the row of a run when its end is noted, in the same transaction: whoever waits for it is told, and
the schedule that it was for knows what came of it. Cheap where nobody waits: two statements by an index."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, bindparam, case, update
from sqlalchemy.sql.dml import ReturningUpdate

from knossos.database import Base
from knossos.scripting.notices.states import NoticeState, NoticeWhen
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import RunOutcome
from knossos.scripting.schedules.tables import FiringRow

_FIRINGS, _NOTICES = (Base.metadata.tables[one.__tablename__] for one in (FiringRow, NoticeRow))

# What it sets is what it is told by the names of columns.
_END_FIRING = update(_FIRINGS).where(_FIRINGS.c.run_id == bindparam("run"))


def _settling(told: ColumnElement[bool]) -> ReturningUpdate[tuple[str, str]]:
    """Notices that are ``told`` become due, the others are dropped."""
    return (
        update(_NOTICES)
        .where(_NOTICES.c.run_id == bindparam("run"), _NOTICES.c.state == NoticeState.WAITING)
        .values(state=case((told, NoticeState.DUE.value), else_=NoticeState.DROPPED.value), due_at=bindparam("at"))
        .returning(_NOTICES.c.id, _NOTICES.c.state)
    )


_WENT_WELL = _settling(_NOTICES.c.condition == NoticeWhen.END)
_WENT_BADLY = _settling(_NOTICES.c.condition != NoticeWhen.NEVER)


def settle(connection: Connection, run_id: str, outcome: RunOutcome, exit_code: int | None, at: float) -> list[str]:
    """Note the end of a run; answers which notices are due by it.

    Args:
        at: when it ended, Unix time in seconds.
    """
    connection.execute(_END_FIRING, {"run": run_id, "outcome": outcome, "exit_code": exit_code, "ended_at": at})
    ended_well = outcome is RunOutcome.EXITED and exit_code == 0
    rows = connection.execute(_WENT_WELL if ended_well else _WENT_BADLY, {"run": run_id, "at": at}).all()
    return [row.id for row in rows if row.state == NoticeState.DUE]
