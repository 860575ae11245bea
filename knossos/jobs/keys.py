"""Every Redis key of the job engine: its type, contents, life and writers. No key literal stands elsewhere.

RQ's own keys (``rq:job:*``, ``rq:queue:*``, ``rq:wip:*`` ...) belong to RQ: they transport and time the jobs. Those
below are the engine's: what a job *is* and what happened in it.

=========================  =======  ================================================================================
key                        type     contents; life; written by
=========================  =======  ================================================================================
knossos:ticket             string   the last ticket given out; for ever; ``Engine.submit``
knossos:tasks              zset     every ticket, scored by itself; members leave with their task; submit, forget
knossos:tasks:<owner>      zset     the same for one owner
knossos:kind:<kind>        zset     the same for one kind of jobs
knossos:open               zset     tickets that have not ended, by when they were submitted; submit, ``scripts.MOVE``
knossos:ended              zset     tickets that have ended, by when; until they are forgotten; ``scripts.MOVE``
knossos:sweep              string   where the next look for stray keys begins; a week; ``retention.py``
knossos:task:<ticket>      hash     the record (see ``records.py``) and the bookkeeping of its events: ``fence`` (id of
                                    the execution that may write), ``seq`` (last event number of that execution),
                                    ``lines``, ``head`` (where cutting the log goes on), ``last:<type>`` (entry of which
                                    only the newest is kept), ``question``, ``question_id``, ``answered``, ``cancel``,
                                    ``cancel_failure``, ``then``, ``line`` and ``limits`` (where it waits for what),
                                    ``request`` (id of the request that submitted it), ``again`` (the task as which it
                                    was started once more), ``terminate`` and ``kill`` (how often somebody wished that
                                    its program gets that signal, in this attempt), ``withheld`` (there: kept for
                                    operators only; ``Engine.withhold``); expires when its task has ended for long
                                    enough; the scripts of ``scripts.py``
knossos:events:<ticket>    stream   what happened, oldest first; lives as long as the record; scripts
knossos:result:<ticket>    string   the result as JSON, deflated; lives as long as the record; scripts
knossos:answer:<t>:<q>     list     answers to question q of task t; an hour; ``Engine.answer``
knossos:limit:<key>        hash     a limit: ``most``, ``used`` (slots that are taken), ``turn`` (the latest that was
                                    let in); while a slot is taken or a job waits; ``limits.py``, as all below
knossos:limit-lines:<key>  set      the lines whose jobs have this limit; while they have some
knossos:waiting:<key>      zset     the lines that wait at this limit, after the ticket of their first, scored by turn
knossos:line:<line>        zset     tickets of the jobs that wait in a line, scored by themselves. A line's name is the
                                    JSON of its owner and its limits' keys
knossos:lines              set      all lines; each while a job waits in it
knossos:place:<line>       hash     ``turn`` of a line, ``at`` which limit it waits and its ``member`` there
knossos:slots              hash     ticket of each job that has its slots -> its line; until it ends or pauses
knossos:tended             string   there for some seconds after somebody has looked for slots that nobody needs
knossos:counts             hash     figures for the operator; for ever; ``scripts.MOVE`` and ``counts.py``
knossos:sizes:<host>       string   what a machine's folders hold, as JSON; a quarter of an hour; ``operating.disks``
knossos:wake               channel  the ticket of a task with a new event and, where that is short, the event: a wake-up
                                    only, never the truth; the scripts of ``scripts.py``, ``Engine.forget``
=========================  =======  ================================================================================
"""

from __future__ import annotations

PREFIX = "knossos:"

#: Counter of tickets.
TICKET = PREFIX + "ticket"
#: Index of all tasks.
TASKS = PREFIX + "tasks"
#: Jobs that have not ended, and those that have, by age.
OPEN = PREFIX + "open"
ENDED = PREFIX + "ended"
#: Where the next look for stray keys begins.
SWEEP = PREFIX + "sweep"
#: Counters of all processes.
COUNTS = PREFIX + "counts"
#: Publish/subscribe channel that says which task has new events.
WAKE = PREFIX + "wake"
#: Which jobs have the slots of their limits.
SLOTS = PREFIX + "slots"
#: The lines of jobs that wait for their limits.
LINES = PREFIX + "lines"
#: There while it is too early to look for forgotten slots again.
TENDED = PREFIX + "tended"
#: Start of every record's key, for scripts that must build one.
TASK_PREFIX = PREFIX + "task:"
#: Start of every event stream's key.
EVENTS_PREFIX = PREFIX + "events:"


def task(ticket: int | str) -> str:
    """Hash with the record of a task."""
    return f"{TASK_PREFIX}{ticket}"


def tasks_of(owner: str) -> str:
    """Index of one owner's tasks."""
    return f"{PREFIX}tasks:{owner}"


def tasks_of_kind(kind: str) -> str:
    """Index of the tasks of one kind."""
    return f"{PREFIX}kind:{kind}"


def events(ticket: int | str) -> str:
    """Stream of what happened in a task."""
    return f"{EVENTS_PREFIX}{ticket}"


def result(ticket: int | str) -> str:
    """The result of a task that succeeded."""
    return f"{PREFIX}result:{ticket}"


def answer(ticket: int | str, question: str) -> str:
    """List into which the answer to a question is pushed."""
    return f"{PREFIX}answer:{ticket}:{question}"


def limit(key: str) -> str:
    """A limit, and how much of it is taken."""
    return f"{PREFIX}limit:{key}"


def limit_lines(key: str) -> str:
    """All lines whose jobs have a limit."""
    return f"{PREFIX}limit-lines:{key}"


def waiting(key: str) -> str:
    """The lines that wait at a limit."""
    return f"{PREFIX}waiting:{key}"


def line(name: str) -> str:
    """The jobs that wait in a line."""
    return f"{PREFIX}line:{name}"


def place(name: str) -> str:
    """Where a line waits."""
    return f"{PREFIX}place:{name}"


def sizes_of(host: str) -> str:
    """What the folders of a machine hold; with ":counting" behind it the lock of who counts."""
    return f"{PREFIX}sizes:{host}"
