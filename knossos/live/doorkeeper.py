"""Who may watch which job: finds the job's record and asks the rules of ``accounts.access``.

A job that somebody may not watch looks like one that does not exist. The record comes over the hub's connection,
so that 2,000 clients that connect at once are looked up together and hold up nobody. A session is looked up in the
database, by a thread, and only for those who have not shown the job's token.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from knossos.accounts import Sessions
from knossos.accounts.access import may_control, may_watch
from knossos.jobs import keys
from knossos.jobs.records import JobRecord
from knossos.settings import Settings

_TICKET = re.compile(r"[1-9]\d{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Admission:
    """A job that the client may watch. ``may_cancel``: it has shown its token, or is its owner or an operator."""

    record: JobRecord
    may_cancel: bool


def parse_ticket(text: str) -> int | None:
    """Read a ticket from a URL; None when no job can have it."""
    return int(text) if _TICKET.fullmatch(text) else None


class Doorkeeper:
    """Lets clients in. ``ask`` sends a reading command to Redis and returns its answer in RESP2."""

    def __init__(
        self, settings: Settings, sessions: Sessions, ask: Callable[..., Awaitable[Any]], threads: Executor
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._ask = ask
        self._threads = threads

    async def admit(self, ticket: int, token: str | None, cookie: str | None) -> Admission | None:
        """Return the job if the client may watch it, None if it may not, or if there is none."""
        answer = await self._ask("HGETALL", keys.task(ticket))
        fields = {name.encode(): value.encode() for name, value in zip(answer[::2], answer[1::2], strict=True)}
        try:
            record = JobRecord.from_hash(ticket, fields)
        except KeyError:
            return None
        if may_control(record, token=token, session=None):
            return Admission(record, may_cancel=True)
        session = None
        if cookie:
            loop = asyncio.get_running_loop()
            session = await loop.run_in_executor(self._threads, self._sessions.read, cookie)
        if not may_watch(record, token=token, session=session, settings=self._settings):
            return None
        return Admission(record, may_control(record, token=token, session=session))
