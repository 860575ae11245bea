"""The statements that each run needs: its row comes, begins and ends, and the files that are kept of it are noted.

They are said of tables rather than of objects, and made once: a worker's process has each of them a single time to say,
and what the database's library does for an object takes as long again as the statement. Each is part of its caller's
transaction. Lists of runs, and single ones that are looked at, are `runs.py`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, func, insert, select, update

from knossos.database import Base
from knossos.scripting.run_records import Ending, KeptFile, Run, as_run
from knossos.scripting.tables import ScriptFile, ScriptRun

_RUNS, _FILES = (Base.metadata.tables[one.__tablename__] for one in (ScriptRun, ScriptFile))
_UNENDED = _RUNS.c.id == bindparam("run"), _RUNS.c.outcome.is_(None)

_COUNT = select(func.count()).select_from(_RUNS).where(_RUNS.c.owner == bindparam("whose"), _RUNS.c.outcome.is_(None))
# What they set is what they are told by the names of columns.
_QUEUED = update(_RUNS).where(_RUNS.c.id == bindparam("run"))
_BEGIN = update(_RUNS).where(*_UNENDED).returning(*_RUNS.c)
_END = update(_RUNS).where(*_UNENDED).returning(_RUNS.c.id)
_ADD, _KEEP = insert(_RUNS), insert(_FILES)
_IS_THERE = select(_RUNS.c.id).where(_RUNS.c.id == bindparam("run"))


def count_unended(connection: Connection, owner: str) -> int:
    """How many runs of an owner's have no outcome, those included whose worker was lost."""
    return int(connection.execute(_COUNT, {"whose": owner}).scalar_one())


def add(connection: Connection, run: Run) -> None:
    """A run is accepted."""
    values = {
        "id": run.run_id,
        "kind": run.kind,
        "name": run.name,
        "owner": run.owner,
        "arguments": json.dumps(list(run.arguments)),
        "created_at": run.created_at,
        "expires_at": run.expires_at,
        "error": "",
        "dropped_bytes": 0,
        "shared_name": run.shared_name,
    }
    connection.execute(_ADD, values)


def queued(connection: Connection, run_id: str, ticket: int) -> None:
    """The run has its job."""
    connection.execute(_QUEUED, {"run": run_id, "ticket": ticket})


def begin(connection: Connection, run_id: str, ticket: int, now: float) -> Run | None:
    """A worker begins the run; None where it is gone, or has ended."""
    found = connection.execute(_BEGIN, {"run": run_id, "ticket": ticket, "started_at": now}).one_or_none()
    return None if found is None else as_run(found, ())


def end(connection: Connection, run_id: str, ending: Ending, ended_at: float, expires_at: float) -> bool:
    """The run has ended; False where it is gone, or has its outcome already."""
    values = {
        "run": run_id,
        "ended_at": ended_at,
        "expires_at": expires_at,
        "outcome": ending.outcome,
        "exit_code": ending.exit_code,
        "signal": ending.signal,
        "error": ending.error,
        "dropped_bytes": ending.dropped_bytes,
    }
    return connection.execute(_END, values).scalar() is not None


def is_there(connection: Connection, run_id: str) -> bool:
    """Whether there is such a run."""
    return connection.execute(_IS_THERE, {"run": run_id}).scalar() is not None


def keep(connection: Connection, run_id: str, files: Iterable[KeptFile]) -> None:
    """Note what the storage has of the run."""
    rows = [
        {"run_id": run_id, "number": f.number, "role": f.role, "name": f.name, "size": f.size, "key": f.key}
        for f in files
    ]
    if rows:
        connection.execute(_KEEP, rows)
