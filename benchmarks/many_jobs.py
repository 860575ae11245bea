"""A Redis with as many jobs as one likes, each a copy of one that the product itself has stored.

All keys of a job and its places in all indices are copied inside of Redis, some 100,000 jobs a second.
"""

from __future__ import annotations

import json

from rq.defaults import RQ_KEY_PREFIX

from knossos.jobs import Engine, keys
from knossos.jobs.records import JobRecord

#: Jobs that one call copies: Redis does nothing else meanwhile.
AT_ONCE = 5_000

#: ARGV: ticket of the job that is copied, first and last of its copies, starts of its keys, indices (both JSON).
_COPY = """
local from, starts, indices = ARGV[1], cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
local present, scores = {}, {}
for _, start in ipairs(starts) do
    if redis.call('EXISTS', start .. from) == 1 then table.insert(present, start) end
end
for _, index in ipairs(indices) do scores[index] = redis.call('ZSCORE', index, from) end
for ticket = tonumber(ARGV[2]), tonumber(ARGV[3]) do
    local name = string.format('%.0f', ticket)
    for _, start in ipairs(present) do redis.call('COPY', start .. from, start .. name) end
    for index, score in pairs(scores) do
        if score then redis.call('ZADD', index, score == from and name or score, name) end
    end
end
"""


def copy_job(engine: Engine, ticket: int, count: int) -> None:
    """Add ``count`` jobs that are as the one with that ticket is. They get the tickets that come next."""
    record = engine.find(ticket)
    last = int(engine.redis.incrby(keys.TICKET, count))
    starts = [keys.task(""), keys.events(""), keys.result(""), f"{RQ_KEY_PREFIX}:job:"]
    for first in range(last - count + 1, last + 1, AT_ONCE):
        arguments = (
            ticket,
            first,
            min(first + AT_ONCE - 1, last),
            json.dumps(starts),
            json.dumps(_indices(record, engine)),
        )
        engine.redis.eval(_COPY, 0, *arguments)


def _indices(record: JobRecord, engine: Engine) -> list[str]:
    line = engine.redis.hget(keys.task(record.ticket), "line")
    return [
        keys.TASKS,
        keys.OPEN,
        keys.ENDED,
        keys.tasks_of(record.owner),
        keys.tasks_of_kind(record.kind),
        *([keys.line(line.decode())] if isinstance(line, bytes) else []),
    ]
