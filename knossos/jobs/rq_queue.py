"""RQ's queue, made safe against what a worker may find in it and against dying right after it took a job.

RQ moves a job atomically into an *intermediate* list when it takes it from a single queue, but pops it when it
watches several, and looks after what is left in the intermediate list only minutes later. Here every job is moved, and
``give_back`` returns within seconds what nobody began.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import DequeueTimeout
from rq.intermediate_queue import IntermediateQueue
from rq.queue import Queue

from knossos.jobs import scripts

if TYPE_CHECKING:
    import redis
    from rq.job import Job

#: Seconds for which the caretaker of a queue has it for itself; should it die, another one follows after these.
CARETAKER_SECONDS = 10
#: Seconds that a worker has between taking a job and beginning it, before the job is given back.
BEGIN_SECONDS = 10
#: Seconds between two looks at the further queues of a worker that serves several.
POLL_SECONDS = 0.5

log = logging.getLogger("knossos.jobs")


class ReliableQueue(Queue):
    """A queue from which no job gets lost."""

    def acquire_maintenance_lock(self) -> bool:
        """Become the caretaker, for a few seconds rather than RQ's quarter of an hour."""
        return bool(self.connection.set(self.registry_cleaning_key, 1, nx=True, ex=CARETAKER_SECONDS))

    @classmethod
    def lpop(cls, queue_keys: Sequence[str], timeout: int | None, connection: Any = None) -> Any:
        """Take a job from the first queue that has one, moved rather than popped."""
        waited = 0.0
        while True:
            for key in queue_keys:
                if job_id := connection.lmove(key, f"{key}:intermediate"):
                    return key, readable(connection, key, job_id)
            if timeout is None:
                return None
            if waited >= timeout:
                raise DequeueTimeout(timeout, queue_keys)
            first = queue_keys[0]
            if job_id := connection.blmove(first, f"{first}:intermediate", POLL_SECONDS):
                return first, readable(connection, first, job_id)
            waited += POLL_SECONDS

    @classmethod
    def lmove(cls, connection: Any, queue_key: str, timeout: int | None) -> Any:
        """Take a job from the only queue."""
        found: Any = super().lmove(connection, queue_key, timeout)
        return found and (found[0], readable(connection, queue_key, found[1]))

    @classmethod
    def _fetch_dequeued_job(  # type: ignore[override]
        cls, connection: Any, queue_key: str, job_id: str, **kwargs: Any
    ) -> Any:
        """Read the job that was taken. What is no job is logged and dropped; it never ends the worker."""
        try:
            found: tuple[Job, Queue] | None = super()._fetch_dequeued_job(connection, queue_key, job_id, **kwargs)
            if found is not None:
                found[0].func_name  # noqa: B018 - reads the job's data, so that garbage shows here
        except connection_errors():
            raise
        except Exception as error:
            log.error("queue %s: entry %.100r is no job and was dropped: %s", queue_key, job_id, error)
            found = None
        if found is None:
            connection.lrem(f"{queue_key}:intermediate", 1, job_id)
        return found

    def give_back(self) -> list[str]:
        """Return to the queue what a worker took and did not begin. Called by the caretaker every few seconds."""
        between = IntermediateQueue(self.key, self.connection)
        returned = []
        entries: Any = self.connection.lrange(between.key, 0, -1)
        for entry in entries:
            try:
                job_id = entry.decode()
            except UnicodeDecodeError:
                self.connection.lrem(between.key, 1, entry)
                continue
            if job_id in self.started_job_registry.get_job_ids(cleanup=False):
                continue
            if self._seconds_between(between, job_id) < BEGIN_SECONDS:
                continue
            names = (between.key, self.key, f"{RQ_KEY_PREFIX}:job:{job_id}")
            if self.connection.eval(scripts.GIVE_BACK, 3, *names, job_id):
                returned.append(job_id)
            self.connection.delete(between.get_first_seen_key(job_id))
        return returned

    def _seconds_between(self, between: IntermediateQueue, job_id: str) -> float:
        """How long the caretakers have seen the job there, by Redis's clock, which all machines share."""
        seconds, micro = self.connection.time()
        now = seconds + micro / 1e6
        key = between.get_first_seen_key(job_id)
        self.connection.set(key, now, nx=True, ex=3600)
        return float(now - float(self.connection.get(key) or now))


def readable(connection: Any, queue_key: str, entry: bytes) -> bytes:
    """The entry that was taken, if it is text. What is none is dropped, and the worker looks again."""
    try:
        entry.decode()
    except UnicodeDecodeError:
        log.error("queue %s: entry %.100r is no job and was dropped", queue_key, entry)
        connection.lrem(f"{queue_key}:intermediate", 1, entry)
        raise DequeueTimeout(0, queue_key) from None
    return entry


def connection_errors() -> tuple[type[redis.RedisError], ...]:
    """The errors that say that Redis is away, not that an entry is bad."""
    from redis.exceptions import ConnectionError, TimeoutError

    return ConnectionError, TimeoutError
