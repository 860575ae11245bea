"""What is told of a run, and where the storage has what was kept of it: data, made from the rows of the database."""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from knossos.errors import KnossosError, NotFound
from knossos.scripting.plan import FileRole, RunKind, RunOutcome, RunPlan
from knossos.scripting.tables import ScriptFile, ScriptRun

#: Owner of runs of those who are not logged in.
ANONYMOUS_OWNER = "anonymous"
#: Below it the storage has the files of all runs.
RUNS_PREFIX = "runs"

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Random bytes in the name of a SHARED_DIR: whoever knows a link to it was given it.
SHARED_NAME_BYTES = 16


class NoSuchRun(NotFound):
    """There is no run ``run_id`` (any more)."""

    code = "no_such_run"


class TooManyRuns(KnossosError):
    """The owner ``owner`` has as many runs queued and running as one may have, ``most``."""

    code = "too_many_runs"


@dataclass(frozen=True)
class KeptFile:
    """A kept file of a run. ``key`` is where the storage has it, ``size`` in bytes."""

    number: int
    role: FileRole
    name: str
    size: int
    key: str


@dataclass(frozen=True)
class Run:
    """A run as it stands. Times are Unix time in seconds."""

    run_id: str
    ticket: int | None
    kind: RunKind
    name: str
    owner: str
    #: What was called, as it may be shown.
    arguments: tuple[str, ...]
    created_at: float
    started_at: float | None
    ended_at: float | None
    expires_at: float
    outcome: RunOutcome | None
    exit_code: int | None
    signal: int | None
    error: str
    dropped_bytes: int
    shared_name: str
    files: tuple[KeptFile, ...]

    @property
    def succeeded(self) -> bool:
        return self.outcome is RunOutcome.EXITED and self.exit_code == 0

    def file(self, role: FileRole) -> KeptFile | None:
        """The one file of that role."""
        return next((file for file in self.files if file.role is role), None)


@dataclass(frozen=True)
class BriefRun:
    """What lists of runs say of one."""

    run_id: str
    ticket: int
    owner: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    outcome: RunOutcome | None
    exit_code: int | None
    signal: int | None


@dataclass(frozen=True)
class Ending:
    """What came of a run, as the worker tells it."""

    outcome: RunOutcome
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    dropped_bytes: int = 0


def new_run(plan: RunPlan, owner: str, shown: Sequence[str], task_lifetime: float) -> Run:
    """The run of a plan that is being accepted."""
    now = time.time()
    return Run(
        run_id=plan.run_id,
        ticket=None,
        kind=plan.kind,
        name=plan.name,
        owner=owner,
        arguments=tuple(shown),
        created_at=now,
        started_at=None,
        ended_at=None,
        expires_at=now + task_lifetime + plan.keep_seconds,
        outcome=None,
        exit_code=None,
        signal=None,
        error="",
        dropped_bytes=0,
        shared_name=secrets.token_hex(SHARED_NAME_BYTES),
        files=(),
    )


def load_run(session: Session, row: ScriptRun) -> Run:
    """A run with its files."""
    files = session.scalars(select(ScriptFile).where(ScriptFile.run_id == row.id).order_by(ScriptFile.number))
    return as_run(row, tuple(KeptFile(f.number, FileRole(f.role), f.name, f.size, f.key) for f in files))


def as_run(row: ScriptRun | Row[Any], files: tuple[KeptFile, ...]) -> Run:
    """A run, with these files."""
    return Run(
        run_id=row.id,
        ticket=row.ticket,
        kind=RunKind(row.kind),
        name=row.name,
        owner=row.owner,
        arguments=tuple(json.loads(row.arguments)),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
        outcome=None if row.outcome is None else RunOutcome(row.outcome),
        exit_code=row.exit_code,
        signal=row.signal,
        error=row.error,
        dropped_bytes=row.dropped_bytes,
        shared_name=row.shared_name,
        files=files,
    )


def brief_of(run: Run, ticket: int) -> BriefRun:
    times = run.created_at, run.started_at, run.ended_at
    return BriefRun(run.run_id, ticket, run.owner, *times, run.outcome, run.exit_code, run.signal)


def new_run_id() -> str:
    return str(uuid.uuid4())


def run_prefix(run_id: str) -> str:
    """Where the storage has the files of a run."""
    return f"{RUNS_PREFIX}/{run_id}"


def inputs_prefix(run_id: str) -> str:
    """Where the storage has the files that came with a call, until the run has ended."""
    return f"{run_prefix(run_id)}/in"
