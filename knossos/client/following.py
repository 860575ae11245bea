"""Following a task to its end: over the WebSocket as long as that works, by asking now and then where it does not.

What always holds: each event is shown once, whatever breaks in between, since we go on after the last one that we
have seen; and a task whose server comes back within the patience is followed to its end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from knossos.client.errors import TaskFailed
from knossos.client.screens import Screen
from knossos.client.server import Server, Task, denied

log = logging.getLogger(__name__)

#: Failed connections in a row after which the WebSocket is given up for a while.
TRIES = 3
#: Seconds between two questions while there is no WebSocket, and until that is tried again.
POLL_SECONDS = 1.0
RETRY_SECONDS = 15.0
#: Seconds for a connection to come about, and of silence (pings are not answered) until it counts as broken.
CONNECT_SECONDS = 10.0
PING_SECONDS = 10.0

CONNECTION_ERRORS = (OSError, HTTPClientError, WebSocketError, asyncio.TimeoutError)
#: What a message leads to that is none of a Knossos server.
NOT_UNDERSTOOD = (ValueError, TypeError, IndexError, KeyError)


T = TypeVar("T")


async def in_background(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function that blocks in a thread that nobody waits for when the program ends: Ctrl-C works at once."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(setter: Callable[[Any], None], value: Any) -> None:
        if not answer.done():
            setter(value)

    def work() -> None:
        try:
            result: Any = function(*arguments)
            setter: Callable[[Any], None] = answer.set_result
        except Exception as error:
            result, setter = error, answer.set_exception
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, setter, result)

    threading.Thread(target=work, daemon=True).start()
    return await answer


async def connect(urls: list[str], task: Task, after: str = "0-0") -> tuple[str, WebSocketClientConnection] | None:
    """Connect with the first of these WebSocket servers that answers; None where none does."""
    for url in urls:
        request = HTTPRequest(
            f"{url}/ws/inter/{task.ticket}?token={task.token}&after={after}", connect_timeout=CONNECT_SECONDS
        )
        connecting = websocket_connect(request, ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return url, await connecting
        except CONNECTION_ERRORS as error:
            log.debug("no WebSocket at %s: %s", url, error)
    return None


@dataclass
class Follower:
    """Shows what happens in ``task`` on ``screen``."""

    server: Server
    task: Task
    screen: Screen
    #: Id of the last event that was shown.
    after: str = "0-0"
    #: The ``done`` event's words about the end, once it was seen.
    _end: dict[str, Any] | None = None
    _urls: list[str] = field(default_factory=list)
    _answering: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Return when the task has succeeded.

        Raises:
            TaskFailed: it has not.
            AccessDenied: it is not there for us.
            Unreachable: the server went away and stayed away.
        """
        failures = 0
        while self._end is None:
            connection = await self._connect()
            if connection is not None:
                failures = 0
                await self._listen(connection)
                continue
            failures += 1
            if failures < TRIES:
                await asyncio.sleep(0.2 * 2**failures)
            elif await self._poll():
                return
        self._judge(self._end)

    def _judge(self, end: dict[str, Any]) -> None:
        if end["success"]:
            return
        failure = end.get("failure") or {}
        verb = "was cancelled" if end.get("state") == "cancelled" else "failed"
        reason = f": {failure['message']}" if failure.get("message") else ""
        message = f"Task {self.task.ticket} {verb}{reason}"
        raise TaskFailed(message, ticket=self.task.ticket, failure=failure)

    async def _connect(self) -> WebSocketClientConnection | None:
        if not self._urls:
            self._urls = await in_background(self.server.websocket_urls)
        connected = await connect(self._urls, self.task, self.after)
        if connected is None:
            return None
        url, connection = connected
        # The one that answers is the one: the others were guesses.
        self._urls = [url]
        return connection

    async def _listen(self, connection: WebSocketClientConnection) -> None:
        """Show events until the task has ended or the connection has broken."""
        seen = self.after
        try:
            while self._end is None:
                text = await connection.read_message()
                if text is None:
                    break
                self._take(json.loads(text), connection)
        except NOT_UNDERSTOOD as error:
            log.debug("the WebSocket server says what nobody understands: %r", error)
        finally:
            self._stop_answering()
            connection.close()
        if self.after == seen:
            # Nothing came of it: do not run in circles.
            await asyncio.sleep(POLL_SECONDS)

    def _take(self, message: list[Any], connection: WebSocketClientConnection) -> None:
        event, arguments = message[0], message[1]
        match event:
            case "done":
                self._end = {"success": arguments[0], **(arguments[1] if len(arguments) > 1 else {})}
            case "task_status" if arguments == ["missing"]:
                raise denied(self.task)
            case "captcha":
                self._stop_answering()
                self._answering = asyncio.get_running_loop().create_task(self._answer(arguments[0], connection))
            case "answered":
                self._stop_answering()
        self.screen.show(event, arguments)
        if len(message) > 2:
            self.after = message[2]

    async def _answer(self, image: str, connection: WebSocketClientConnection) -> None:
        answer = await self.screen.ask(image)
        if answer:
            await connection.write_message(json.dumps(["captcha_response", [answer]]))

    def _stop_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None

    async def _poll(self) -> bool:
        """Ask for the state for a while. True: the task has ended well."""
        self.screen.note("There is no WebSocket connection; asking now and then instead.")
        loop = asyncio.get_running_loop()
        until = loop.time() + RETRY_SECONDS
        shown = ""
        while loop.time() < until:
            state = await in_background(self.server.state, self.task)
            if state == "DONE":
                # Says why, where it has failed.
                await in_background(self.server.retrieve, self.task)
                return True
            if state != shown:
                shown = state
                self.screen.note({"WAITING": "The task waits.", "WORKING": "The task runs."}.get(state, state))
            await asyncio.sleep(POLL_SECONDS)
        self._urls = []
        return False
