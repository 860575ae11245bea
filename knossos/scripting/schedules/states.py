"""The words of schedules, and schedules as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from knossos.errors import AccessDenied, KnossosError, NotFound
from knossos.scripting.notices.states import Wanted
from knossos.scripting.plan import RunKind, RunOutcome
from knossos.scripting.schedules.when import When


class FiringState(StrEnum):
    """What became of a time at which a schedule was due. Claimed leads to all others; nothing leaves those."""

    #: Somebody has it run.
    CLAIMED = "claimed"
    #: Its run was accepted; what came of it is the run's outcome.
    STARTED = "started"
    #: Nothing was run: the run before it still went on.
    SKIPPED = "skipped"
    #: Nothing was run: the time had been over for longer than SCHEDULE_GRACE_SECONDS when somebody looked.
    MISSED = "missed"
    #: Nothing was run: it could not be started.
    REFUSED = "refused"


class NoSuchSchedule(NotFound):
    """There is no schedule ``schedule_id`` (any more), or it is somebody else's."""

    code = "no_such_schedule"


class TooManySchedules(KnossosError):
    """The account has as many schedules as one may have, ``most``."""

    code = "too_many_schedules"


class StillRunning(KnossosError):
    """The schedule's run before, ``run_id``, still goes on."""

    code = "still_running"


class NotAllowed(AccessDenied):
    """The account may not, or not any more, run what the schedule is for."""

    code = "not_allowed"


@dataclass(frozen=True)
class Firing:
    """A time at which a schedule was due. Times are Unix time in seconds."""

    firing_id: str
    schedule_id: str
    due_at: float
    claimed_at: float
    by_hand: bool
    state: FiringState
    text: str
    run_id: str
    outcome: RunOutcome | None
    exit_code: int | None
    ended_at: float | None

    @property
    def ended_well(self) -> bool:
        return self.outcome is RunOutcome.EXITED and self.exit_code == 0


@dataclass(frozen=True)
class Schedule:
    """A schedule as it stands. Times are Unix time in seconds."""

    schedule_id: str
    user_id: int
    name: str
    kind: RunKind
    target: str
    arguments: tuple[str, ...]
    form: Mapping[str, Any] | None
    content_key: str
    when: When
    #: None: it is off.
    next_at: float | None
    #: Why it is off, where nobody has switched it off.
    stopped: str
    notices: Wanted
    created_at: float
    changed_at: float
    #: The newest time that it came to.
    last: Firing | None = None

    @property
    def is_on(self) -> bool:
        return self.next_at is not None
