"""How a worker, or its horse, ends a job: written into the record and into RQ's lists in one transaction.

What always holds: only the execution whose fence the record holds ends a job. Another one leaves it alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rq import Worker
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.rate_limit import release_slot
from rq.timeouts import JobTimeoutException

from knossos.errors import KnossosError
from knossos.jobs import keys, limits, shared_clock
from knossos.jobs.errors import JobCancelled, JobInterrupted
from knossos.jobs.failures import explain
from knossos.jobs.records import JobFailure
from knossos.jobs.rq_job import as_ours
from knossos.jobs.states import JobState

if TYPE_CHECKING:
    from knossos.jobs.engine import Engine

#: What TTL answers for a key that is to stay.
NO_EXPIRY = -1
#: Why a job that may be begun only once has ended with its worker.
STOPPED_ONCE = JobFailure(
    code="worker_stopped",
    message="The worker that ran this task was stopped, and the task may not be started again.",
)
log = logging.getLogger("knossos.jobs")


class Outcomes(Worker):
    """The part of an `EngineWorker` that ends jobs."""

    engine: Engine
    #: Whether the job at hand is to go back to its queue, as its worker stops.
    _handing_back = False

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        job.ended_at = shared_clock.now()

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: Any, execution: Execution) -> None:
        """Rather than RQ's: of what that keeps of a job that went well the record has all, and jobs of ours have no
        dependents, repetitions or webhooks of RQ's."""
        ours = as_ours(job)
        with self.connection.pipeline() as pipeline:
            ours.ledger.succeed(ours.ticket, execution.id, job._result, pipeline)
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            self.increment_successful_job_count(pipeline=pipeline)
            moved, *_ = pipeline.execute()
        if moved.decode() == JobState.SUCCEEDED:
            release_slot(job)  # of a job that an older version had stored
        else:
            self._drop(job, execution)

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: Any) -> None:
        job, error = as_ours(job), exc_info[1]
        job.was_cancelled = isinstance(error, JobCancelled)
        job.failure = self._wish(job) if job.was_cancelled else explain(error, job.timeout)
        retry = getattr(error, "retryable", None)
        if retry is False or (retry is None and not job.meta.get("retry_on_error")) or job.was_cancelled:
            job.retries_left = 0
        job.requeue_text = f"{job.failure.message} The task is tried again."
        super()._finalize_failure(job, queue, execution, exc_info)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """One line for what was foreseen, the whole stack for what was not."""
        if isinstance(exc_info[1], KnossosError | JobInterrupted | JobTimeoutException):
            log.info("task %s: %s", job.id, exc_info[1], extra={"ticket": job.id})
        else:
            log.error("task %s crashed", job.id, exc_info=exc_info, extra={"ticket": job.id})

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        job = as_ours(job)
        if execution is not None and not self._is_ours(job, execution):
            self._drop(job, execution)
            return
        if self._stopped_job_id == job.id:
            job.was_cancelled, job.failure = True, self._wish(job)
        elif self._handing_back and not self.is_horse and job.meta.get("once"):
            job.failure = STOPPED_ONCE
        elif self._handing_back and not self.is_horse:
            self._return(job, queue, execution)
            return
        elif job.failure is None:
            reason = exc_string.partition("waitpid returned")[2].strip(" ;")
            job.failure = JobFailure(
                code="worker_died",
                message="The process that ran this task was killed"
                f" (status {reason}); perhaps its machine ran out of memory.",
            )
            job.requeue_text = f"{job.failure.message} The task is started again."
        super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)
        if job.was_cancelled:  # or whoever looks for failed jobs has to pass over thousands of others
            queue.failed_job_registry.remove(job)

    def _return(self, job: Job, queue: Queue, execution: Execution | None) -> None:
        """Give a job back to its queue without using up a retry."""
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            as_ours(job).hand_back(queue, pipeline)
            pipeline.execute()

    def _is_ours(self, job: Job, execution: Execution) -> bool:
        as_ours(job).fence = execution.id
        fence: Any = self.connection.hget(keys.task(job.id), "fence")
        return fence is not None and fence.decode() == execution.id

    def _drop(self, job: Job, execution: Execution) -> None:
        """Leave a job alone that has ended, or that another worker has by now."""
        log.warning("task %s: this execution does not hold it any more", job.id, extra={"ticket": job.id})
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            limits.leave_ended(job.id, pipeline)
            pipeline.execute()
        # Asked first: EXPIRE with NX is too new for the oldest Redis that will do.
        if self.connection.ttl(job.key) == NO_EXPIRY:
            self.connection.expire(job.key, self.engine.keep_seconds)

    def _wish(self, job: Job) -> JobFailure:
        wish: Any = self.connection.hget(keys.task(job.id), "cancel_failure")
        return JobFailure.model_validate_json(wish) if wish else JobFailure(code="cancelled", message="Cancelled.")
