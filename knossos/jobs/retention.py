"""What of the engine's may be removed, and its removal. Safe to run twice at once, and while workers work."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rq.defaults import RQ_KEY_PREFIX

from knossos.jobs import keys, workspace
from knossos.jobs.engine import PAGE, Engine


@dataclass(frozen=True)
class Purged:
    """What a purge did: the tickets it removed and gave up, how many stray keys and which folders it removed."""

    removed: tuple[int, ...]
    expired: tuple[int, ...]
    stray_keys: int
    folders: tuple[str, ...]

    def counts(self) -> list[tuple[str, int]]:
        """What was removed and how much of it, in words."""
        return [
            ("ended tasks", len(self.removed)),
            ("unfinished tasks that were given up", len(self.expired)),
            ("logs, results and index entries that belonged to no task", self.stray_keys),
            ("work folders of workers that are gone", len(self.folders)),
        ]


def purge(engine: Engine, now: float | None = None) -> Purged:
    """Remove ended jobs older than RESULT_LIFETIME; give up unfinished ones older than TASK_LIFETIME.

    ``now`` is the Unix time to judge by (default: the clock's). Also removes index entries, results and event streams
    that belong to no job, and work folders whose process is gone.
    """
    at = time.time() if now is None else now
    settings = engine.settings
    removed, expired = [], []
    below: int | None = None
    while page := engine.list_jobs(limit=PAGE, before=below):
        below = page[-1].ticket
        for record in page:
            if record.state.finished and at - (record.ended_at or record.changed_at) > settings.result_lifetime:
                engine.forget(record.ticket)
                removed.append(record.ticket)
            elif not record.state.finished and at - record.created_at > settings.task_lifetime:
                hours = settings.task_lifetime / 3600
                if engine.expire(record.ticket, f"The task was not finished within {hours:g} hours."):
                    expired.append(record.ticket)
    stray = _drop_index_entries(engine) + _drop_stray_jobs(engine) + _drop_stray_keys(engine)
    return Purged(tuple(removed), tuple(expired), stray, tuple(workspace.sweep(settings.work_folder)))


def _drop_index_entries(engine: Engine) -> int:
    """Leave no ticket in an index whose record is gone."""
    redis, dropped = engine.redis, 0
    for index in redis.scan_iter(match=f"{keys.TASKS}*", count=1000, _type="zset"):
        for member, _score in redis.zscan_iter(index, count=1000):
            if not redis.exists(keys.task(member.decode())):
                dropped += int(redis.zrem(index, member))
    return dropped


def _drop_stray_jobs(engine: Engine) -> int:
    """Leave no job in RQ whose record is gone, and no entry of its list of cancelled ones without a job."""
    redis, dropped = engine.redis, 0
    for key in redis.scan_iter(match=f"{RQ_KEY_PREFIX}:job:*", count=1000, _type="hash"):
        ticket = key.decode().rpartition(":")[2]
        if ticket.isdigit() and not redis.exists(keys.task(ticket)):
            dropped += int(redis.delete(key))
    for registry in redis.scan_iter(match=f"{RQ_KEY_PREFIX}:canceled:*", count=1000, _type="zset"):
        for member, _score in redis.zscan_iter(registry, count=1000):
            if not redis.exists(f"{RQ_KEY_PREFIX}:job:{member.decode()}"):
                redis.zrem(registry, member)
    return dropped


def _drop_stray_keys(engine: Engine) -> int:
    """Leave no events, result or answers whose record is gone. A submission writes all of them at once."""
    redis, dropped = engine.redis, 0
    for kind in ("events", "result", "answer"):
        for key in redis.scan_iter(match=f"{keys.PREFIX}{kind}:*", count=1000):
            ticket = key.decode().split(":")[2]
            if not redis.exists(keys.task(ticket)):
                dropped += int(redis.delete(key))
    return dropped
