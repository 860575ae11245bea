"""Limits: how many jobs may be in the workers at once, and whose is next where more wait.

A job may have several limits, each a key that jobs share and the most of them that may be queued or running at once.
It gets a slot of all of them or of none, so nobody holds one while it waits for another, and a deadlock cannot be.

Those of one owner that have the same limits stand in one *line*, oldest first: none of them can begin before the first
can. A line waits at **one** limit that is full, until a slot of that becomes free: then it goes on to wait at another
one that is full, or its first job goes to its queue. So what always holds between two scripts is that lines wait at
full limits only; and an end looks at the lines that waited for it, not at all that wait.

Of the lines at a limit the one with the lowest *turn* is next, and has its next turn after that: nobody waits for more
than one job of each of the others before each of their own. Within a turn, who came first is first. A line that is new,
or was held up elsewhere, joins in the turn that the limit is at, so that nobody saves up turns.

All of it happens in the scripts that move a job (``scripts.py``), and thus in RQ's own transactions: whoever ends a
job, be it the caretaker of a worker that is gone, has freed its slots by that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rq.defaults import RQ_KEY_PREFIX

from knossos.jobs import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis
    from redis.client import Pipeline

    from knossos.jobs.records import JobSpec, Limit

#: Seconds between two looks for slots that nobody needs any more.
TEND_SECONDS = 10
#: Slots that are looked at in one go.
TEND_AT_ONCE = 500

#: The functions that the scripts share. ``enter(ticket, fresh)``: wait for the limits that the job's record names; a
#: fresh one says anew how many each allows. ``leave(ticket)``: give slots back, or stop waiting.
LUA = (
    """
local function limits_of(line)
    local found = cjson.decode(line)
    table.remove(found, 1)
    return found
end
local function has_room(limit)
    local fields = redis.call('HMGET', '<limit>' .. limit, 'used', 'most')
    return tonumber(fields[1] or '0') < tonumber(fields[2] or '1')
end
local function full_one(line)
    for _, limit in ipairs(limits_of(line)) do
        if not has_room(limit) then return limit end
    end
end
local function drop_idle(limit)
    local used = tonumber(redis.call('HGET', '<limit>' .. limit, 'used') or '0')
    if used <= 0 and redis.call('EXISTS', '<lines>' .. limit) == 0 then redis.call('DEL', '<limit>' .. limit) end
end
local function unpark(line)
    local place = redis.call('HMGET', '<place>' .. line, 'at', 'member')
    if place[1] then redis.call('ZREM', '<waiting>' .. place[1], place[2]) end
end
local function park(line, limit)
    unpark(line)
    local head = tonumber(redis.call('ZRANGE', '<line>' .. line, 0, 0)[1])
    local member = string.format('%016.0f', head) .. line
    redis.call('ZADD', '<waiting>' .. limit, redis.call('HGET', '<place>' .. line, 'turn'), member)
    redis.call('HSET', '<place>' .. line, 'at', limit, 'member', member)
end
local function dissolve(line)
    unpark(line)
    redis.call('DEL', '<place>' .. line)
    redis.call('SREM', '<all-lines>', line)
    for _, limit in ipairs(limits_of(line)) do
        redis.call('SREM', '<lines>' .. limit, line)
        drop_idle(limit)
    end
end
local function push(ticket, queue)
    redis.call('HSET', '<job>' .. ticket, 'status', 'queued')
    redis.call('SADD', '<queues>', '<queue>' .. queue)
    redis.call('RPUSH', '<queue>' .. queue, ticket)
end
-- The first of a line that still is a job goes to its queue. Whoever calls knows that there is room.
local function serve(line)
    local begun = false
    while not begun do
        local ticket = redis.call('ZPOPMIN', '<line>' .. line)[1]
        if not ticket then break end
        local fields = redis.call('HMGET', '<job>' .. ticket, 'origin', 'status')
        if fields[1] and fields[2] == 'rate_limited' then
            redis.call('HSET', '<slots>', ticket, line)
            push(ticket, fields[1])
            local turn = tonumber(redis.call('HGET', '<place>' .. line, 'turn'))
            local next_turn = turn + 1
            for _, limit in ipairs(limits_of(line)) do
                local key = '<limit>' .. limit
                redis.call('HINCRBY', key, 'used', 1)
                local clock = math.max(turn, tonumber(redis.call('HGET', key, 'turn') or '0'))
                redis.call('HSET', key, 'turn', clock)
                next_turn = math.max(next_turn, clock)
            end
            redis.call('HSET', '<place>' .. line, 'turn', next_turn)
            begun = true
        end
    end
    if redis.call('EXISTS', '<line>' .. line) == 0 then dissolve(line) end
end
-- Let in who waits at a limit, until it is full or nobody waits at it.
local function let_in(limit)
    while has_room(limit) do
        local first = redis.call('ZRANGE', '<waiting>' .. limit, 0, 0)[1]
        if not first then break end
        local line = string.sub(first, 17)
        local other = full_one(line)
        if other then
            park(line, other)
        else
            serve(line)
            if redis.call('EXISTS', '<line>' .. line) == 1 then park(line, full_one(line) or limit) end
        end
    end
    drop_idle(limit)
end
local function enter(ticket, fresh)
    local fields = redis.call('HMGET', '<task>' .. ticket, 'line', 'limits')
    if redis.call('HEXISTS', '<slots>', ticket) == 1 then return end
    if not fields[1] then -- stored by an older version, whose jobs had their limit elsewhere
        local queue = redis.call('HGET', '<job>' .. ticket, 'origin')
        if queue then push(ticket, queue) end
        return
    end
    local line, changed = fields[1], {}
    for _, limit in ipairs(cjson.decode(fields[2])) do
        local key = '<limit>' .. limit[1]
        local before = redis.call('HGET', key, 'most')
        if not before or (fresh and tonumber(before) ~= limit[2]) then
            redis.call('HSET', key, 'most', limit[2])
            if before then table.insert(changed, limit[1]) end
        end
    end
    local is_new = redis.call('EXISTS', '<line>' .. line) == 0
    redis.call('ZADD', '<line>' .. line, ticket, ticket)
    if is_new then
        local turn = 0
        redis.call('SADD', '<all-lines>', line)
        for _, limit in ipairs(limits_of(line)) do
            redis.call('SADD', '<lines>' .. limit, line)
            local first = redis.call('ZRANGE', '<waiting>' .. limit, 0, 0, 'WITHSCORES')
            turn = math.max(turn, tonumber(first[2] or '0'))
            turn = math.max(turn, tonumber(redis.call('HGET', '<limit>' .. limit, 'turn') or '0'))
        end
        redis.call('HSET', '<place>' .. line, 'turn', turn)
        local full = full_one(line)
        if full then park(line, full) else serve(line) end
    else
        park(line, redis.call('HGET', '<place>' .. line, 'at'))
    end
    for _, limit in ipairs(changed) do let_in(limit) end
end
local function leave(ticket)
    local line = redis.call('HGET', '<slots>', ticket)
    if line then
        redis.call('HDEL', '<slots>', ticket)
        for _, limit in ipairs(limits_of(line)) do redis.call('HINCRBY', '<limit>' .. limit, 'used', -1) end
        for _, limit in ipairs(limits_of(line)) do let_in(limit) end
        return 1
    end
    line = redis.call('HGET', '<task>' .. ticket, 'line')
    if not line or redis.call('ZREM', '<line>' .. line, ticket) == 0 then return 0 end
    if redis.call('EXISTS', '<line>' .. line) == 1 then
        park(line, redis.call('HGET', '<place>' .. line, 'at'))
    else
        dissolve(line)
    end
    return 1
end
""".replace("<limit>", keys.limit(""))
    .replace("<lines>", keys.limit_lines(""))
    .replace("<waiting>", keys.waiting(""))
    .replace("<line>", keys.line(""))
    .replace("<place>", keys.place(""))
    .replace("<slots>", keys.SLOTS)
    .replace("<all-lines>", keys.LINES)
    .replace("<task>", keys.TASK_PREFIX)
    .replace("<job>", f"{RQ_KEY_PREFIX}:job:")
    .replace("<queues>", f"{RQ_KEY_PREFIX}:queues")
    .replace("<queue>", f"{RQ_KEY_PREFIX}:queue:")
)

#: A job that was just stored waits for its limits. ARGV: ticket.
ENTER = LUA + "enter(ARGV[1], true)"

#: A job gives its slots back, or stops waiting. Answers 1 where it had some or did. ARGV: ticket.
LEAVE = LUA + "return leave(ARGV[1])"

#: A job whose pause is over waits for its limits again. Answers 1 where that was not done before.
#: KEYS: RQ's scheduled jobs, RQ's job. ARGV: ticket.
RESUME = (
    LUA
    + """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('HGET', KEYS[2], 'status') ~= 'scheduled' then return 0 end
redis.call('HSET', KEYS[2], 'status', 'rate_limited')
enter(ARGV[1], false)
return 1
"""
)

#: Like LEAVE, but only for a job that nobody can be at: it has no record, or that says that it has ended.
#: KEYS: task. ARGV: ticket.
LEAVE_ENDED = (
    LUA
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'queued' or state == 'running' then return 0 end
return leave(ARGV[1])
"""
)

#: Where a job is among those that wait for a limit. Answers how many of them come before it, -1: it is none of them.
#: KEYS: task, lines of the limit. ARGV: ticket, start of the lines' keys, of their places'.
AHEAD = """
local own = redis.call('HGET', KEYS[1], 'line')
local rank = own and redis.call('ZRANK', ARGV[2] .. own, ARGV[1])
if not rank then return -1 end
local turn = tonumber(redis.call('HGET', ARGV[3] .. own, 'turn')) + rank
local before = rank
for _, line in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    if line ~= own then
        local length = redis.call('ZCARD', ARGV[2] .. line)
        -- In each turn before ours one of theirs; in ours, who came first.
        local turns = turn - tonumber(redis.call('HGET', ARGV[3] .. line, 'turn'))
        if turns >= 0 and turns < length then
            local theirs = redis.call('ZRANGE', ARGV[2] .. line, turns, turns)[1]
            if tonumber(theirs) < tonumber(ARGV[1]) then turns = turns + 1 end
        end
        before = before + math.max(0, math.min(turns, length))
    end
end
return before
"""

#: The jobs that have a slot of a limit, and wait for a worker only. KEYS: slots. ARGV: limit, start of tasks' keys.
LET_IN = """
local found, slots = {}, redis.call('HGETALL', KEYS[1])
for at = 1, #slots, 2 do
    local names = cjson.decode(slots[at + 1])
    for number = 2, #names do
        if names[number] == ARGV[1] and redis.call('HGET', ARGV[2] .. slots[at], 'state') == 'queued' then
            table.insert(found, slots[at])
        end
    end
end
return found
"""


def fields(spec: JobSpec, limits: tuple[Limit, ...]) -> dict[str, str]:
    """What the record says of a job's limits."""
    names = sorted({limit.key for limit in limits})
    return {
        "line": json.dumps([spec.owner, *names], separators=(",", ":")),
        "limits": json.dumps([[limit.key, limit.most] for limit in limits], separators=(",", ":")),
    }


def enter(ticket: int, pipeline: Pipeline) -> None:
    """A job that the same pipeline stores waits for its limits, or goes to its queue at once."""
    pipeline.eval(ENTER, 0, str(ticket))


def leave(ticket: int, client: Pipeline | redis.Redis) -> None:
    """A job gives its slots back, or stops waiting for them."""
    client.eval(LEAVE, 0, str(ticket))


def leave_ended(ticket: int | str, client: Pipeline | redis.Redis) -> Any:
    """A job that has ended, or is no more, gives back what it may still hold. True (1) where it held something."""
    return client.eval(LEAVE_ENDED, 1, keys.task(ticket), str(ticket))


def resume(ticket: str, scheduled_key: str, connection: redis.Redis) -> bool:
    """A job that was to pause until now waits for its limits again. False where somebody else has seen to that."""
    names = (scheduled_key, f"{RQ_KEY_PREFIX}:job:{ticket}")
    return bool(connection.eval(RESUME, 2, *names, ticket))


def places(limit_key: str, tickets: Sequence[int], connection: redis.Redis) -> dict[int, int]:
    """How many of those that share a limit are to begin before each of the given jobs; without those that do not wait.

    By turns, and as it stands: one that waits for another limit as well may be overtaken, and whoever has fewer waiting
    may still come before. One that has all its slots waits for nothing but a worker.
    """
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.eval(LET_IN, 1, keys.SLOTS, limit_key, keys.TASK_PREFIX)
        for ticket in tickets:
            names = (keys.task(ticket), keys.limit_lines(limit_key))
            pipeline.eval(AHEAD, 2, *names, ticket, keys.line(""), keys.place(""))
        members, *ahead = pipeline.execute()
    let_in = {ticket: number for number, ticket in enumerate(sorted(int(member) for member in members))}
    behind = {ticket: len(let_in) + before for ticket, before in zip(tickets, ahead, strict=True) if before >= 0}
    return {ticket: let_in[ticket] for ticket in tickets if ticket in let_in} | behind


def held_back(connection: redis.Redis) -> int:
    """How many jobs wait for their limits."""
    lines: Any = connection.smembers(keys.LINES)
    with connection.pipeline(transaction=False) as pipeline:
        for line in lines:
            pipeline.zcard(keys.line(line.decode()))
        return sum(pipeline.execute())


def tend(connection: redis.Redis) -> list[str]:
    """Free the slots of jobs that have ended or are no more, and answer their tickets.

    Each end frees its own; this is for jobs that were forgotten while their worker died. At most one look in
    TEND_SECONDS, whoever calls.
    """
    if not connection.set(keys.TENDED, 1, nx=True, ex=TEND_SECONDS):
        return []
    freed, cursor = [], 0
    while True:
        answer: Any = connection.hscan(keys.SLOTS, cursor, count=TEND_AT_ONCE)
        cursor, tickets = answer[0], [ticket.decode() for ticket in answer[1]]
        with connection.pipeline(transaction=False) as pipeline:
            for ticket in tickets:
                pipeline.hget(keys.task(ticket), "state")
            states = pipeline.execute()
        for ticket, state in zip(tickets, states, strict=True):
            if state not in (b"queued", b"running") and leave_ended(ticket, connection):
                freed.append(ticket)
        if not cursor:
            return freed
