"""Jobs that pause before they are tried again: which of them may go on.

RQ keeps for each the time at which that is. Where the clock of Redis was ahead when that was written, and is not any
more, the time would come hours after the pause; so what is further ahead than the job's longest pause is over, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rq.defaults import RQ_KEY_PREFIX

if TYPE_CHECKING:
    from rq.queue import Queue

#: How many of those with the longest time before them are looked at for one that is too long.
LOOKED_AT = 100


def over(queue: Queue, now: int) -> list[str]:
    """Tickets of the jobs of a queue whose pause is over at a Unix time."""
    registry = queue.scheduled_job_registry
    return [*registry.get_jobs_to_schedule(now), *_too_far_ahead(registry.key, queue.connection, now)]


def _too_far_ahead(key: str, connection: Any, now: int) -> list[str]:
    last = [(ticket.decode(), at) for ticket, at in connection.zrevrange(key, 0, LOOKED_AT - 1, withscores=True)]
    with connection.pipeline(transaction=False) as pipeline:
        for ticket, _ in last:
            pipeline.hget(f"{RQ_KEY_PREFIX}:job:{ticket}", "retry_intervals")
        kept = pipeline.execute()
    return [ticket for (ticket, at), pauses in zip(last, kept, strict=True) if at - now > _longest(pauses)]


def _longest(pauses: bytes | None) -> float:
    """Seconds; one more than there are, since RQ cuts times to whole ones."""
    return 1.0 + max(json.loads(pauses) if pauses else [], default=0.0)
