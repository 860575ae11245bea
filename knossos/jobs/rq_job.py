"""RQ's job, with its changes of state written into our record in the same transaction.

RQ hands its pipeline to a handful of methods whenever it stores an outcome; they are extended here, nothing is
replaced. They are RQ's internals: the version is pinned, and the integration tests walk through each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from rq.job import Job, JobStatus

from knossos.jobs import limits
from knossos.jobs.ledger import Ledger
from knossos.jobs.records import JobFailure

if TYPE_CHECKING:
    from redis.client import Pipeline
    from rq.queue import Queue

    from knossos.jobs.context import JobContext

#: RQ's serializer for everything: JSON, never pickle.
SERIALIZER = "json"

#: What a job says that was not told why it failed: its worker, or its worker's machine, is gone.
WORKER_LOST = JobFailure(
    code="worker_lost",
    message="The worker that ran this task died, and the task may not be started again.",
)


class EngineJob(Job):
    """A job of the engine: its id is the ticket, its one argument the payload."""

    #: Makes what its function receives; only a worker sets that.
    make_context: Callable[[], JobContext] | None = None
    #: What it has received.
    context: JobContext | None = None
    #: The number of this attempt, and of all; 0 where its record did not allow that it began.
    attempt: int = 0
    attempts: int = 0
    #: Id of the execution that speaks for this job; "" where a caretaker does, for a worker that is gone.
    fence: str = ""
    #: The hash that it was read from.
    stored: dict[bytes, bytes]
    #: Why it failed, where that is known.
    failure: JobFailure | None = None
    #: True where its end was somebody's wish.
    was_cancelled: bool = False
    #: What watchers are told when it goes back to its queue.
    requeue_text: str = "The worker that ran this task was lost. The task starts again as soon as another one is free."

    @property
    def ticket(self) -> int:
        """The job's number."""
        return int(self.id)

    @property
    def ledger(self) -> Ledger:
        """Writes this job's record."""
        assert self.failure_ttl is not None  # Engine.submit sets it
        return Ledger(self.connection, self.failure_ttl)

    def _execute(self) -> Any:
        if self.make_context is None:
            raise RuntimeError("an engine's job can only be run by an engine's worker")
        self.context = self.make_context()
        try:
            return self.func(self.context, *self.args)
        finally:
            self.context.finish()

    def restore(self, raw_data: dict[bytes, bytes]) -> Any:
        self.stored = raw_data
        return super().restore(raw_data)

    def prepare_for_execution(self, worker_name: str, pipeline: Pipeline) -> None:
        """Begin. Whether the record allowed it shows when it is read back, before anything is run."""
        super().prepare_for_execution(worker_name, pipeline)
        self.ledger.start(self.ticket, self.fence, worker_name, pipeline)

    def began(self, at: datetime, worker_name: str) -> None:
        """Know what its worker has written down: that it has begun."""
        self.started_at = self.last_heartbeat = at
        self.worker_name = worker_name
        self._status = JobStatus.STARTED

    def _handle_failure(self, exc_string: str, pipeline: Pipeline, *args: Any, **kwargs: Any) -> None:
        end = self.ledger.cancelled if self.was_cancelled else self.ledger.fail
        end(self.ticket, self.fence, self.failure or WORKER_LOST, pipeline)
        super()._handle_failure(exc_string, pipeline, *args, **kwargs)

    def retry(self, queue: Queue, pipeline: Pipeline) -> None:
        """Go back to the queue, and tell the watchers. Who pauses before that gives its slots to others meanwhile."""
        self.ledger.requeue(self.ticket, self.fence, self.requeue_text, pipeline)
        super().retry(queue, pipeline)
        if self.get_status(refresh=False) == JobStatus.SCHEDULED:
            limits.leave(self.ticket, pipeline)

    def hand_back(self, queue: Queue, pipeline: Pipeline) -> None:
        """Go back to the head of the queue without using up a retry: the worker was told to stop."""
        text = "The worker that ran this task is being stopped. The task starts again as soon as another one is free."
        self.ledger.requeue(self.ticket, self.fence, text, pipeline)
        self.set_status(JobStatus.QUEUED, pipeline=pipeline)
        queue._enqueue_job(self, pipeline=pipeline, at_front=True)


def as_ours(job: Job) -> EngineJob:
    """RQ makes its jobs of the class that it was told; only the type checker does not know."""
    return cast(EngineJob, job)
