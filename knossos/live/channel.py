"""All watchers of one job, and how far the job's events were read for them.

Owns the order: each live watcher has been sent exactly the events up to ``cursor``. What always holds: the cursor
moves *before* a batch is sent, and the batch goes to those who were live at that moment; so a watcher who joins
while it is being sent, having read up to the new cursor itself, neither misses it nor gets it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from knossos.jobs import keys
from knossos.jobs.events import Event
from knossos.live.messages import BEGINNING, Encoded, Tale
from knossos.live.watcher import CLOSE_TRY_AGAIN, Watcher

#: Watchers that are written to before others get a turn.
TURN = 100


class Channel:
    """The watchers of one job."""

    __slots__ = ("busy", "cursor", "key", "live", "members", "opened", "opening", "tale", "ticket", "unread")

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket
        self.key = keys.events(ticket)
        #: Id of the last event that the live watchers have.
        self.cursor = BEGINNING
        self.tale = Tale(line=None)
        #: Watchers that get each event as it comes.
        self.live: set[Watcher] = set()
        #: Live watchers and those who are still catching up.
        self.members: set[Watcher] = set()
        #: Finds the first cursor; ``opened`` is True once that is known.
        self.opening: asyncio.Task[None] | None = None
        self.opened = False
        #: True while a batch is being sent to many watchers.
        self.busy = False
        #: True while there may be events after the cursor.
        self.unread = False

    def admit(self, watcher: Watcher, tale: Tale) -> None:
        """Make a watcher live who has been sent everything up to the cursor, as ``tale`` told it."""
        self.live.add(watcher)
        if tale.line is not None and (self.tale.line is None or tale.line > self.tale.line):
            self.tale.line = tale.line
        if tale.question is not None:
            self.tale.question = tale.question
        if tale.ended or self.tale.ended:
            self.tale.ended = True
            watcher.close_soon()

    def take(self, events: list[Event], cursor: str) -> Batch:
        """Move to ``cursor``, the place behind ``events``; return them for those who are live now."""
        self.tale.last_id = self.cursor
        messages = Encoded(self.tale.tell(events))
        self.cursor = cursor
        return Batch(messages, cursor, list(self.live), self.tale.ended)


@dataclass(frozen=True, slots=True)
class Batch:
    """What some watchers get. ``cursor`` is the place behind it; ``ended``: the job has nothing more to say."""

    messages: Encoded
    cursor: str
    watchers: list[Watcher]
    ended: bool

    def send(self) -> None:
        """Send it to all at once."""
        self._send(self.watchers)

    async def send_in_turns(self) -> None:
        """Send it to many, and let others go on in between."""
        for start in range(0, len(self.watchers), TURN):
            self._send(self.watchers[start : start + TURN])
            await asyncio.sleep(0)

    def _send(self, watchers: Iterable[Watcher]) -> None:
        for watcher in watchers:
            _deliver(watcher, self.messages, self.cursor)
            if self.ended:
                watcher.close_soon()


def _deliver(watcher: Watcher, messages: Encoded, cursor: str) -> None:
    """Send messages to a live watcher, or drop the one for whom too much waits already."""
    if watcher.too_slow:
        watcher.close(CLOSE_TRY_AGAIN, "too slow: connect again and say which event you have seen last")
        return
    watcher.send(messages)
    watcher.after = cursor
