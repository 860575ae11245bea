"""The one place that writes records and events: Python's side of ``scripts.py``.

A ledger speaks through a Redis client or, given a pipeline, inside RQ's own transaction, so that what RQ believes and
what users see change at the same moment. It decides nothing: which move is right is its callers' business, whether it
is allowed the script checks.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError
from rq.defaults import RQ_KEY_PREFIX

from knossos.jobs import keys, scripts
from knossos.jobs.records import JobFailure
from knossos.jobs.states import JobState, Signal, states_before

if TYPE_CHECKING:
    import redis
    from redis.client import Pipeline

#: In a ``state`` event's data this text stands for the number of the attempt, which only the script knows.
ATTEMPT = "$attempt"
#: Seconds for which an answer waits for its job.
ANSWER_SECONDS = 3600
#: By this Redis knows the script that is sent at each line of a log: its text is longer than all that goes with it, and
#: Redis would take its hash each time.
_APPEND_HASH = hashlib.sha1(scripts.APPEND.encode(), usedforsecurity=False).hexdigest()


class Ledger:
    """Writes what happens to jobs. ``keep_seconds`` is how long an ended job stays in Redis at the most."""

    def __init__(self, connection: redis.Redis, keep_seconds: int) -> None:
        self.connection = connection
        self.keep_seconds = keep_seconds

    def append(
        self,
        ticket: int,
        fence: str,
        seq: int,
        kind: str,
        data: dict[str, Any],
        *,
        only_last: bool = False,
        max_lines: int = 0,
        field: str = "",
    ) -> str:
        """Add an event of the running job. Answers ``ok``, ``cancelled`` or ``superseded``.

        ``seq`` counts the events of this execution from 1: one that is already stored is not stored again.
        """
        keep = "last" if only_last else "all"
        told = (fence, seq, kind, dumps(data), keep, keys.WAKE, ticket, max_lines, field)
        arguments = (2, keys.task(ticket), keys.events(ticket), *told)
        try:
            answer = self.connection.evalsha(_APPEND_HASH, *arguments)
        except NoScriptError:
            answer = self.connection.eval(scripts.APPEND, *arguments)
        return _text(answer)

    def start(self, ticket: int, fence: str, worker: str, pipeline: Pipeline) -> None:
        """A worker begins. Refused where the job has ended or another worker has it: then the fence is not ours."""
        data = {"state": JobState.RUNNING, "attempt": ATTEMPT, "text": "A worker has started this task."}
        self._move(pipeline, ticket, JobState.RUNNING, "state", data, new_fence=fence, worker=worker)

    def succeed(self, ticket: int, fence: str, result: Any, pipeline: Pipeline) -> None:
        """The job returned ``result``."""
        data = {"success": True, "state": JobState.SUCCEEDED, "failure": None}
        packed = zlib.compress(dumps(result).encode(), 1)
        self._move(pipeline, ticket, JobState.SUCCEEDED, "done", data, fence=fence, result=packed)

    def fail(self, ticket: int, fence: str, failure: JobFailure, client: Pipeline | redis.Redis) -> bool:
        """The job is over for a reason that it could not help, or nobody could. True where that is certain already."""
        return self._end_badly(ticket, JobState.FAILED, fence, failure, client)

    def cancelled(self, ticket: int, fence: str, failure: JobFailure, client: Pipeline | redis.Redis) -> bool:
        """The job is over because somebody wanted that. True where that is certain already, not in a pipeline."""
        return self._end_badly(ticket, JobState.CANCELLED, fence, failure, client)

    def requeue(self, ticket: int, fence: str, text: str, pipeline: Pipeline) -> None:
        """The job goes back to its queue; ``text`` tells its watchers why."""
        data = {"state": "retrying", "attempt": ATTEMPT, "text": text}
        self._move(pipeline, ticket, JobState.QUEUED, "state", data, fence=fence)

    def want_cancelled(self, ticket: int, failure: JobFailure) -> str:
        """Note that a running job shall end. Answers the state it has, or ``missing``."""
        arguments = (keys.task(ticket), self.keep_seconds, failure.model_dump_json())
        return _text(self.connection.eval(scripts.CANCEL, 1, *arguments))

    def want_signal(self, ticket: int, which: Signal) -> str:
        """Note that the program of a running job shall get a signal. Answers the state it has, or ``missing``."""
        return _text(self.connection.eval(scripts.SIGNAL, 1, keys.task(ticket), which))

    def ask(self, ticket: int, fence: str, question: str, kind: str, data: dict[str, Any]) -> str:
        """Put a question to whoever watches. Answers ``ok`` or ``superseded``."""
        body = dumps({"id": question, "kind": kind, "data": data})
        return self._question(scripts.ASK, ticket, fence, question, body)

    def take_back(self, ticket: int, fence: str, question: str) -> str:
        """The question is answered, or nobody will answer it."""
        return self._question(scripts.TAKE_BACK, ticket, fence, question, dumps({"id": question}))

    def answer(self, ticket: int, value: str, question: str) -> bool:
        """Answer the open question. False where none is open, it is not ``question``, or it is answered already."""
        prefix = keys.answer(ticket, "")
        return bool(self.connection.eval(scripts.ANSWER, 1, keys.task(ticket), question, value, prefix, ANSWER_SECONDS))

    def _question(self, script: str, ticket: int, fence: str, question: str, body: str) -> str:
        names = (keys.task(ticket), keys.events(ticket))
        return _text(self.connection.eval(script, 2, *names, fence, question, body, keys.WAKE, ticket))

    def _end_badly(
        self, ticket: int, state: JobState, fence: str, failure: JobFailure, client: Pipeline | redis.Redis
    ) -> bool:
        data = {"success": False, "state": state, "failure": failure.model_dump(mode="json")}
        answer = self._move(client, ticket, state, "done", data, fence=fence, failure=failure.model_dump_json())
        return isinstance(answer, bytes) and answer.decode() == state

    def _move(
        self,
        client: Pipeline | redis.Redis,
        ticket: int,
        state: JobState,
        kind: str,
        data: dict[str, Any],
        *,
        fence: str = "",
        new_fence: str = "",
        failure: str = "",
        result: bytes = b"",
        worker: str = "",
    ) -> Any:
        return client.eval(
            scripts.MOVE,
            3,
            keys.task(ticket),
            keys.events(ticket),
            keys.result(ticket),
            state,
            ",".join(states_before(state)),
            fence,
            new_fence,
            f"{time.time():.6f}",
            kind,
            dumps(data),
            keys.WAKE,
            ticket,
            self.keep_seconds,
            failure,
            result,
            worker,
            f"{RQ_KEY_PREFIX}:job:",
        )


#: Made once: ``json.dumps`` makes one for each call that wants anything of its own.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def dumps(value: Any) -> str:
    """JSON as it is stored: compact, and never with numbers that JSON does not know."""
    return _ENCODER.encode(value)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
