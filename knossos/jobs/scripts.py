"""The Lua scripts that write records and events: each one atomic, each one safe to send twice.

Two rules hold in all of them. A *fence*, the id of the execution that runs the job, goes with everything that a running
job writes; once the job was given to another worker the old fence is refused, so a worker that was only cut off can
neither log nor finish. And a state is entered only from a state that allows it (``states.MOVES``), so that a job has
exactly one outcome.
"""

from __future__ import annotations

from knossos import tally
from knossos.jobs import keys
from knossos.jobs.limits import LUA

#: Ends in seconds of the buckets in which waiting times and durations of jobs are counted.
SECONDS = (0.1, 1, 5, 30, 120, 600, 3600, 21600)

#: Counts for the operator: ``count`` and ``observe`` (a number of seconds).
_COUNTING = """
local function count(figure, label, last)
    redis.call('HINCRBY', '$counts', table.concat({figure, label, last}, '$separator'), 1)
end
local function observe(figure, label, seconds)
    local bucket = '$above'
    for limit in string.gmatch('$seconds', '[^,]+') do
        if seconds <= tonumber(limit) then
            bucket = limit
            break
        end
    end
    count(figure, label, bucket)
    local sum = table.concat({figure, label, '$sum'}, '$separator')
    redis.call('HINCRBYFLOAT', '$counts', sum, string.format('%.6f', math.max(0, seconds)))
end
"""
for _name, _value in {
    "$counts": keys.COUNTS,
    "$separator": tally.SEPARATOR,
    "$above": tally.ABOVE,
    "$seconds": ",".join(f"{limit:g}" for limit in SECONDS),
    "$sum": tally.SUM,
}.items():
    _COUNTING = _COUNTING.replace(_name, _value)

#: Bytes of an event's data that travel with its announcement; longer ones are read from the stream.
ANNOUNCED_BYTES = 1024

#: ``add`` an event to the stream KEYS[2] and announce it, see ``events.py`` for the form. Answers the event's id.
#: Arguments: wake channel, ticket, type, data, and the line's number (nil for what is no line of the log).
_ADDING = """
local function add(channel, ticket, kind, data, line)
    local before = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
    local fields = {'type', kind, 'data', data}
    if line then fields[5], fields[6] = 'line', line end
    local id = redis.call('XADD', KEYS[2], '*', unpack(fields))
    local told = ticket
    if #data <= $announced then
        told = table.concat({ticket, before and before[1] or '0-0', id, line or '', kind, data}, ' ')
    end
    redis.call('PUBLISH', channel, told)
    return id
end
""".replace("$announced", str(ANNOUNCED_BYTES))

#: Append an event. Answers ``ok``, ``cancelled`` (stored, but the job should end) or ``superseded`` (refused).
#: KEYS: task, events. ARGV: fence, seq, type, data, keep (all | last), wake channel, ticket, max lines, record field
#: that repeats the data ("" for none).
APPEND = (
    _ADDING
    + """
local fields = redis.call('HMGET', KEYS[1], 'fence', 'seq', 'cancel', 'lines')
if fields[1] ~= ARGV[1] then return 'superseded' end
local answer = fields[3] and 'cancelled' or 'ok'
if tonumber(ARGV[2]) <= tonumber(fields[2] or '0') then return answer end
if ARGV[3] == 'log' then
    local line = (fields[4] or 0) + 1
    redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'lines', line)
    local id = add(ARGV[6], ARGV[7], ARGV[3], ARGV[4], line)
    local limit = tonumber(ARGV[8])
    if line == math.floor(limit / 2) then
        redis.call('HSET', KEYS[1], 'head', id)
    elseif line > limit then
        -- The oldest line after the first half goes. 'head' moves past it, and past what is no line, for good.
        local head, cut = redis.call('HGET', KEYS[1], 'head'), false
        while not cut do
            local entry = redis.call('XRANGE', KEYS[2], '(' .. head, '+', 'COUNT', 1)[1]
            head = entry[1]
            if entry[2][2] == 'log' then
                redis.call('XDEL', KEYS[2], head)
                cut = true
            end
        end
        redis.call('HSET', KEYS[1], 'head', head)
    end
else
    redis.call('HSET', KEYS[1], 'seq', ARGV[2])
    if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], ARGV[9], ARGV[4]) end
    local id = add(ARGV[6], ARGV[7], ARGV[3], ARGV[4])
    if ARGV[5] == 'last' then
        local field = 'last:' .. ARGV[3]
        local before = redis.call('HGET', KEYS[1], field)
        if before then redis.call('XDEL', KEYS[2], before) end
        redis.call('HSET', KEYS[1], field, id)
    end
end
return answer
"""
)

#: Move a job to another state. Answers the state that the job has now; a refused move answers ``!`` and that state.
#: KEYS: task, events, result. ARGV: new state, states that may come before (comma-separated), fence that must hold
#: ("" for any), fence from now on ("" for none), time, event type, event data, wake channel, ticket, seconds to keep
#: ("" while it is unfinished), failure ("" for none), result ("" for none), worker, prefix of RQ's jobs.
MOVE = (
    _COUNTING
    + LUA
    + _ADDING
    + """
local fields = redis.call('HMGET', KEYS[1], 'state', 'fence', 'cancel', 'then', 'question', 'kind', 'queue',
    'changed_at', 'started_at')
local state = fields[1]
if not state then return '!missing' end
if ARGV[4] ~= '' and state == ARGV[1] and fields[2] == ARGV[4] then return state end
if not string.find(',' .. ARGV[2] .. ',', ',' .. state .. ',', 1, true) then return '!' .. state end
if ARGV[3] ~= '' and fields[2] ~= ARGV[3] then return '!' .. state end
local target, kind, data, failure, keep = ARGV[1], ARGV[6], ARGV[7], ARGV[11], ARGV[10]
if target == 'queued' and fields[3] then
    -- Its worker is gone and somebody had cancelled it: it does not start again.
    target, kind, keep = 'cancelled', 'done', fields[3]
    failure = redis.call('HGET', KEYS[1], 'cancel_failure')
    data = '{"success": false, "state": "cancelled", "failure": ' .. failure .. '}'
end
redis.call('HSET', KEYS[1], 'state', target, 'changed_at', ARGV[5], 'fence', ARGV[4], 'seq', 0)
if fields[5] then
    redis.call('XDEL', KEYS[2], fields[5])
    redis.call('HDEL', KEYS[1], 'question', 'question_id')
end
if target == 'running' then
    redis.call('HINCRBY', KEYS[1], 'attempt', 1)
    redis.call('HSET', KEYS[1], 'started_at', ARGV[5], 'worker', ARGV[13])
    redis.call('HDEL', KEYS[1], 'progress', 'terminate', 'kill')
    for _, type in ipairs({'progress', 'files'}) do
        local before = redis.call('HGET', KEYS[1], 'last:' .. type)
        if before then
            redis.call('XDEL', KEYS[2], before)
            redis.call('HDEL', KEYS[1], 'last:' .. type)
        end
    end
end
local attempt = redis.call('HGET', KEYS[1], 'attempt')
add(ARGV[8], ARGV[9], kind, (string.gsub(data, '"%$attempt"', attempt)))
if kind == 'done' then
    redis.call('HSET', KEYS[1], 'ended_at', ARGV[5])
    if failure ~= '' then redis.call('HSET', KEYS[1], 'failure', failure) end
    if ARGV[12] ~= '' then redis.call('SET', KEYS[3], ARGV[12], 'EX', keep) end
    if target == 'succeeded' and redis.call('EXPIRE', ARGV[14] .. ARGV[9], keep) == 1 then
        redis.call('HSET', ARGV[14] .. ARGV[9], 'status', 'finished')
    end
    redis.call('EXPIRE', KEYS[1], keep)
    redis.call('EXPIRE', KEYS[2], keep)
    redis.call('ZREM', '<open>', ARGV[9])
    redis.call('ZADD', '<ended>', ARGV[5], ARGV[9])
    if fields[4] then
        local follower = fields[4]
        if redis.call('HGET', ARGV[14] .. follower, 'status') == 'deferred' then
            redis.call('HSET', ARGV[14] .. follower, 'status', 'rate_limited')
            enter(follower, true)
        end
    end
    leave(ARGV[9])
end
if target == 'running' then
    observe('job_wait', fields[7], ARGV[5] - fields[8])
elseif kind == 'done' then
    count('jobs', fields[6], target)
    if state == 'running' then observe('job_time', fields[6], ARGV[5] - fields[9]) end
else
    count('job_restarts', fields[6])
end
return target
""".replace("<open>", keys.OPEN).replace("<ended>", keys.ENDED)
)

#: Ask for the end of a running job. Answers its state; only where that is ``running`` the wish is noted.
#: KEYS: task. ARGV: seconds to keep it once it has ended, failure.
CANCEL = """
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'running' then
    redis.call('HSETNX', KEYS[1], 'cancel', ARGV[1])
    redis.call('HSETNX', KEYS[1], 'cancel_failure', ARGV[2])
end
return state or 'missing'
"""

#: Wish that the program of a running job gets a signal. Answers the job's state; only where that is ``running`` the
#: wish is counted.
#: KEYS: task. ARGV: "terminate" or "kill".
SIGNAL = """
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'running' then redis.call('HINCRBY', KEYS[1], ARGV[1], 1) end
return state or 'missing'
"""

#: Put a question to the user; like APPEND, but it can be taken back.
#: KEYS: task, events. ARGV: fence, question id, data, wake channel, ticket.
ASK = (
    _ADDING
    + """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 'superseded' end
if redis.call('HGET', KEYS[1], 'question_id') == ARGV[2] then return 'ok' end
local id = add(ARGV[4], ARGV[5], 'question', ARGV[3])
redis.call('HSET', KEYS[1], 'question', id, 'question_id', ARGV[2])
return 'ok'
"""
)

#: Take a question back: late watchers do not see it any more, those who saw it are told.
#: KEYS: task, events. ARGV: fence, question id, data, wake channel, ticket.
TAKE_BACK = (
    _ADDING
    + """
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 'superseded' end
if redis.call('HGET', KEYS[1], 'question_id') ~= ARGV[2] then return 'ok' end
redis.call('XDEL', KEYS[2], redis.call('HGET', KEYS[1], 'question'))
redis.call('HDEL', KEYS[1], 'question', 'question_id')
add(ARGV[4], ARGV[5], 'answered', ARGV[3])
return 'ok'
"""
)

#: Answer the open question, once. Answers 1 where it was taken.
#: KEYS: task. ARGV: question id ("" for whichever is open), answer, start of the answers' keys, seconds to keep it.
ANSWER = """
local open = redis.call('HGET', KEYS[1], 'question_id')
if not open or (ARGV[1] ~= '' and ARGV[1] ~= open) then return 0 end
if redis.call('HGET', KEYS[1], 'answered') == open then return 0 end
redis.call('HSET', KEYS[1], 'answered', open)
redis.call('RPUSH', ARGV[3] .. open, ARGV[2])
redis.call('EXPIRE', ARGV[3] .. open, ARGV[4])
return 1
"""

#: Put a job back into its queue that a worker took and never began (it died in between). Answers 1 where it did.
#: KEYS: intermediate queue, queue, RQ's job. ARGV: job id.
GIVE_BACK = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if redis.call('HGET', KEYS[3], 'status') ~= 'queued' then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
"""

#: KEYS[1] a record: mark it as kept for operators only, where it is (still) there.
WITHHOLD = """
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('HSET', KEYS[1], 'withheld', 1) end
return 0
"""
