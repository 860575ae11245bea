"""The order of all changes to releases.

Each transaction that changes a release takes the next number here. The row's lock is held until it commits, so numbers
become visible in their order: whoever has read up to a number has missed nothing below it.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from knossos.publishing.tables import ChangeCounter

#: The only row.
ROW = 1


def next_change(session: Session) -> int:
    """The number of the change that this transaction makes. Take it late: others wait until the transaction ends."""
    statement = update(ChangeCounter).where(ChangeCounter.id == ROW).values(value=ChangeCounter.value + 1)
    return session.execute(statement.returning(ChangeCounter.value)).scalar_one()


def last_change(session: Session) -> int:
    """The number of the last change that was committed."""
    return session.execute(select(ChangeCounter.value).where(ChangeCounter.id == ROW)).scalar_one()
