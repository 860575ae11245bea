"""Keys and index entries that belong to no job: what an eviction, a crash of Redis or its own expiry has left over.

What always holds: one look goes over SWEEP_KEYS keys at the most, and where it stopped the next one goes on, so that it
costs the same among few jobs and among a million. Jobs that an index does not have (an older version stored them) come
into it by this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError
from rq.defaults import RQ_KEY_PREFIX

from knossos.jobs import keys

if TYPE_CHECKING:
    from knossos.jobs.engine import Engine

#: Keys that one look goes over, and that are asked for in one go.
SWEEP_KEYS, AT_ONCE = 20_000, 1_000
#: Entries of an index that are looked at in one go.
PAGE = 200
#: Seconds for which the place is kept where the next look begins.
PLACE_SECONDS = 7 * 86_400

_OWNERS, _KINDS = keys.tasks_of(""), keys.tasks_of_kind("")
_RQ_JOB = f"{RQ_KEY_PREFIX}:job:"
#: What is of no use without its job, by the start of its name, at whose end is the ticket.
_BELONGINGS = (keys.EVENTS_PREFIX, keys.result(""), _RQ_JOB)
_ANSWERS = keys.PREFIX + "answer:"


def sweep(engine: Engine) -> int:
    """Remove what belongs to no job; answers how many keys and entries went."""
    redis, seen = engine.redis, 0
    dropped = _trim(engine, keys.TASKS)
    cursor = int(redis.get(keys.SWEEP) or 0)
    while True:
        answer: Any = redis.scan(cursor, count=AT_ONCE)
        cursor, names = int(answer[0]), [name.decode("utf-8", "replace") for name in answer[1]]
        dropped += _drop(engine, names)
        _bring_into_indices(engine, names)
        for name in names:
            if name.startswith((_OWNERS, _KINDS)):
                dropped += _trim(engine, name)
        seen += AT_ONCE
        if not cursor or seen >= SWEEP_KEYS:
            break
    redis.set(keys.SWEEP, cursor, ex=PLACE_SECONDS)
    return dropped


def _drop(engine: Engine, names: list[str]) -> int:
    """Remove those of the keys whose job has no record. A submission writes all of a job at once."""
    redis = engine.redis
    belongings = {name: ticket for name in names if (ticket := _owner_ticket(name))}
    tickets = list(set(belongings.values()))
    with redis.pipeline(transaction=False) as pipeline:
        for ticket in tickets:
            pipeline.exists(keys.task(ticket))
        there = dict(zip(tickets, pipeline.execute(), strict=True))
    strays = [name for name, ticket in belongings.items() if not there[ticket]]
    dropped: Any = redis.delete(*strays) if strays else 0
    return int(dropped)


def _owner_ticket(name: str) -> str:
    """The ticket of the job that a key belongs to; "" where it is none of those keys."""
    if name.startswith(_ANSWERS):
        return name.removeprefix(_ANSWERS).partition(":")[0]
    for prefix in _BELONGINGS:
        if name.startswith(prefix) and (ticket := name.removeprefix(prefix)).isdigit():
            return ticket
    return ""


def _trim(engine: Engine, index: str) -> int:
    """Remove the oldest entries of an index whose record is gone, until there are PAGE in a row of which none is.

    Records go in about the order in which they came. What is gone among younger ones goes when those before it have.
    """
    redis, dropped = engine.redis, 0
    while True:
        try:
            entries: Any = redis.zrange(index, 0, PAGE - 1)
        except ResponseError:  # somebody else's key, that only begins like ours
            return dropped
        with redis.pipeline(transaction=False) as pipeline:
            for entry in entries:
                pipeline.exists(keys.task(entry.decode("utf-8", "replace")))
            found = pipeline.execute()
        gone = [entry for entry, there in zip(entries, found, strict=True) if not there]
        if not gone:
            return dropped
        dropped += int(redis.zrem(index, *gone))


def _bring_into_indices(engine: Engine, names: list[str]) -> None:
    """See that the records among the keys are in all indices."""
    redis = engine.redis
    tickets = [ticket for name in names if (ticket := name.removeprefix(keys.TASK_PREFIX)).isdigit()]
    if not tickets:
        return
    scores: Any = [redis.zmscore(index, tickets) for index in (keys.OPEN, keys.ENDED)]
    missing = [int(ticket) for ticket, *places in zip(tickets, *scores, strict=True) if places == [None, None]]
    if not missing:
        return
    with redis.pipeline() as pipeline:
        for record in engine.records(missing):
            member = str(record.ticket)
            since = (record.ended_at or record.changed_at) if record.state.finished else record.created_at
            pipeline.zadd(keys.ENDED if record.state.finished else keys.OPEN, {member: since})
            for index in (keys.TASKS, keys.tasks_of(record.owner), keys.tasks_of_kind(record.kind)):
                pipeline.zadd(index, {member: record.ticket})
        pipeline.execute()
