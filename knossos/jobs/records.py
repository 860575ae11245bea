"""A job as those who submit it describe it, and as those who ask about it see it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from knossos.jobs.states import JobState


class Limit(BaseModel):
    """Of the jobs with one ``key`` at most ``most`` are queued or running in the workers at once.

    Where jobs name one key with different numbers, the last that was submitted counts.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    most: int = Field(ge=1)


class JobSpec(BaseModel):
    """What shall be run, for whom and within which limits.

    ``function`` is a dotted name, ``package.module.function``, called as ``function(context, payload)``; ``payload``
    is JSON. A job whose worker died is started again up to ``retries`` times (None: TASK_RETRIES). With
    ``retry_delays_seconds`` it is also started again after an error, with these pauses, unless the error's
    ``retryable`` is False. Where one of its ``limits`` is reached it waits until none is; by default those of one owner
    share OWNER_CONCURRENCY. Owners whose jobs wait for the same limit take turns. ``once``: it may never be begun a
    second time, also not after its worker was told to stop; then ``retries`` is 0.
    """

    model_config = ConfigDict(frozen=True)

    function: str
    kind: str
    title: str
    owner: str
    payload: dict[str, Any] = Field(default_factory=dict)
    queue: str = "default"
    timeout_seconds: float | None = None
    retries: int | None = None
    retry_delays_seconds: tuple[int, ...] = ()
    limits: tuple[Limit, ...] = ()
    once: bool = False


class JobFailure(BaseModel):
    """Why a job ended badly: ``code`` for programs, ``message`` for people, ``details`` the ids it speaks of."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    details: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class JobRecord:
    """A job as it stands. Times are Unix times in seconds."""

    ticket: int
    kind: str
    title: str
    owner: str
    #: Whoever shows it may watch, answer and cancel.
    token: str
    queue: str
    state: JobState
    #: How often it was started, and how often it may be.
    attempt: int
    attempts: int
    created_at: float
    changed_at: float
    started_at: float | None
    ended_at: float | None
    failure: JobFailure | None
    progress: tuple[float, str] | None
    worker: str | None
    #: Id of the request that submitted it; "" where none did.
    request: str = ""
    #: Ticket of the job as which it was started once more; None where it was not.
    again: int | None = None
    #: Whether its time is over for all but operators, who still want to know why it failed.
    withheld: bool = False

    @property
    def runtime(self) -> float | None:
        """Seconds for which it ran, or has been running; None before."""
        if self.started_at is None:
            return None
        return max(0.0, (self.ended_at or time.time()) - self.started_at)

    @classmethod
    def from_hash(cls, ticket: int, fields: Mapping[bytes, bytes]) -> JobRecord:
        """Read the record from its Redis hash."""
        text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
        progress = json.loads(text["progress"]) if text.get("progress") else None
        return cls(
            ticket=ticket,
            kind=text["kind"],
            title=text["title"],
            owner=text["owner"],
            token=text["token"],
            queue=text["queue"],
            state=JobState(text["state"]),
            attempt=int(text.get("attempt", 0)),
            attempts=int(text.get("attempts", 1)),
            created_at=float(text["created_at"]),
            changed_at=float(text["changed_at"]),
            started_at=float(text["started_at"]) if text.get("started_at") else None,
            ended_at=float(text["ended_at"]) if text.get("ended_at") else None,
            failure=JobFailure.model_validate_json(text["failure"]) if text.get("failure") else None,
            progress=(float(progress["fraction"]), str(progress["text"])) if progress else None,
            worker=text.get("worker") or None,
            request=text.get("request", ""),
            again=int(text["again"]) if text.get("again") else None,
            withheld="withheld" in text,
        )
