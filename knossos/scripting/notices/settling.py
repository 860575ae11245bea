"""What happens with the row of a run when its end is noted, in the same transaction: whoever waits for it is told, and
the schedule that it was for knows what came of it. Cheap where nobody waits: two statements by an index."""

from __future__ import annotations

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from knossos.scripting.notices.states import NoticeState, NoticeWhen
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import RunOutcome
from knossos.scripting.schedules.tables import FiringRow


def settle(session: Session, run_id: str, outcome: RunOutcome, exit_code: int | None, at: float) -> list[str]:
    """Note the end of a run; answers which notices are due by it.

    Args:
        at: when it ended, Unix time in seconds.
    """
    ended_well = outcome is RunOutcome.EXITED and exit_code == 0
    session.execute(
        update(FiringRow)
        .where(FiringRow.run_id == run_id)
        .values(outcome=outcome, exit_code=exit_code, ended_at=at)
        .execution_options(synchronize_session=False)
    )
    told = NoticeRow.condition == NoticeWhen.END if ended_well else NoticeRow.condition != NoticeWhen.NEVER
    rows = session.execute(
        update(NoticeRow)
        .where(NoticeRow.run_id == run_id, NoticeRow.state == NoticeState.WAITING)
        .values(state=case((told, NoticeState.DUE.value), else_=NoticeState.DROPPED.value), due_at=at)
        .returning(NoticeRow.id, NoticeRow.state)
        .execution_options(synchronize_session=False)
    ).all()
    return [row.id for row in rows if row.state == NoticeState.DUE]
