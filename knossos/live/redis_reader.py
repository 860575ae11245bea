"""One Redis connection for all reading commands of the process.

Owns that connection: opens it, opens it again with growing pauses when it breaks, and sends what many
watchers ask for at the same time in one go. Only commands that may be sent twice belong here. What always
holds: a question that was asked is answered, however often the connection breaks meanwhile, unless the one
who asks stops waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from knossos import tally

log = logging.getLogger(__name__)

#: Commands that are sent in one go at most; bounds what one answer holds in memory.
BATCH = 128
#: First and longest pause in seconds before a broken connection is opened again.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

#: What a connection that is lost, refused or silent raises. A server that is still loading its data, or wants
#: another password, may do better the next time.
CONNECTION_ERRORS = (RedisError, OSError, asyncio.TimeoutError, EOFError)


async def open_connection(url: str, timeout: float) -> AbstractConnection:
    """Open a connection that gives up after ``timeout`` seconds of silence."""
    pool: Any = ConnectionPool.from_url(
        url,
        protocol=2,
        decode_responses=True,
        encoding_errors="replace",
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        **({} if url.startswith("unix") else {"socket_keepalive": True}),
    )
    connection: Any = pool.make_connection()
    try:
        await connection.connect()
    except BaseException:
        await close_quietly(connection)
        raise
    return cast(AbstractConnection, connection)


class Pauses:
    """The growing pauses between tries."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        self._next = FIRST_PAUSE

    async def sleep(self) -> None:
        await asyncio.sleep(self._next)
        self._next = min(self._next * 2, LONGEST_PAUSE)


@dataclass(slots=True)
class _Question:
    command: tuple[str | int, ...]
    answer: asyncio.Future[Any]


class RedisReader:
    """Asks Redis on behalf of all watchers, over one connection."""

    def __init__(self, url: str, timeout: float = 10) -> None:
        self._url = url
        self._timeout = timeout
        self._connection: AbstractConnection | None = None
        self._waiting: deque[_Question] = deque()
        self._asked = asyncio.Event()

    async def ask(self, *command: str | int) -> Any:
        """Send a command and return its answer.

        Raises:
            ResponseError: Redis refuses the command.
        """
        question = _Question(command, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        self._asked.set()
        return await question.answer

    async def run(self) -> None:
        """Answer questions until cancelled."""
        pauses = Pauses()
        broken = False
        try:
            while True:
                await self._asked.wait()
                batch = self._take()
                if not batch:
                    self._asked.clear()
                    continue
                try:
                    await self._answer(batch)
                except CONNECTION_ERRORS as error:
                    tally.add_here("redis_errors")
                    if not broken:
                        log.warning("Redis does not answer (%s); trying again until it does", _reason(error))
                    broken = True
                    self._waiting.extendleft(reversed([q for q in batch if not q.answer.done()]))
                    await self._disconnect()
                    await pauses.sleep()
                else:
                    if broken:
                        log.info("Redis answers again")
                    broken = False
                    pauses.reset()
        finally:
            await self._disconnect()

    def _take(self) -> list[_Question]:
        batch: list[_Question] = []
        while self._waiting and len(batch) < BATCH:
            question = self._waiting.popleft()
            if not question.answer.done():
                batch.append(question)
        return batch

    async def _answer(self, batch: list[_Question]) -> None:
        if self._connection is None:
            self._connection = await open_connection(self._url, self._timeout)
        connection = self._connection
        packed = connection.pack_commands([question.command for question in batch])
        await connection.send_packed_command(packed, check_health=False)
        for question in batch:
            try:
                answer = await connection.read_response()
            except ResponseError as error:
                if isinstance(error, AuthenticationError) or str(error).startswith(("LOADING", "NOAUTH", "MASTERDOWN")):
                    raise
                if not question.answer.done():
                    question.answer.set_exception(error)
                continue
            if not question.answer.done():
                question.answer.set_result(answer)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)


async def close_quietly(connection: AbstractConnection) -> None:
    """Close a connection that may be broken already."""
    try:
        await connection.disconnect(nowait=True)
    except CONNECTION_ERRORS as error:
        log.debug("closing a broken Redis connection: %s", _reason(error))


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
