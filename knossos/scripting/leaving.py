"""What becomes of the runs and tasks of somebody who leaves: they go, whatever they are at.

Owners are known by their names, and a name may be given again: whoever has it then must find nothing here.
"""

from __future__ import annotations

import time

from sqlalchemy import select, update

from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.runs import Runs
from knossos.scripting.tables import ScriptRun

#: Owner of runs that are there only until the clean-up.
NOBODY = "removed"
#: Tasks that are looked at in one go.
AT_ONCE = 500


def remove_runs(database: Database, runs: Runs, engine: Engine, owner: str, reason: str) -> int:
    """Cancel and remove what an owner has under way, and hide what has ended until the clean-up removes it.

    Returns:
        How many runs there were.
    """
    now = time.time()
    ended = update(ScriptRun).where(ScriptRun.owner == owner, ScriptRun.outcome.is_not(None))
    with database.session() as session:
        hidden = session.scalars(ended.values(owner=NOBODY, expires_at=now).returning(ScriptRun.id)).all()
        left = session.scalars(select(ScriptRun.id).where(ScriptRun.owner == owner)).all()
    for run_id in left:
        runs.remove(run_id, reason)
    while tasks := engine.list_jobs(owner=owner, limit=AT_ONCE):
        for task in tasks:
            engine.forget(task.ticket)
    return len(hidden) + len(left)
