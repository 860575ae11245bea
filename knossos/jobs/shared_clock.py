"""The time by which workers say until when a job is theirs, and when one is due: Redis's, which all of them share.

RQ takes the time of day of each worker's machine for that. Where that is wrong, or jumps, jobs are taken from workers
that are well, those of a dead one are missed a day later, and a retry that was to come in a minute comes in an hour. So
RQ's functions are replaced in all of its modules that compare or keep times. Between two looks at Redis, seconds are
counted by the machine's monotonic clock, which never jumps. Redis's own may: that is noticed, and lasts.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import rq.executions
import rq.job
import rq.queue
import rq.registry
import rq.worker.base
import rq.worker.worker_classes

if TYPE_CHECKING:
    import redis

#: RQ's modules that have ``now`` and ``current_timestamp`` by these names.
_WITH_NOW: tuple[Any, ...] = (
    rq.executions,
    rq.job,
    rq.queue,
    rq.registry,
    rq.worker.base,
    rq.worker.worker_classes,
)
_WITH_TIMESTAMP: tuple[Any, ...] = (rq.executions, rq.registry)

#: Seconds by which Redis's time is ahead of this machine's monotonic clock; until it was asked, by its time of day.
_ahead = time.time() - time.monotonic()
#: Since when, by this machine's monotonic clock, that has not changed; None before Redis was asked.
_same_since: float | None = None
#: Seconds by which two looks may differ, as answers take a while.
_SAME_SECONDS = 2.0


def follow(connection: redis.Redis) -> None:
    """Ask Redis what time it is, and have RQ go by that from now on."""
    global _ahead, _same_since
    seconds, microseconds = connection.time()
    monotonic = time.monotonic()
    ahead = seconds + microseconds / 1e6 - monotonic
    if _same_since is None or abs(ahead - _ahead) > _SAME_SECONDS:
        _same_since = monotonic
    _ahead = ahead
    for module in _WITH_NOW:
        module.now = now
    for module in _WITH_TIMESTAMP:
        module.current_timestamp = timestamp


def settled(seconds: float) -> bool:
    """Whether Redis's clock has been seen for so long, and has not jumped meanwhile: what others have kept since then
    means the same to us."""
    return _same_since is not None and time.monotonic() - _same_since > seconds


def now() -> datetime:
    """The time, in UTC."""
    return datetime.fromtimestamp(_ahead + time.monotonic(), UTC)


def timestamp() -> int:
    """The same in whole seconds."""
    return int(_ahead + time.monotonic())
