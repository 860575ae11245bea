"""The wake-up calls: which jobs have something new.

Owns the one pub/sub connection of the process. Every event of every job is announced on one channel with the
job's ticket, a short one with all that it says; but what counts is the stream. So a lost announcement delays, it never
loses: the hub reads all open streams after each (re)connect, and now and then anyway. What always holds: nothing that
anybody publishes on the channel ends the listener.

redis-py opens the connection (address, password, TLS); from then on hiredis is given the bytes in the very turn of the
event loop in which they come. Its stream and its time limits for each answer would cost an announcement more than all
that is done with it here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from knossos.live.redis_reader import CONNECTION_ERRORS, Pauses, close_quietly, open_connection

log = logging.getLogger(__name__)

#: Seconds between the questions whether the connection still lives, and of silence after which it does not.
PING_SECONDS = 5.0
SILENCE_SECONDS = 15.0


class Wakes:
    """Calls ``on_wake(announcement)`` for each announcement and ``on_connected()`` after each (re)connect."""

    def __init__(
        self, url: str, channel: str, on_wake: Callable[[str], None], on_connected: Callable[[], None]
    ) -> None:
        self._url = url
        self._channel = channel
        self._on_wake = on_wake
        self._on_connected = on_connected

    async def run(self) -> None:
        """Listen until cancelled. Raises what ``on_wake`` and ``on_connected`` raise."""
        pauses = Pauses()
        while True:
            try:
                connection = await open_connection(self._url, SILENCE_SECONDS)
                try:
                    await self._follow(connection, pauses)
                finally:
                    await close_quietly(connection)
            except CONNECTION_ERRORS as error:
                log.debug("the connection for announcements broke: %s", error)
            await pauses.sleep()

    async def _follow(self, connection: AbstractConnection, pauses: Pauses) -> None:
        """Listen until the connection breaks, and raise why."""

        def connected() -> None:
            pauses.reset()
            self._on_connected()

        transport = cast(Any, connection)._writer.transport
        listener = _Listener(self._on_wake, connected)
        transport.set_protocol(listener)
        transport.writelines(connection.pack_command("SUBSCRIBE", self._channel))
        pinging = asyncio.create_task(listener.ping(transport, connection.pack_command("PING")))
        try:
            await listener.ended
        finally:
            pinging.cancel()


class _Listener(asyncio.Protocol):
    """What comes on the connection. ``ended`` raises what has ended it."""

    def __init__(self, on_wake: Callable[[str], None], on_connected: Callable[[], None]) -> None:
        self._on_wake = on_wake
        self._on_connected = on_connected
        self._answers = hiredis.Reader(encoding="utf-8", errors="replace")
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        if self.ended.done():
            return
        self._heard = self._loop.time()
        try:
            self._answers.feed(data)
            while (answer := self._answers.gets()) is not False:
                self._take(answer)
        except hiredis.ProtocolError as error:
            self._end(RedisConnectionError(f"what came is not Redis: {error}"))
        except Exception as error:
            # Raised here it would only close the connection; whoever waits shall know.
            self._end(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RedisConnectionError("Redis has closed it"))

    async def ping(self, transport: asyncio.WriteTransport, command: list[bytes]) -> None:
        """Have something to hear on a quiet connection; give up one that stays silent."""
        while self._loop.time() - self._heard < SILENCE_SECONDS:
            await asyncio.sleep(PING_SECONDS)
            transport.writelines(command)
        self._end(RedisConnectionError(f"silent for {SILENCE_SECONDS:.0f} s"))

    def _take(self, answer: object) -> None:
        match answer:
            case ["message", _, str(announcement)]:
                self._on_wake(announcement)
            case ["subscribe", *_]:
                self._on_connected()
            case hiredis.ReplyError():
                raise ResponseError(str(answer))

    def _end(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
