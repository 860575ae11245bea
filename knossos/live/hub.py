"""The hub: follows the events of all watched jobs and brings them to their watchers.

Owns two Redis connections, one for announcements and one for reading, whatever the number of watchers. What always
holds: a watcher gets every event after the one it named exactly once and in order. A watcher who joins is first brought
up to the channel's cursor at its own pace, and becomes live in the same step of the event loop in which it is found
to be there. An announcement that brings its event along is told at once where the channel has been told all that was
before it; any other only marks the channel as unread, and the streams of all unread channels are read together. What a
read brings that was told meanwhile is passed over. Announcements that were lost are made up for by reading everything
again after each reconnect and, slowly, always.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.exceptions import ResponseError

from knossos.jobs import keys
from knossos.jobs.events import Event
from knossos.live.channel import TURN, Batch, Channel
from knossos.live.messages import BEGINNING, Encoded, Tale, parse_announced, parse_entries, position
from knossos.live.redis_reader import RedisReader
from knossos.live.wakes import Wakes
from knossos.live.watcher import CLOSE_CRASHED, CLOSE_GOING_AWAY, CLOSE_NORMAL, Watcher

log = logging.getLogger(__name__)

#: Streams that are read by one command, and events of each: bounds what one answer holds in memory.
STREAMS = 128
EVENTS = 100
#: Events that a watcher who catches up gets at once.
REPLAY_EVENTS = 200
#: Events before the last that a client has seen among which its last log line is looked for.
LINE_SEARCH_EVENTS = 20
#: Seconds between two looks whether a channel has come to the event that one of its watchers knows already.
OVERTAKEN_SECONDS = 0.02
#: Seconds in which every open channel is read once even if nothing was announced, and in how many parts: with thousands
#: of channels each part holds up all other events for a millisecond.
SWEEP_SECONDS = 5.0
SWEEP_PARTS = 150


class Hub:
    """Brings events to watchers. ``run`` must be running for anything to happen."""

    def __init__(self, redis_url: str) -> None:
        self._reader = RedisReader(redis_url)
        self._wakes = Wakes(redis_url, keys.WAKE, self._woken, self._read_all)
        self._everyone: set[Watcher] = set()
        # By the ticket's text, as it comes in announcements.
        self._channels: dict[str, Channel] = {}
        self._unread: dict[str, Channel] = {}
        self._something = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def watchers(self) -> int:
        """Number of clients that watch."""
        return len(self._everyone)

    @property
    def channels(self) -> int:
        """Number of tasks that somebody watches."""
        return len(self._channels)

    async def ask(self, *command: str | int) -> Any:
        """Send a reading command over the hub's connection, see ``RedisReader.ask``."""
        return await self._reader.ask(*command)

    async def run(self) -> None:
        """Follow the events until cancelled. Raises what ends one of the works, which should never end."""
        works = (self._reader.run(), self._wakes.run(), self._pump(), self._sweep())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            # Again and again: asyncio.wait_for, which redis-py sends with, swallows a cancellation that comes in the
            # moment in which it is done (Python 3.11, repaired in 3.12).
            while unfinished := [task for task in tasks if not task.done()]:
                for task in unfinished:
                    task.cancel()
                await asyncio.wait(unfinished, timeout=0.1)

    # --- watchers come and go -----------------------------------------------------------------------

    def welcome(self, watcher: Watcher) -> None:
        """Count a client that has connected; ``leave`` ends it, whether or not it joins."""
        self._everyone.add(watcher)

    async def join(self, watcher: Watcher) -> None:
        """Bring a watcher up to now and keep it up to date from then on. Returns when it is live."""
        if watcher.closed:
            return
        channel = self._channels.get(str(watcher.ticket))
        if channel is None:
            channel = self._channels[str(watcher.ticket)] = Channel(watcher.ticket)
        channel.members.add(watcher)
        if channel.opening is None:
            channel.opening = self._start(self._find_end(channel))
        await asyncio.shield(channel.opening)
        if position(watcher.after) > position(channel.cursor):
            await self._catch_up_with(watcher, channel)
        tale = Tale()
        if watcher.after != BEGINNING:
            tale = Tale(line=await self._last_line(channel, watcher.after), last_id=watcher.after)
        while position(watcher.after) < position(channel.cursor) and not watcher.closed:
            target = channel.cursor
            entries = await self.ask("XRANGE", channel.key, f"({watcher.after}", target, "COUNT", REPLAY_EVENTS)
            sent = watcher.send(Encoded(tale.tell(parse_entries(entries))))
            watcher.after = entries[-1][0] if len(entries) == REPLAY_EVENTS else target
            if sent is not None:
                await sent
        # From here to the end nothing is awaited: no event can come in between.
        if not watcher.closed and watcher in channel.members:
            channel.admit(watcher, tale)

    def leave(self, watcher: Watcher) -> None:
        """Forget a client, whether or not it has joined."""
        watcher.left()
        self._everyone.discard(watcher)
        name = str(watcher.ticket)
        channel = self._channels.get(name)
        if channel is None:
            return
        channel.members.discard(watcher)
        channel.live.discard(watcher)
        if not channel.members:
            del self._channels[name]
            self._unread.pop(name, None)

    def question(self, ticket: int) -> str | None:
        """Id of the question that the watchers of a job were asked last and that is still open."""
        channel = self._channels.get(str(ticket))
        return channel.tale.question if channel else None

    def close(self) -> None:
        """Close all sockets: the server stops."""
        for watcher in list(self._everyone):
            watcher.close(CLOSE_GOING_AWAY, "the server stops; connect again in a moment")

    async def _find_end(self, channel: Channel) -> None:
        last = await self.ask("XREVRANGE", channel.key, "+", "-", "COUNT", 1)
        if last:
            channel.cursor = last[0][0]
        channel.opened = True
        # What was announced while the cursor was not known.
        self._mark(channel)

    async def _catch_up_with(self, watcher: Watcher, channel: Channel) -> None:
        """Deal with a watcher who names an event behind the cursor.

        It has read that event elsewhere, faster than we: then the channel must come there first, for nobody is told
        anything twice. Or there never was one: events are only removed once there are later ones. Then what it has
        seen was not this, and it is told everything.
        """
        last = await self.ask("XREVRANGE", channel.key, "+", "-", "COUNT", 1)
        if not last or position(watcher.after) > position(last[0][0]):
            watcher.after = BEGINNING
            return
        while position(watcher.after) > position(channel.cursor) and not watcher.closed:
            self._mark(channel)
            await asyncio.sleep(OVERTAKEN_SECONDS)

    async def _last_line(self, channel: Channel, event_id: str) -> int | None:
        """Find the number of the log line that a client has seen last; None when that cannot be told."""
        entries = await self.ask("XREVRANGE", channel.key, event_id, "-", "COUNT", LINE_SEARCH_EVENTS)
        if not entries or entries[0][0] != event_id:
            return None
        nothing_before = 0 if len(entries) < LINE_SEARCH_EVENTS else None
        return next((event.data["line"] for event in parse_entries(entries) if "line" in event.data), nothing_before)

    # --- events come in -----------------------------------------------------------------------------

    def _woken(self, announcement: str) -> None:
        ticket, _, event = announcement.partition(" ")
        channel = self._channels.get(ticket)
        if channel is not None and not self._tell_at_once(channel, event):
            self._mark(channel)

    def _tell_at_once(self, channel: Channel, text: str) -> bool:
        """Tell an event that came with its announcement, if it was not told. False where the stream has to be read."""
        announced = parse_announced(text)
        if announced is None or not channel.opened or channel.busy:
            return False
        before, event = announced
        told = position(channel.cursor)
        if before != channel.cursor and position(before) > told:
            return False
        if position(event.id) > told:
            self._tell(channel, [event], event.id)
        return True

    def _mark(self, channel: Channel) -> None:
        channel.unread = True
        if channel.opened and not channel.busy:
            self._unread[str(channel.ticket)] = channel
            self._something.set()

    def _read_all(self) -> None:
        for channel in self._channels.values():
            self._mark(channel)

    async def _pump(self) -> None:
        """Read the streams of all unread channels, again and again."""
        while True:
            await self._something.wait()
            self._something.clear()
            unread, self._unread = self._unread, {}
            # A busy one is marked again when its batch is sent.
            channels = [channel for channel in unread.values() if not channel.busy]
            for start in range(0, len(channels), STREAMS):
                await self._read(channels[start : start + STREAMS])

    async def _read(self, channels: list[Channel]) -> None:
        by_key = {channel.key: channel for channel in channels}
        for channel in channels:
            channel.unread = False
        cursors = [channel.cursor for channel in by_key.values()]
        try:
            answer = await self.ask("XREAD", "COUNT", EVENTS, "STREAMS", *by_key, *cursors)
        except ResponseError:
            # One of the keys is no stream. Whoever made that, the other jobs go on.
            log.exception("events of tasks %s cannot be read", [channel.ticket for channel in channels])
            return
        for key, entries in answer or ():
            channel = by_key[key]
            channel.unread = channel.unread or len(entries) == EVENTS
            self._deliver(channel, entries)
            if channel.unread:
                self._mark(channel)

    def _deliver(self, channel: Channel, entries: list[Any]) -> None:
        if channel.busy:
            # A read and an announcement have crossed: it is read again when the batch of the other is sent.
            channel.unread = True
            return
        told = position(channel.cursor)
        new = [entry for entry in entries if position(entry[0]) > told]
        if new:
            self._tell(channel, parse_entries(new), new[-1][0])

    def _tell(self, channel: Channel, events: list[Event], cursor: str) -> None:
        """Tell a channel's watchers ``events``, behind which is the place ``cursor``."""
        try:
            batch = channel.take(events, cursor)
            if len(batch.watchers) <= TURN:
                batch.send()
                return
        except Exception:
            # The watchers of one job must not end those of all others.
            log.exception("events cannot be told", extra={"ticket": channel.ticket})
            for watcher in list(channel.members):
                watcher.close(CLOSE_CRASHED, "an event of this task cannot be told")
            return
        # The other jobs do not wait until this one's many watchers have been written to.
        channel.busy = True
        self._start(self._send_aside(channel, batch))

    async def _send_aside(self, channel: Channel, batch: Batch) -> None:
        try:
            await batch.send_in_turns()
        finally:
            channel.busy = False
        if channel.unread:
            self._mark(channel)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _sweep(self) -> None:
        """Make up for lost announcements, and find jobs that were removed under their watchers."""
        while True:
            names = list(self._channels)
            for part in range(SWEEP_PARTS):
                await asyncio.sleep(SWEEP_SECONDS / SWEEP_PARTS)
                channels = [self._channels[name] for name in names[part::SWEEP_PARTS] if name in self._channels]
                for channel in channels:
                    self._mark(channel)
                for channel in await self._removed(channels):
                    for watcher in list(channel.live):
                        say_missing(watcher)

    async def _removed(self, channels: list[Channel]) -> list[Channel]:
        """Find those whose job does not exist any more. One that has ended may go: its watchers know all."""
        unfinished = {keys.task(channel.ticket): channel for channel in channels if not channel.tale.ended}
        if not unfinished or await self.ask("EXISTS", *unfinished) == len(unfinished):
            return []
        answers = await asyncio.gather(*(self.ask("EXISTS", key) for key in unfinished))
        return [channel for channel, exists in zip(unfinished.values(), answers, strict=True) if not exists]


def say_missing(watcher: Watcher) -> None:
    """Tell a client that there is no such job, or that it may not know of it, and close."""
    watcher.tell("task_status", "missing")
    watcher.tell("log_message", "ERROR: There is no such task, or this link does not open it.")
    watcher.close(CLOSE_NORMAL, "no such task")
