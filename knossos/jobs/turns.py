"""Turns: whose job is next where owners share one limit.

Of the jobs that wait for a limit RQ lets in the one with the lowest score, and its scores are times: whoever queues
fifty is next fifty times. Here a score is a turn, and each owner has one job in each, so that nobody waits for more
than one job of each of the others before each of their own. Within a turn, who came first is first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rq.rate_limit import RateLimitRegistry

from knossos.jobs import keys
from knossos.jobs.states import JobState

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


def places(limit_key: str, tickets: Sequence[int], connection: redis.Redis) -> dict[int, int]:
    """How many of those that share a limit are to begin before each of the given jobs; without those that do not wait.

    As it stands: whoever has fewer waiting may still come before one that waits already. One that has been let in waits
    for nothing but a worker. Quick, also where thousands wait.
    """
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.zrange(RateLimitRegistry(limit_key, connection).allowed_key, 0, -1)
        for ticket in tickets:
            pipeline.zrank(waiting_key(limit_key, connection), str(ticket))
        allowed, *ranks = pipeline.execute()
    with connection.pipeline(transaction=False) as pipeline:
        for member in allowed:
            pipeline.hget(keys.task(member.decode()), "state")
        states = pipeline.execute()
    let_in = [int(member) for member, state in zip(allowed, states, strict=True) if state == JobState.QUEUED.encode()]
    found = {ticket: number for number, ticket in enumerate(let_in) if ticket in tickets}
    behind = {ticket: len(let_in) + rank for ticket, rank in zip(tickets, ranks, strict=True) if rank is not None}
    return found | behind
