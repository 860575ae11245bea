"""What the workers are at and what waits for them, as RQ and the records have it at this moment.

What always holds: it takes as long as there are queues, workers and owners with waiting jobs, and not as long as there
are jobs; so it may be asked every few seconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from rq import worker_registration
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import utcparse
from rq.worker import WorkerStatus

from knossos.jobs import keys, limits
from knossos.jobs.records import JobRecord
from knossos.jobs.states import JobState
from knossos.jobs.workspace import FULL

if TYPE_CHECKING:
    from knossos.jobs.engine import Engine

#: Entries at the head of a queue among which the one that has waited longest is looked for: what is handed back comes
#: to the head although others wait for longer.
HEAD = 20
#: Entries of a list of failed jobs that are looked at in one go.
PAGE = 100
#: Where RQ names its queues.
_QUEUES = f"{RQ_KEY_PREFIX}:queues"


@dataclass(frozen=True)
class QueueState:
    """A queue. ``retrying`` are those that wait for their next try, ``following`` those that wait for another job."""

    name: str
    waiting: int
    running: int
    retrying: int
    following: int
    failed: int
    #: Seconds for which the one that has waited longest has waited; None where none waits.
    oldest_seconds: float | None


@dataclass(frozen=True)
class WorkerState:
    """A worker that is there. Times are Unix times in seconds."""

    host: str
    pid: int
    queues: tuple[str, ...]
    born_at: float | None
    heartbeat_at: float | None
    #: What it is at; None where it waits. ``job.started_at`` says since when.
    job: JobRecord | None
    #: Whether it takes no task, since its disk is full, or since somebody called `rq suspend`.
    full: bool
    suspended: bool
    #: Whether it was told to stop.
    stops: bool
    succeeded: int
    failed: int


def queues(engine: Engine) -> list[QueueState]:
    """All queues that have ever had a job, by name; "default" is always there."""
    named = cast("set[bytes]", engine.redis.smembers(_QUEUES))
    names = {"default"} | {name.decode("utf-8", "replace").removeprefix(f"{RQ_KEY_PREFIX}:queue:") for name in named}
    return [_queue(engine, name) for name in sorted(names)]


def _queue(engine: Engine, name: str) -> QueueState:
    queue = engine.queue(name)
    registries = (
        queue.started_job_registry,
        queue.scheduled_job_registry,
        queue.deferred_job_registry,
        queue.failed_job_registry,
    )
    with engine.redis.pipeline(transaction=False) as pipeline:
        pipeline.llen(queue.key)
        pipeline.lrange(queue.key, 0, HEAD - 1)
        for registry in registries:
            pipeline.zcard(registry.key)
        waiting, head, running, retrying, following, failed = pipeline.execute()
    return QueueState(name, waiting, running, retrying, following, failed, _oldest(engine, head))


def _oldest(engine: Engine, entries: list[bytes]) -> float | None:
    if not entries:
        return None
    with engine.redis.pipeline(transaction=False) as pipeline:
        for entry in entries:
            pipeline.hget(keys.task(entry.decode("utf-8", "replace")), "changed_at")
        since = [float(moment) for moment in pipeline.execute() if moment]
    return max(0.0, time.time() - min(since)) if since else None


def held_back(engine: Engine) -> int:
    """How many jobs wait outside of the queues, since their owner, or what they share a limit with, is at it."""
    return limits.held_back(engine.redis)


def workers(engine: Engine) -> list[WorkerState]:
    """All workers that are registered, by machine; one that died stays for WORKER_LOST_SECONDS at the most."""
    names = sorted(worker_registration.get_keys(connection=engine.redis))
    with engine.redis.pipeline(transaction=False) as pipeline:
        for name in names:
            key = name if isinstance(name, str) else name.decode()
            pipeline.hgetall(key)
            pipeline.smembers(f"{key}:executions")
        answers = pipeline.execute()
    found = [_Registered.read(fields, held) for fields, held in zip(answers[::2], answers[1::2], strict=True) if fields]
    records = {record.ticket: record for record in engine.records([one.ticket for one in found if one.ticket])}
    states = [one.state(records.get(one.ticket or 0)) for one in found]
    return sorted(states, key=lambda state: (state.host, state.pid))


def living(engine: Engine) -> list[WorkerState]:
    """Those that have shown a sign of life within WORKER_LOST_SECONDS."""
    oldest = time.time() - engine.settings.worker_lost_seconds
    return [worker for worker in workers(engine) if (worker.heartbeat_at or 0.0) >= oldest]


def held_up(engine: Engine, queue: str) -> str:
    """Why nobody takes jobs from a queue, in one sentence; "" where a worker does, or will when it is free."""
    those = [one for one in workers(engine) if queue in one.queues and not one.stops]
    if not those:
        return "No worker is running; this begins when one is started."
    if all(one.suspended for one in those):
        return "All workers are suspended; this begins when their operator resumes them."
    if all(one.full or one.suspended for one in those):
        return "The disks of all workers are full; this begins when one has room."
    return ""


@dataclass(frozen=True)
class _Registered:
    """A worker as RQ registers it: read here rather than by RQ, which asks Redis several times for each."""

    fields: dict[str, str]
    ticket: int | None

    @classmethod
    def read(cls, fields: dict[bytes, bytes], held: set[bytes]) -> _Registered:
        text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
        tickets = [int(number) for number in (one.partition(b":")[0] for one in held) if number.isdigit()]
        return cls(text, max(tickets, default=None))

    def state(self, job: JobRecord | None) -> WorkerState:
        get = self.fields.get
        return WorkerState(
            host=get("hostname", "?"),
            pid=int(get("pid") or 0),
            queues=tuple(get("queues", "").split(",")),
            born_at=_unix(get("birth")),
            heartbeat_at=_unix(get("last_heartbeat")),
            job=job if job is not None and job.state is JobState.RUNNING else None,
            full=get("state") == FULL,
            suspended=get("state") == WorkerStatus.SUSPENDED,
            stops="shutdown_requested_date" in self.fields,
            succeeded=int(get("successful_job_count") or 0),
            failed=int(get("failed_job_count") or 0),
        )


def _unix(moment: str | None) -> float | None:
    return utcparse(moment).timestamp() if moment else None


def failed(engine: Engine, limit: int) -> list[JobRecord]:
    """The jobs that failed last, newest end first, at most ``limit``; those that somebody cancelled are not among
    them."""
    found: list[JobRecord] = []
    for queue in queues(engine):
        registry, start, mine = engine.queue(queue.name).failed_job_registry, 0, 0
        while mine < limit:
            page = cast("list[Any]", engine.redis.zrange(registry.key, start, start + PAGE - 1, desc=True))
            records = engine.records([int(entry) for entry in page if entry.isdigit()])
            kept = [record for record in records if record.state is JobState.FAILED]
            found += kept
            mine += len(kept)
            start += PAGE
            if len(page) < PAGE:
                break
    return sorted(found, key=lambda record: record.ended_at or 0.0, reverse=True)[:limit]
