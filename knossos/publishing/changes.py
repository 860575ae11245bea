"""The order of all changes to releases.

Each transaction that changes a release takes the next number here. The row's lock is held until it commits, so numbers
become visible in their order: whoever has read up to a number has missed nothing below it. A number is given once: a
restored backup goes on above all that were given since it was made (`knossos/backup.py`).
"""

from __future__ import annotations

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from knossos.publishing.tables import ChangeCounter

#: The row of the last number.
ROW = 1


def next_change(session: Session) -> int:
    """The number of the change that this transaction makes. Take it late: others wait until the transaction ends."""
    statement = update(ChangeCounter).where(ChangeCounter.id == ROW).values(value=ChangeCounter.value + 1)
    return session.execute(statement.returning(ChangeCounter.value)).scalar_one()


def last_change(session: Session) -> int:
    """The number of the last change that was committed."""
    return session.execute(select(ChangeCounter.value).where(ChangeCounter.id == ROW)).scalar_one()


def is_undone(session: Session, change: int) -> bool:
    """Whether what was known at that change is known no more, since an older backup was restored after it."""
    undone = exists().where(ChangeCounter.id > ROW, ChangeCounter.written < change, ChangeCounter.value > change)
    return bool(session.scalar(select(undone)))
