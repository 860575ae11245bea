"""What of the engine's may be removed, and its removal. Safe to run twice at once, and while workers work.

What always holds: the work grows with what is to be removed, not with what is there. What has aged is found in two
indices; what belongs to no job, as after a power cut or an eviction, is looked for in SWEEP_KEYS keys at the most, and
the next run goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from knossos.jobs import keys, workspace
from knossos.jobs.engine import PAGE, Engine
from knossos.jobs.states import JobState
from knossos.jobs.stray_keys import sweep


@dataclass(frozen=True)
class Purged:
    """What a purge did: the tickets it removed and gave up, how many stray keys and which folders it removed."""

    removed: tuple[int, ...]
    expired: tuple[int, ...]
    stray_keys: int
    folders: tuple[str, ...]

    def counts(self) -> list[tuple[str, int]]:
        """What was removed and how much of it, in words."""
        return [
            ("ended tasks", len(self.removed)),
            ("unfinished tasks that were given up", len(self.expired)),
            ("logs, results and index entries that belonged to no task", self.stray_keys),
            ("work folders of workers that are gone", len(self.folders)),
        ]


def purge(engine: Engine, now: float | None = None) -> Purged:
    """Remove ended jobs older than RESULT_LIFETIME; give up unfinished ones older than TASK_LIFETIME.

    Those that failed stay for operators, and for nobody else, until FAILED_LIFETIME has passed.

    ``now`` is the Unix time to judge by (default: the clock's). Also removes index entries, results and event streams
    that belong to no job, and work folders whose process is gone.
    """
    at = time.time() if now is None else now
    settings = engine.settings
    removed = _remove_ended(engine, at - settings.result_lifetime, at - settings.failed_lifetime)
    expired = _give_up(engine, at - settings.task_lifetime)
    return Purged(removed, expired, sweep(engine), tuple(left.name for left in workspace.sweep(settings.work_folder)))


def _remove_ended(engine: Engine, before: float, failed_before: float) -> tuple[int, ...]:
    removed = []
    for tickets in _aged(engine, keys.ENDED, before):
        there = {record.ticket: record for record in engine.records(tickets)}
        kept = [one for one in there.values() if one.state is JobState.FAILED and (one.ended_at or 0) >= failed_before]
        engine.withhold([record for record in kept if not record.withheld])
        gone = set(tickets) - {record.ticket for record in kept}
        for ticket in gone:
            engine.forget(ticket)
        removed += [ticket for ticket in tickets if ticket in gone and ticket in there]
    return tuple(removed)


def _give_up(engine: Engine, before: float) -> tuple[int, ...]:
    expired = []
    hours = engine.settings.task_lifetime / 3600
    for tickets in _aged(engine, keys.OPEN, before):
        records = {record.ticket: record for record in engine.records(tickets)}
        for ticket in tickets:
            if ticket not in records:
                engine.forget(ticket)
            elif not records[ticket].state.finished and engine.expire(
                ticket, f"The task was not finished within {hours:g} hours."
            ):
                expired.append(ticket)
    return tuple(expired)


def _aged(engine: Engine, index: str, before: float) -> Iterator[list[int]]:
    """Tickets of an index from before a time, some at once."""
    entries: Any = engine.redis.zrange(index, "-inf", f"({before!r}", byscore=True)
    tickets = [int(entry) for entry in entries if entry.isdigit()]
    for start in range(0, len(tickets), PAGE):
        yield tickets[start : start + PAGE]
