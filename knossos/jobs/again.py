"""Submitting a job once more that has ended badly: a new job that is asked to do the same; the old outcome stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rq.exceptions import NoSuchJobError

from knossos.jobs import keys
from knossos.jobs.records import JobRecord, JobSpec
from knossos.jobs.rq_job import SERIALIZER, EngineJob

if TYPE_CHECKING:
    from knossos.jobs.engine import Engine


def may_be_submitted_again(engine: Engine, ticket: int) -> bool:
    """Whether what it was asked to do is still known, and it may be begun more than once."""
    job = _job(engine, ticket)
    return job is not None and not job.meta.get("once")


def submit_again(engine: Engine, record: JobRecord) -> JobRecord | None:
    """The new job; None where somebody else does that at this moment. What was asked must still be known."""
    job = _job(engine, record.ticket)
    if (
        job is None
        or job.func_name is None
        or not engine.redis.hsetnx(keys.task(record.ticket), "again", record.ticket)
    ):
        return None
    delays: Any = job.retry_intervals if job.meta.get("retry_on_error") else None
    made = engine.submit(
        JobSpec(
            function=job.func_name,
            kind=record.kind,
            title=record.title,
            owner=record.owner,
            payload=cast("dict[str, Any]", job.args[0]),
            queue=record.queue,
            timeout_seconds=job.timeout,
            retries=record.attempts - 1,
            retry_delays_seconds=tuple(delays or ()),
        )
    )
    engine.redis.hset(keys.task(record.ticket), "again", made.ticket)
    return made


def _job(engine: Engine, ticket: int) -> EngineJob | None:
    try:
        return cast(EngineJob, EngineJob.fetch(str(ticket), connection=engine.redis, serializer=SERIALIZER))
    except NoSuchJobError:
        return None
