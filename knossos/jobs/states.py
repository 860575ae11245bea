"""The life of a job: its states and the moves between them that are allowed."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life."""

    #: Accepted; waits for a worker, for a free slot of its owner, for a retry, or for the job it follows.
    QUEUED = "queued"
    #: A worker is at it.
    RUNNING = "running"
    #: Ended well; its result is there.
    SUCCEEDED = "succeeded"
    #: Ended badly; its failure says why.
    FAILED = "failed"
    #: Somebody ended it.
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """True for the states that nothing leaves."""
        return not MOVES[self]


class Signal(StrEnum):
    """What the program that a running job has started can be sent."""

    #: It is asked to end: SIGTERM, which it may answer as it likes.
    TERMINATE = "terminate"
    #: It is ended: SIGKILL.
    KILL = "kill"


#: From each state, the states that may follow. RUNNING goes back to QUEUED when its worker was lost or handed it back.
MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


def states_before(state: JobState) -> tuple[JobState, ...]:
    """The states from which a job may come into ``state``."""
    return tuple(before for before, after in MOVES.items() if state in after)
