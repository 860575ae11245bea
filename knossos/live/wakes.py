"""The wake-up calls: which jobs have something new.

Owns the one pub/sub connection of the process. Every event of every job is announced on one channel with the
job's ticket, a short one with all that it says; but what counts is the stream. So a lost announcement delays, it never
loses: the hub reads all open streams after each (re)connect, and now and then anyway. What always holds: nothing that
anybody publishes on the channel ends the listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from redis.asyncio.connection import AbstractConnection

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
        """Listen until cancelled."""
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
        await connection.send_command("SUBSCRIBE", self._channel, check_health=False)
        pinging = asyncio.create_task(_ping(connection))
        try:
            await self._listen(connection, pauses)
        finally:
            pinging.cancel()

    async def _listen(self, connection: AbstractConnection, pauses: Pauses) -> None:
        while True:
            answer = await connection.read_response()
            kind = answer[0] if isinstance(answer, list) and answer else None
            if kind == "message" and len(answer) == 3:
                self._on_wake(answer[2])
            elif kind == "subscribe":
                pauses.reset()
                self._on_connected()


async def _ping(connection: AbstractConnection) -> None:
    """Have something to hear on a quiet connection; one that stays silent is given up by the listener."""
    with contextlib.suppress(*CONNECTION_ERRORS):
        while True:
            await asyncio.sleep(PING_SECONDS)
            await connection.send_command("PING", check_health=False)
