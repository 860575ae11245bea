"""Who may watch which job: finds the job's record and asks the rules of ``accounts.access``.

A job that somebody may not watch looks like one that does not exist. The record comes over the hub's connection,
so that 2,000 clients that connect at once are looked up together and hold up nobody. A session, or the token of an
account or a run, is looked up in the database, by a thread, and only for those who have not shown the job's token.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from knossos.accounts import Session
from knossos.accounts.access import may_control, may_watch
from knossos.errors import AccessDenied
from knossos.jobs import keys
from knossos.jobs.records import JobRecord
from knossos.scripting.credentials import Credentials, Holder, scope_to_see, scope_to_steer
from knossos.settings import Settings

_TICKET = re.compile(r"[1-9]\d{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Admission:
    """A job that the client may watch. ``may_cancel``: it has shown its token, or is its owner or an operator; like
    ``may_answer`` not by a token of an account that was given for looking only."""

    record: JobRecord
    may_cancel: bool
    may_answer: bool = True


def parse_ticket(text: str) -> int | None:
    """Read a ticket from a URL; None when no job can have it."""
    return int(text) if _TICKET.fullmatch(text) else None


def bearer_of(authorization: str | None) -> str | None:
    """The token of an Authorization header; None where it has none, or is of another scheme."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Doorkeeper:
    """Lets clients in. ``ask`` sends a reading command to Redis and returns its answer in RESP2."""

    def __init__(
        self, settings: Settings, credentials: Credentials, ask: Callable[..., Awaitable[Any]], threads: Executor
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._ask = ask
        self._threads = threads

    async def admit(
        self, ticket: int, token: str | None, cookie: str | None, bearer: str | None = None
    ) -> Admission | None:
        """Return the job if the client may watch it, None if it may not, or if there is none.

        Args:
            token: the job's; ``bearer``: of an account or a run, from the header Authorization.
        """
        answer = await self._ask("HGETALL", keys.task(ticket))
        fields = {name.encode(): value.encode() for name, value in zip(answer[::2], answer[1::2], strict=True)}
        try:
            record = JobRecord.from_hash(ticket, fields)
        except KeyError:
            return None
        if may_control(record, token=token, session=None):
            return Admission(record, may_cancel=True)
        seeing: Session | None = None
        steering: Session | None = None
        if cookie or bearer:
            loop = asyncio.get_running_loop()
            holder = await loop.run_in_executor(self._threads, self._holder, cookie, bearer)
            if holder is not None:
                seeing = holder.session_if(scope_to_see(record.kind))
                steering = holder.session_if(scope_to_steer(record.kind))
        if not may_watch(record, token=token, session=seeing, settings=self._settings):
            return None
        return Admission(
            record,
            may_cancel=may_control(record, token=token, session=steering),
            may_answer=may_watch(record, token=token, session=steering, settings=self._settings),
        )

    def _holder(self, cookie: str | None, bearer: str | None) -> Holder | None:
        try:
            return self._credentials.of_token(bearer) if bearer else self._credentials.of_cookie(cookie or "")
        except AccessDenied:
            return None
