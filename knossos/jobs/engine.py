"""The engine as its users see it: submit a job, find it, follow it, answer it, cancel it, forget it.

It owns the way of a job from its submission to the queue, and all reading of records. It does not run jobs (that is
``worker.py``) and knows nothing of what they do. A job that ``submit`` has answered for is in Redis, whole.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import secrets
import string
import time
import zlib
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import ResponseError
from rq import Retry
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus

from knossos import tracing
from knossos.jobs import keys, limits, scripts
from knossos.jobs.connection import ANSWER_SECONDS, connect
from knossos.jobs.errors import JobNotFinished, JobNotFound
from knossos.jobs.events import Event, parse_entry
from knossos.jobs.ledger import Ledger, dumps
from knossos.jobs.records import JobFailure, JobRecord, JobSpec, Limit
from knossos.jobs.rq_job import SERIALIZER, EngineJob
from knossos.jobs.rq_queue import ReliableQueue
from knossos.jobs.states import JobState, Signal

if TYPE_CHECKING:
    import redis
    from redis.client import Pipeline

    from knossos.settings import Settings

log = logging.getLogger("knossos.jobs")

#: What the tokens of jobs are made of, and how long they are.
TOKEN_ALPHABET = string.ascii_letters + string.digits
TOKEN_LENGTH = 30
#: Records that a listing reads in one go.
PAGE = 200
#: States that are asked for in one go.
STATES_AT_ONCE = 2_000
#: Seconds for which one command waits for an event: fewer than those after which silence counts as a broken connection.
WAIT_BLOCK_SECONDS = 5.0
#: Seconds between two looks at a job that has told something.
WAIT_PAUSE_SECONDS = 0.01


class Engine:
    """Submits and follows jobs. ``patience_seconds`` is how long a call waits for a Redis that restarts, and
    ``answer_seconds`` for one that says nothing."""

    def __init__(self, settings: Settings, patience_seconds: float = 5, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.settings = settings
        self.patience_seconds = patience_seconds
        self.answer_seconds = answer_seconds

    @cached_property
    def redis(self) -> redis.Redis:
        """The connection pool. It connects at the first command."""
        return connect(self.settings.redis, self.patience_seconds, self.answer_seconds)

    @cached_property
    def ledger(self) -> Ledger:
        """Writes records and events."""
        return Ledger(self.redis, self.keep_seconds)

    @property
    def keep_seconds(self) -> int:
        """How long Redis keeps an ended job by itself: cron, which removes it at RESULT_LIFETIME, may run daily."""
        settings = self.settings
        return round(max(settings.result_lifetime + settings.task_lifetime, settings.failed_lifetime))

    def queue(self, name: str) -> ReliableQueue:
        """RQ's queue of that name."""
        return ReliableQueue(name, connection=self.redis, serializer=SERIALIZER, job_class=EngineJob)

    def ping(self) -> None:
        """Raise redis.RedisError where Redis does not answer."""
        self.redis.ping()

    # --- submit -----------------------------------------------------------------------------------

    def submit(self, spec: JobSpec, then: JobSpec | None = None) -> JobRecord:
        """Accept a job. When this returns, it is stored and will be run.

        ``then`` is a job that is queued when this one has ended, however it ended; ``ticket``, the first one's, is put
        into its payload.
        """
        last = int(self.redis.incrby(keys.TICKET, 2 if then else 1))
        ticket = last - 1 if then else last
        fields, tries = self._fields(spec), itertools.count()

        def store(pipeline: Pipeline) -> None:
            if next(tries) and pipeline.exists(keys.task(ticket)):
                return  # by the try before this one, whose answer was lost: the job may run by now
            pipeline.multi()
            if then:
                follower = then.model_copy(update={"payload": {**then.payload, "ticket": ticket}})
                self._write_record(last, follower, self._fields(follower), pipeline, f"Waits for task {ticket}.")
                self._make_job(last, follower, JobStatus.DEFERRED).save(pipeline=pipeline)
                pipeline.hset(keys.task(ticket), "then", last)
            self._write_record(ticket, spec, fields, pipeline, "Waits for a free worker.")
            self._make_job(ticket, spec, JobStatus.RATE_LIMITED).save(pipeline=pipeline)
            limits.enter(ticket, pipeline)

        # Watching something, it is not sent again as it stands when the connection breaks.
        self.redis.transaction(store, keys.task(ticket))
        return JobRecord.from_hash(ticket, {name.encode(): str(value).encode() for name, value in fields.items()})

    def _fields(self, spec: JobSpec) -> dict[Any, Any]:
        """The record of a job that is new."""
        fields: dict[Any, Any] = {
            "kind": spec.kind,
            "title": spec.title[:300],
            "owner": spec.owner,
            "token": "".join(secrets.choice(TOKEN_ALPHABET) for _ in range(TOKEN_LENGTH)),
            "queue": spec.queue,
            "state": JobState.QUEUED,
            "attempt": 0,
            "attempts": self._retries(spec) + 1,
            "created_at": (now := round(time.time(), 6)),
            "changed_at": now,
            **limits.fields(spec, spec.limits or self._owner_limit(spec.owner)),
        }
        if request := tracing.request_id():
            fields["request"] = request
        return fields

    def _write_record(self, ticket: int, spec: JobSpec, fields: dict[Any, Any], pipeline: Pipeline, text: str) -> None:
        data = dumps({"state": JobState.QUEUED, "attempt": 0, "text": text})
        pipeline.hset(keys.task(ticket), mapping=fields)
        pipeline.xadd(keys.events(ticket), {"type": "state", "data": data})
        pipeline.zadd(keys.TASKS, {str(ticket): ticket})
        pipeline.zadd(keys.tasks_of(spec.owner), {str(ticket): ticket})
        pipeline.zadd(keys.tasks_of_kind(spec.kind), {str(ticket): ticket})
        pipeline.zadd(keys.OPEN, {str(ticket): fields["created_at"]})

    def _make_job(self, ticket: int, spec: JobSpec, status: JobStatus) -> Job:
        retries = self._retries(spec)
        return self.queue(spec.queue).create_job(
            spec.function,
            args=(spec.payload,),
            job_id=str(ticket),
            status=status,
            timeout=round(spec.timeout_seconds or self.settings.conversion_timeout_seconds),
            result_ttl=self.keep_seconds,
            failure_ttl=self.keep_seconds,
            description=f"{spec.kind} {ticket}",
            meta={"retry_on_error": bool(spec.retry_delays_seconds), "once": spec.once},
            retry=Retry(max=retries, interval=list(spec.retry_delays_seconds) or 0) if retries else None,
        )

    def _owner_limit(self, owner: str) -> tuple[Limit, ...]:
        return (Limit(key=f"owner:{owner}", most=self.settings.owner_concurrency),)

    def _retries(self, spec: JobSpec) -> int:
        if spec.retries is not None:
            return spec.retries
        return max(self.settings.task_retries, len(spec.retry_delays_seconds))

    # --- look -------------------------------------------------------------------------------------

    def find(self, ticket: int, *, withheld: bool = False) -> JobRecord:
        """The job's record. Raises JobNotFound; also for one that is only kept for operators, unless it may be such."""
        records = self._read([ticket])
        if not records or (records[0].withheld and not withheld):
            raise JobNotFound(f"There is no task {ticket}.", ticket=ticket)
        return records[0]

    def records(self, tickets: Sequence[int]) -> list[JobRecord]:
        """The records of those that are there, in the same order."""
        return self._read(tickets)

    def states(self, tickets: Sequence[int]) -> dict[int, JobState]:
        """The states of those that are there. Quick, also for thousands."""
        found: dict[int, JobState] = {}
        for start in range(0, len(tickets), STATES_AT_ONCE):
            some = tickets[start : start + STATES_AT_ONCE]
            with self.redis.pipeline(transaction=False) as pipeline:
                for ticket in some:
                    pipeline.hget(keys.task(ticket), "state")
                answers = pipeline.execute()
            found |= {ticket: JobState(state.decode()) for ticket, state in zip(some, answers, strict=True) if state}
        return found

    def list_jobs(
        self,
        owner: str | None = None,
        kind: str | None = None,
        states: Collection[JobState] | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[JobRecord]:
        """Records, newest first, at most ``limit``, only tickets below ``before`` where that is given.

        As quick among a million jobs as among few: there is an index for each owner and for each kind. Where both are
        given those of the owner are read until enough are of that kind, and ``states`` are looked for in the same way.
        """
        index = keys.tasks_of(owner) if owner else keys.tasks_of_kind(kind) if kind else keys.TASKS
        found: list[JobRecord] = []
        below = f"({before}" if before is not None else "+inf"
        all_count = states is None and (kind is None or not owner)
        while len(found) < limit:
            most = min(PAGE, limit - len(found)) if all_count else PAGE
            page: Any = self.redis.zrange(
                index, below, "-inf", desc=True, byscore=True, offset=0, num=most, withscores=True
            )
            if not page:
                break
            for record in self._read([int(score) for _, score in page]):
                if (kind is None or record.kind == kind) and (states is None or record.state in states):
                    found.append(record)
            below = f"({page[-1][1]:.0f}"
        return found[:limit]

    def result(self, ticket: int) -> Any:
        """The result (JSON) of a job that succeeded, None for one that did not.

        Raises:
            JobNotFound: there is no such job (any more).
            JobNotFinished: it has not ended.
        """
        record = self.find(ticket)
        if not record.state.finished:
            raise JobNotFinished(f"Task {ticket} is not finished.", ticket=ticket)
        packed = cast("bytes | None", self.redis.get(keys.result(ticket)))
        return None if packed is None else json.loads(zlib.decompress(packed))

    def payload(self, ticket: int) -> dict[str, Any]:
        """What the job was asked to do. Raises JobNotFound."""
        try:
            job = EngineJob.fetch(str(ticket), connection=self.redis, serializer=SERIALIZER)
        except NoSuchJobError as error:
            raise JobNotFound(f"There is no task {ticket}.", ticket=ticket) from error
        return cast("dict[str, Any]", job.args[0])

    def events(self, ticket: int, after: str = "0-0", count: int | None = None) -> list[Event]:
        """What happened after the event with the id ``after``, oldest first."""
        entries = cast("list[Any]", self.redis.xrange(keys.events(ticket), min=f"({after}", count=count))
        return [parse_entry(entry_id, fields) for entry_id, fields in entries]

    def wait(self, ticket: int, seconds: float) -> JobRecord:
        """The record once the job has ended, or as it stands after so many seconds. Silence costs nothing meanwhile.

        Raises:
            JobNotFound: there is no such job (any more).
        """
        deadline = time.monotonic() + seconds
        stream = keys.events(ticket)
        while True:
            last = cast("list[Any]", self.redis.xrevrange(stream, count=1))
            ended = bool(last) and parse_entry(*last[0]).type == "done"
            left = deadline - time.monotonic()
            if ended or left <= 0 or not last:
                return self.find(ticket)
            block = round(1000 * min(left, WAIT_BLOCK_SECONDS)) or 1
            if self.redis.xread({stream: last[0][0]}, count=1, block=block):
                # A job that has much to tell is asked a few times a second, not once for each of its events.
                time.sleep(WAIT_PAUSE_SECONDS)
            else:
                self.find(ticket)

    def position(self, ticket: int, queue: str = "default") -> int | None:
        """How many jobs are before this one in its queue; None where it is not in it."""
        return cast("int | None", self.redis.lpos(self.queue(queue).key, str(ticket)))

    def places(self, limit_key: str, tickets: Sequence[int]) -> dict[int, int]:
        """How many that share a limit are to begin before each of these jobs; without those that do not wait."""
        return limits.places(limit_key, tickets, self.redis) if tickets else {}

    def _read(self, tickets: Sequence[int]) -> list[JobRecord]:
        """The records that are there. One that is no record is passed over: it must not hide the others."""
        with self.redis.pipeline(transaction=False) as pipeline:
            for ticket in tickets:
                pipeline.hgetall(keys.task(ticket))
            hashes = pipeline.execute(raise_on_error=False)
        found = []
        for ticket, fields in zip(tickets, hashes, strict=True):
            if isinstance(fields, ResponseError):
                log.warning("%s holds no record: %s", keys.task(ticket), fields)
            elif isinstance(fields, Exception):
                raise fields
            elif fields:
                try:
                    found.append(JobRecord.from_hash(ticket, fields))
                except (KeyError, ValueError) as error:
                    log.warning("%s holds no record: %r", keys.task(ticket), error)
        return found

    # --- act --------------------------------------------------------------------------------------

    def answer(self, ticket: int, value: str, question_id: str | None = None) -> bool:
        """Answer the open question of a job. False where none is open, it is another one, or it has its answer."""
        return self.ledger.answer(ticket, value, question_id or "")

    def cancel(self, ticket: int, reason: str = "Cancelled.") -> bool:
        """End a job, whether it waits or runs. False where it has ended already.

        A running one is told at once; it has ended when its ``done`` event is there.
        """
        return self._end(ticket, JobFailure(code="cancelled", message=reason), JobState.CANCELLED)

    def expire(self, ticket: int, reason: str) -> bool:
        """Give up a job that waits or runs for too long. False where it has ended already."""
        return self._end(ticket, JobFailure(code="expired", message=reason), JobState.FAILED)

    def signal(self, ticket: int, which: Signal) -> JobState:
        """Have the program of a running job get a signal. Answers the job's state: only where it runs this is done.

        Raises:
            JobNotFound: there is no such job (any more).
        """
        found = self.ledger.want_signal(ticket, which)
        if found == "missing":
            raise JobNotFound(f"There is no task {ticket}.", ticket=ticket)
        return JobState(found)

    def _end(self, ticket: int, failure: JobFailure, state: JobState) -> bool:
        found = self.ledger.want_cancelled(ticket, failure)
        if found == JobState.QUEUED:
            end = self.ledger.cancelled if state is JobState.CANCELLED else self.ledger.fail
            if end(ticket, "", failure, self.redis):
                self._unqueue(ticket)
                return True
            # A worker has begun in between: then the wish above came too early, and is said again.
            found = self.ledger.want_cancelled(ticket, failure)
        if found == "missing":
            raise JobNotFound(f"There is no task {ticket}.", ticket=ticket)
        if found == JobState.RUNNING:
            with contextlib.suppress(NoSuchJobError, InvalidJobOperation):  # it is ending this very moment
                send_stop_job_command(self.redis, str(ticket), serializer=SERIALIZER)
        return found == JobState.RUNNING

    def _unqueue(self, ticket: int) -> None:
        # Where it is not queued any more, a worker that takes it now is refused by the record.
        with contextlib.suppress(NoSuchJobError, InvalidJobOperation):
            job = EngineJob.fetch(str(ticket), connection=self.redis, serializer=SERIALIZER)
            job.cancel()
            self.redis.expire(job.key, self.keep_seconds)
            # RQ's list of what was cancelled would only grow, and nobody asks for it.
            self.redis.zrem(self.queue(job.origin).canceled_job_registry.key, str(ticket))

    def withhold(self, records: Collection[JobRecord]) -> None:
        """Keep failed jobs for operators only: for all others they are removed."""
        with self.redis.pipeline(transaction=False) as pipeline:
            for record in records:
                for index in (keys.TASKS, keys.tasks_of(record.owner), keys.tasks_of_kind(record.kind)):
                    pipeline.zrem(index, str(record.ticket))
                # One that is forgotten at this moment must not come back as a hash without a record.
                pipeline.eval(scripts.WITHHOLD, 1, keys.task(record.ticket))
            pipeline.execute()

    def forget(self, ticket: int) -> None:
        """Delete a job with its result and its events. One that still runs is cancelled by that."""
        indices = [keys.TASKS, keys.OPEN, keys.ENDED]
        with contextlib.suppress(JobNotFound):
            self.cancel(ticket, "Forgotten.")
            record = self.find(ticket, withheld=True)
            indices += [keys.tasks_of(record.owner), keys.tasks_of_kind(record.kind)]
        with contextlib.suppress(NoSuchJobError, InvalidJobOperation):
            EngineJob.fetch(str(ticket), connection=self.redis, serializer=SERIALIZER).delete()
        with self.redis.pipeline() as pipeline:
            pipeline.delete(keys.task(ticket), keys.events(ticket), keys.result(ticket))
            for index in indices:
                pipeline.zrem(index, str(ticket))
            pipeline.publish(keys.WAKE, str(ticket))
            pipeline.execute()
