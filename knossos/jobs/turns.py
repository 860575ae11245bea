"""Turns: whose job is next where owners share one limit.

Of the jobs that wait for a limit RQ lets in the one with the lowest score, and its scores are times: whoever queues
fifty is next fifty times. Here a score is a turn, and each owner has one job in each, so that nobody waits for more
than one job of each of the others before each of their own. Within a turn, who came first is first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rq.rate_limit import RateLimitRegistry

from knossos.jobs import keys

if TYPE_CHECKING:
    import redis

#: Scores from here on are times: RQ's own, of a job that waits once more. It comes last.
_TIMES = 1e9
#: Below this, so that a fraction of a turn can say it.
_TICKETS = 2**40


def waiting_key(limit_key: str, connection: redis.Redis) -> str:
    """RQ's sorted set of the jobs that wait for a limit."""
    return RateLimitRegistry(limit_key, connection).rate_limited_key


def score(limit_key: str, owner: str, ticket: int, connection: redis.Redis) -> float:
    """The score of an owner's next job: one turn after the last that waits, or in the turn that everybody is at."""
    scored: Any = connection.zrange(waiting_key(limit_key, connection), 0, -1, withscores=True)
    waiting = [(member.decode(), int(at)) for member, at in scored if at < _TIMES]
    if not waiting:
        return ticket / _TICKETS
    with connection.pipeline(transaction=False) as pipeline:
        for member, _ in waiting:
            pipeline.hget(keys.task(member), "owner")
        owners = pipeline.execute()
    own = [turn for (_, turn), found in zip(waiting, owners, strict=True) if found == owner.encode()]
    turn = max(own) + 1 if own else waiting[0][1]
    return turn + ticket / _TICKETS
