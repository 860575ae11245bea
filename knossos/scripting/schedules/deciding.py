"""What becomes of a time at which a schedule is due. Pure: now is told, and others act on what is decided."""

from __future__ import annotations

from dataclasses import dataclass

from knossos.scripting.schedules.states import FiringState
from knossos.scripting.schedules.when import When, latest_due, next_after
from knossos.scripting.schedules.words import local_time

#: Seconds after its time from which on a run is called late.
LATE_SECONDS = 60.0


@dataclass(frozen=True)
class Decision:
    """What is to be noted of a time, and of its schedule."""

    #: Claimed: it is to be run.
    state: FiringState
    text: str
    #: The time that it stands for, Unix time in seconds.
    due_at: float
    #: When the schedule is due next; None: it is off from now on.
    next_at: float | None
    #: Why it is off.
    stopped: str


def decide(when: When, due: float, now: float, grace_seconds: float, *, goes_on: bool) -> Decision:
    """Decide on a schedule that is due.

    Args:
        due: the first time that was not decided on, not after ``now``.
        grace_seconds: for how long a time that was missed is made up for.
        goes_on: whether the run before it still goes on.
    """
    # Times that nobody saw come to one run, and the last of them says how late that is.
    latest = latest_due(when, due, now)
    next_at = None if when.at is not None else next_after(when, now)
    late = now - latest
    over = "It has had its time." if when.at is not None else "" if next_at is not None else "It never comes again."
    if late > grace_seconds:
        text = (
            f"It was due {local_time(latest, when.zone)}, and nobody was there to run it until {_duration(late)} later."
        )
        return Decision(FiringState.MISSED, text, latest, next_at, over)
    if goes_on:
        return Decision(FiringState.SKIPPED, "The run before it still went on.", latest, next_at, over)
    said = []
    if late > LATE_SECONDS:
        said.append(f"It was run {_duration(late)} late: nobody was there to run it in time.")
    if latest > due:
        said.append("Times before it were missed, and are not made up for.")
    return Decision(FiringState.CLAIMED, " ".join(said), latest, next_at, over)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return "a minute" if minutes <= 1 else f"{minutes} minutes"
    hours = round(minutes / 60)
    return f"{hours} hours" if hours < 48 else f"{round(hours / 24)} days"
