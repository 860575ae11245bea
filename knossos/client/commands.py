"""What the client can do: convert, watch, cancel. Each command does its work or raises a KnossosError."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection

from knossos.client.errors import Detached, TaskFailed, Unreachable
from knossos.client.following import CONNECTION_ERRORS, NOT_UNDERSTOOD, Follower, connect, in_background
from knossos.client.screens import Screen
from knossos.client.server import Server, Task, denied
from knossos.errors import InvalidInput
from knossos.packaging.interruption import wanted_signals
from knossos.packaging.output_file import check_target, write_output

BROKEN = "The connection broke before the task had ended; try again."


def convert(server: Server, screen: Screen, source: str, target: str, key: str, webhook: str) -> None:
    """Have the mod that ``source`` describes packaged, and write the repository JSON to ``target``."""
    description = read_description(source)
    check_target(target)
    task = server.submit(description, key, webhook)
    screen.note(f"The task has the number {task.ticket}.")
    watch(server, screen, task, target)


def watch(server: Server, screen: Screen, task: Task, target: str | None) -> None:
    """Follow a task to its end; write its result to ``target`` where that is given."""
    if target is not None:
        check_target(target)
    again = f"python -m knossos.client watch {task.ticket} {shlex.quote(target) if target else ''}".rstrip()
    again += f" --token {task.token} --server {shlex.quote(server.url)}"
    _run(Follower(server, task, screen).follow(), task, again)
    if target is not None:
        result = server.retrieve(task)
        if result is None:
            raise TaskFailed(f"The server has not written the result of task {task.ticket}.", ticket=task.ticket)
        write_output(target, [result if target != "-" else f"{result}\n"])
    screen.note(f"Task {task.ticket} is done" + (f": {target}" if target not in (None, "-") else "."))


def cancel(server: Server, screen: Screen, task: Task) -> None:
    """End a task. Returns when it has ended, however it has."""

    async def work() -> None:
        connected = await connect(await in_background(server.websocket_urls), task)
        if connected is None:
            raise Unreachable(f"{server.url}: its WebSocket server does not answer", url=server.url)
        url, connection = connected
        try:
            state = await _cancelled(connection, task)
        except CONNECTION_ERRORS as error:
            raise Unreachable(BROKEN, url=url) from error
        except NOT_UNDERSTOOD as error:
            raise Unreachable(f"{url} does not speak as a Knossos server does", url=url) from error
        finally:
            connection.close()
        screen.note(f"Task {task.ticket}: {state}")

    _run(work(), task, "")


async def _cancelled(connection: WebSocketClientConnection, task: Task) -> str:
    """Cancel the task, and return the state in which it has ended."""
    await connection.write_message('["cancel", []]')
    while (text := await connection.read_message()) is not None:
        event, arguments, *_ = json.loads(text)
        if event == "task_status":
            raise denied(task)
        if event == "done":
            return str(arguments[1]["state"]) if len(arguments) > 1 else "ended"
    raise Unreachable(BROKEN, ticket=task.ticket)


def read_description(source: str) -> str:
    """Read a mod description; "-" is stdin.

    Raises:
        InvalidInput: it cannot be read or is no JSON.
    """
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = raw.decode("utf-8-sig")
        json.loads(text)
    except OSError as error:
        raise InvalidInput(f"{source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{source}: expected UTF-8; byte {error.start} is none") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{source}:{error.lineno}:{error.colno}: expected JSON: {error.msg}") from error
    except RecursionError as error:
        raise InvalidInput(f"{source}: expected JSON that is nested less deeply") from error
    return text


def _run(work: Coroutine[Any, Any, None], task: Task, again: str) -> None:
    """Run to the end, or until Ctrl-C, which leaves the task alone."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        working = loop.create_task(work)
        for number in wanted_signals():
            loop.add_signal_handler(number, working.cancel)
        await working

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        hint = f" To watch it again:\n  {again}\nTo end it, say cancel instead of watch." if again else ""
        raise Detached(f"Task {task.ticket} goes on without us.{hint}", ticket=task.ticket) from None
