"""A SQLite database with as many runs of scripts as one likes, of the size that real ones have, made in one go.

All have ended well, a second after each other, and are kept for another day. They have no files.
"""

from __future__ import annotations

import time

from sqlalchemy import text

from knossos.database import Database
from knossos.scripting.plan import RunKind, RunOutcome

#: Rows that one transaction makes.
AT_ONCE = 100_000
#: Memory that SQLite may take for that.
CACHE_KIB = 256 * 1024

_INSERT = text("""
WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
INSERT INTO script_runs (id, ticket, kind, name, owner, arguments, created_at, started_at, ended_at, expires_at,
    outcome, exit_code, error, dropped_bytes, shared_name)
SELECT printf('%08x-0000-4000-8000-%012x', n, n), n, :kind, 'analyse.py', :owner,
    '["--input", "data.csv"]', :begin + n, :begin + n, :begin + n + 1, :now + 86400, :outcome, 0, '', 0,
    printf('%032x', n)
FROM numbers
""")


def add_runs(database: Database, owner: str, count: int, first: int = 1, kind: RunKind = RunKind.HOME) -> None:
    """Add ``count`` runs of an owner whose jobs had the tickets from ``first`` on."""
    now = time.time()
    fixed = {"kind": kind, "owner": owner, "begin": now - first - count, "now": now, "outcome": RunOutcome.EXITED}
    for start in range(first, first + count, AT_ONCE):
        with database.session() as session:
            session.execute(text(f"PRAGMA cache_size = {-CACHE_KIB}"))
            session.execute(_INSERT, {**fixed, "first": start, "last": min(start + AT_ONCE, first + count) - 1})
