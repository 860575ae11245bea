"""RQ's worker, with the edges that RQ leaves rough: death, cancelling, stopping, and Redis going away.

A worker forks a *horse* for each job; the horse leads a process group with whatever the job starts. The worker takes a
job and writes down that it has begun, its horse runs it and writes down how it ended: each in one transaction. What
always holds:

- the group ends with its horse, and the horse with its worker, also on SIGKILL;
- a worker without a sign of life for WORKER_LOST_SECONDS loses its job to another one, and at once where another one of
  its machine sees that worker and horse are gone;
- a worker that is told to stop lets its job go on for SHUTDOWN_GRACE_SECONDS, then hands it back to the queue;
- only the execution whose fence the record holds may end a job.

The horse of the next job is made beforehand (`spare.py`): while the worker waits, or, where more jobs wait than it,
while the horse before it is at work.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from rq import Worker, worker_registration
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.registry import clean_registries
from rq.worker import WorkerStatus

from knossos import tracing
from knossos.jobs import counts, descendants, keys, limits, pauses, shared_clock, spare, workspace
from knossos.jobs.companion import Companion
from knossos.jobs.connection import retry_policy
from knossos.jobs.context import JobContext
from knossos.jobs.outcomes import Outcomes
from knossos.jobs.rq_job import SERIALIZER, EngineJob, as_ours
from knossos.jobs.rq_queue import ReliableQueue, connection_errors

if TYPE_CHECKING:
    from redis.client import Pipeline

    from knossos.jobs.engine import Engine

#: Seconds for which an idle worker waits for a job before it looks after its queues.
DEQUEUE_SECONDS = 2
#: Signs of life within WORKER_LOST_SECONDS.
HEARTBEATS = 3
#: Seconds between two looks at a disk that is full.
FULL_DISK_SECONDS = 1
#: Seconds for which a worker that stops, and still has a task, waits for a Redis that is away.
STOPPING_PATIENCE_SECONDS = 5
#: Until when a job belongs to its worker, in Unix time, once both are known to be gone.
GIVEN_UP = 0
#: The number of no job, since they are counted from 1; and what Redis might have of it.
NO_TICKET = 0
NO_JOB = {"data": '["builtins.dict", null, [{}], {}]', "created_at": "2001-01-01T00:00:00.000000Z", "status": "started"}
log = logging.getLogger("knossos.jobs")


class EngineWorker(Outcomes, Worker):
    """A worker for the engine's jobs.

    ``rehearsals`` are what the next horse does while there is no job for it: what it has touched, opened and prepared
    by then takes no time in the job. They write nothing.
    """

    queue_class = ReliableQueue
    job_class = EngineJob
    log_result_lifespan = False
    max_connection_wait_time = 2.0

    def __init__(
        self,
        engine: Engine,
        queues: tuple[str, ...],
        rehearsals: Sequence[Callable[[], None]] = (),
        companion: Companion | None = None,
    ) -> None:
        self.engine = engine
        self._rehearsals = (self._rehearse, *rehearsals)
        self._spare: spare.Spare | None = None
        self._companion = companion
        if companion is not None:
            companion.tend()
        self._lost_seconds = engine.settings.worker_lost_seconds
        self._work_folder = engine.settings.work_folder
        self._grace_ends: float | None = None
        self._handing_back = False
        self._more_wait = False
        self._heard_at = -math.inf
        descendants.adopt_orphans()
        shared_clock.follow(engine.redis)
        super().__init__(
            [engine.queue(name) for name in queues],
            connection=engine.redis,
            serializer=SERIALIZER,
            job_monitoring_interval=max(1, round(self._lost_seconds / HEARTBEATS)),
            maintenance_interval=DEQUEUE_SECONDS,
            log_job_description=False,
        )

    @property
    def stopping(self) -> bool:
        """True once it was told to stop."""
        return self._shutdown_requested_date is not None

    # --- signs of life ----------------------------------------------------------------------------

    @property
    def dequeue_timeout(self) -> int:
        return DEQUEUE_SECONDS

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return round(self._lost_seconds)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Say that we live, in one go; between quick jobs not more often than without any."""
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
        elif timeout is not None or time.monotonic() - self._heard_at >= DEQUEUE_SECONDS:
            with self.connection.pipeline() as own:
                super().heartbeat(timeout, own)
                own.execute()
            self._heard_at = time.monotonic()

    def check_for_suspension(self, burst: bool) -> None:
        """Asked as often as the queues are looked after, rather than before each job."""
        if self.should_run_maintenance_tasks:
            super().check_for_suspension(burst)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Every few seconds while the horse runs: say that we live, and see whether the job must end."""
        shared_clock.follow(self.connection)
        super().maintain_heartbeats(job, execution)
        if self._companion is not None:
            self._companion.tend()
        if self._grace_ends is not None and time.monotonic() >= self._grace_ends:
            self._hand_back()
        elif self.connection.hexists(keys.task(job.id), "cancel"):
            self._stopped_job_id = job.id
            self.kill_horse()

    def clean_registries(self) -> None:
        """The caretaker's round of each queue: lost jobs, jobs that nobody began. A bad entry ends no worker.

        While what the others have said last may have been said by another clock, they would all count as lost: then
        only those that were given up.
        """
        self.last_cleaned_at: Any = shared_clock.now()
        settled = shared_clock.settled(self._lost_seconds)
        for queue in cast("list[ReliableQueue]", self.queues):
            if not queue.acquire_maintenance_lock():
                continue
            try:
                queue.started_job_registry.cleanup(GIVEN_UP, self._exc_handlers)
                if not settled:
                    continue
                clean_registries(queue, self._exc_handlers)
                worker_registration.clean_worker_registry(queue)
                for job_id in queue.give_back():
                    log.warning("task %s was taken and not begun; it is back in its queue", job_id)
            except StopRequested:
                raise
            except connection_errors():
                raise
            except Exception:
                log.exception("queue %s cannot be looked after", queue.name)
            finally:
                queue.release_maintenance_lock()  # type: ignore[no-untyped-call]

    def run_maintenance_tasks(self) -> None:
        """Look after what was left behind on this machine, the queues, and retries that are due."""
        shared_clock.follow(self.connection)
        for left in workspace.sweep(self._work_folder):
            log.warning("removed the folder %s of a worker that is gone", left.name)
            if left.orphaned:
                self._give_up(left)
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        if self._companion is not None:
            self._companion.tend()
        for queue in self.queues:
            for job_id in pauses.over(queue, shared_clock.timestamp()):
                limits.resume(job_id, queue.scheduled_job_registry.key, self.connection)
        for ticket in limits.tend(self.connection):
            log.warning("task %s is no more and had slots of its limits; they are free again", ticket)
        counts.deliver(self.connection)

    def _give_up(self, left: workspace.Left) -> None:
        """Leave a job that nobody is at any more to the caretaker, as if its worker's last sign of life were long past.

        Should the worker live after all, in a container whose processes do not show here, its fence no longer holds.
        """
        ticket = left.name.partition("-")[0]
        fence, queue = cast("list[bytes | None]", self.connection.hmget(keys.task(ticket), ["fence", "queue"]))
        if fence and queue and workspace.name_of(ticket, fence.decode()) == left.name:
            registry = self.engine.queue(queue.decode()).started_job_registry
            self.connection.zadd(registry.key, {f"{ticket}:{fence.decode()}": GIVEN_UP}, xx=True)

    # --- the horse --------------------------------------------------------------------------------

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a job, with a horse for it at hand and room on our disk."""
        self._make_spare()
        while True:
            self._wait_for_room()
            if self._stop_requested:
                raise StopRequested
            # By itself RQ's loop comes back with a job only.
            found = super().dequeue_job_and_maintain_ttl(timeout, max_idle_time or DEQUEUE_SECONDS)
            if found is not None or timeout is None or max_idle_time is not None:
                return found

    def _wait_for_room(self) -> None:
        """Take no job while our disk is full: we would take one after another, and fail each that others could do."""
        if self._has_room():
            return
        log.warning("the disk of %s is full; no task is taken until it has room", self._work_folder)
        self.set_state(workspace.FULL)
        while not self._stop_requested and not self._has_room():
            self.heartbeat()
            if self.should_run_maintenance_tasks:  # what is swept away makes room
                self.run_maintenance_tasks()
            time.sleep(FULL_DISK_SECONDS)

    def _has_room(self) -> bool:
        return workspace.has_room(self._work_folder, self.engine.settings.work_free_bytes)

    def _make_spare(self) -> None:
        if self._spare is None:
            try:
                self._spare = spare.make(self._begin_as_horse, self._rehearsals, self._take_up, self._run_as_horse)
            except OSError as error:  # too many processes; perhaps not any more when there is a job
                log.warning("no horse can be made beforehand: %s", error)

    def _end_spare(self) -> None:
        if self._spare is not None:
            self._spare.end()
            self._spare = None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Begin a job, and have it run. Its horse takes it up meanwhile."""
        if self._spare is not None:
            stored = {name.decode("latin-1"): value.decode("latin-1") for name, value in as_ours(job).stored.items()}
            self._spare.announce(spare.Announcement(job.id, stored))
        execution = self.prepare_execution(job)
        if not as_ours(job).attempt:
            self._end_spare()
            self._drop(job, execution)
            tracing.at_no_job()
            return
        log.info("task %s starts", job.id)
        try:
            self.fork_work_horse(job, queue)
        except OSError:  # too many processes; the job has not been looked at
            self._return(job, queue, execution)
            raise
        self.monitor_work_horse(job, queue, execution)

    def prepare_execution(self, job: Job) -> Execution:
        """Write down that a job begins. Where its record does not allow that it has no number of attempts then."""
        ours = as_ours(job)
        with self.connection.pipeline() as pipeline:
            execution = Execution.create(job, self.get_heartbeat_ttl(job), pipeline, worker_name=self.name)
            self.executions[execution.id] = execution
            self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            ours.fence = execution.id
            ours.prepare_for_execution(self.name, pipeline)
            pipeline.lrem(self.engine.queue(job.origin).intermediate_queue_key, 1, job.id)
            for queue in self.queues:
                pipeline.llen(queue.key)
            pipeline.hmget(keys.task(job.id), ["fence", "attempt", "attempts", "request"])
            *answers, (fence, attempt, attempts, request) = pipeline.execute()
        self._more_wait = any(answers[-len(self.queues) :])
        if fence is not None and fence.decode() == execution.id:
            ours.attempt, ours.attempts = int(attempt), int(attempts)
        # Until it has left: the worker's own lines, and those of the horse.
        tracing.at_job(ours.ticket, request.decode() if request else "")
        return execution

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        ready, self._spare = self._spare, None
        execution, ours = cast(Execution, self.execution), as_ours(job)
        assignment = spare.Assignment(
            execution_id=execution.id,
            created_at=execution.created_at.timestamp(),
            attempt=ours.attempt,
            attempts=ours.attempts,
            request=tracing.request_id(),
        )
        if ready and ready.give(assignment):
            self._horse_pid = ready.pid
            return
        super().fork_work_horse(job, queue)
        with contextlib.suppress(OSError):  # the horse does the same; whoever comes first
            os.setpgid(self.horse_pid, self.horse_pid)

    def _begin_as_horse(self) -> None:
        """In a horse that has no job yet."""
        random.seed()
        self.setup_work_horse_signals()
        self._is_horse = True
        self._horse_pid = 0
        self.executions.clear()  # of the job before it

    def _rehearse(self) -> None:
        """Connect, and go through what every job needs, for one that is not there."""
        patience = self.connection.get_retry()
        self.connection.set_retry(retry_policy(0))
        try:
            with self.connection.pipeline() as pipeline:
                self.engine.ledger.succeed(NO_TICKET, "", None, pipeline)
                pipeline.execute()
            self.engine.ledger.append(NO_TICKET, "none", 1, "log", {})
            self._rehearse_a_job()
        finally:
            self.connection.set_retry(patience or retry_policy(self.engine.patience_seconds))

    def _rehearse_a_job(self) -> None:
        """Take one up, and put it down again; nothing of that is sent."""
        known = spare.Announcement(str(NO_TICKET), NO_JOB)
        job = self._take_up(spare.Announcement.from_bytes(known.as_bytes()))
        execution = self._execution_of(job, spare.Assignment("none", 0, 1, 1))
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline=pipeline, execution=execution)
            pipeline.reset()

    def _take_up(self, known: spare.Announcement) -> EngineJob:
        """In the horse: the job that was announced, which has not begun."""
        job = EngineJob(known.job_id, connection=self.connection, serializer=SERIALIZER)
        if known.stored:
            job.restore({name.encode("latin-1"): value.encode("latin-1") for name, value in known.stored.items()})
        else:
            job.refresh()  # type: ignore[no-untyped-call]
        job.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]
        with contextlib.suppress(Exception):  # the job itself will say what is wrong
            job.func, job.args  # noqa: B018 - looked up and read
        return job

    def _execution_of(self, job: EngineJob, given: spare.Assignment) -> Execution:
        """In the horse: the execution of a job that has begun."""
        job.attempt, job.attempts = given.attempt, given.attempts
        execution = Execution(given.execution_id, job.id, self.connection, self.name)
        execution.created_at = datetime.fromtimestamp(given.created_at, UTC)
        job.began(execution.created_at, self.name)
        return execution

    def _run_as_horse(self, job: EngineJob, given: spare.Assignment) -> None:
        tracing.at_job(job.ticket, given.request)
        execution = self._execution_of(job, given)
        self.executions[execution.id] = execution
        self.main_work_horse(job, self.engine.queue(job.origin))

    def setup_work_horse_signals(self) -> None:
        """In the horse: SIGTERM, which also comes when the worker dies, takes the whole process group along."""
        parent = os.getppid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, descendants.end_group)
        descendants.be_signalled_when_the_parent_dies(signal.SIGTERM)
        if os.getppid() != parent or parent == 1:
            descendants.end_group(signal.SIGTERM, None)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the horse and its process group. RQ's own would end the worker where there is no horse."""
        pid = self.horse_pid
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == os.getpgrp():
                os.kill(pid, sig)
            else:
                os.killpg(pid, sig)

    def wait_for_horse(self) -> tuple[Any, Any, Any]:
        """Wait for the horse's end; what it leaves of its process group ends before its number is free again."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.horse_pid, os.WEXITED | os.WNOWAIT)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(self.horse_pid) == self.horse_pid:
                    os.killpg(self.horse_pid, signal.SIGKILL)
        ended = super().wait_for_horse()
        kept = self._spare, self._companion
        descendants.end_orphans({one.pid for one in kept if one is not None})
        return ended

    def monitor_work_horse(self, job: Job, queue: Queue, execution: Execution) -> None:
        if self._more_wait:
            self._make_spare()
        super().monitor_work_horse(job, queue, execution)
        self._handing_back = False
        workspace.remove_now(workspace.Workspace(self.engine.settings.work_folder, int(job.id), execution.id).folder)
        log.info("task %s has left this worker", job.id)
        tracing.at_no_job()

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        ours = as_ours(job)
        ours.fence = execution.id
        ours.make_context = partial(
            JobContext, self.engine, ours.ticket, execution.id, attempt=ours.attempt, attempts=ours.attempts
        )
        try:
            return super().perform_job(job, queue, execution)
        finally:
            if ours.context is not None:
                ours.context.close()

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """In the horse. Its worker has written down already that the job begins."""

    # --- stopping ---------------------------------------------------------------------------------

    def teardown(self) -> None:
        """The loop has ended; the horse that waits is not needed any more."""
        if not self.is_horse:
            self._end_spare()
        super().teardown()  # type: ignore[no-untyped-call]

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """The first SIGTERM or SIGINT: finish the running job, for the time of grace."""
        grace = self.engine.settings.shutdown_grace_seconds
        log.info("told to stop; a running task has %g seconds", grace)
        self._grace_ends = time.monotonic() + grace
        self.job_monitoring_interval = 1
        # Taking leave of a Redis that is away must not take minutes; what is not said to it, others find out.
        self.connection.set_retry(retry_policy(STOPPING_PATIENCE_SECONDS if self.horse_pid else 0))
        # RQ's own raises where no job runs. In the middle of a fork, or of a line of the log, what is raised is lost:
        # so the loop looks, too.
        self._stop_requested = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: hand the job back at once."""
        self._hand_back()

    def _hand_back(self) -> None:
        if self.horse_pid:
            log.info("handing the running task back to its queue")
            self._handing_back = True
            self.kill_horse()
