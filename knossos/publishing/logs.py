"""Logs of games that players upload to show them to others: who has the link can read it, until it expires.

Anybody may upload, without an account; so there is a bound on how much comes from one address, and the link cannot be
guessed. What comes is text, whatever bytes it was.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from sqlalchemy import delete

from knossos.accounts import throttle
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.publishing.errors import Refused
from knossos.publishing.tables import LogPage
from knossos.setting_kinds import MIB
from knossos.settings import Settings

#: What one address may upload in a window: a log takes one of these, and one more for each mebibyte.
TRIES_PER_ADDRESS = 60
#: Seconds of that window.
WINDOW_SECONDS = 900.0


class Logs:
    """``clock`` gives Unix time in seconds."""

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    def add(self, text: bytes | str, address: str = "") -> str:
        """Keep a log, and answer its id: 32 hexadecimal digits.

        Args:
            text: where it is bytes, what is not UTF-8 in it is replaced.
            address: where it comes from; "": there is no bound.

        Raises:
            InvalidInput: it is empty.
            Refused: it is too large.
            TooManyTries: too much came from this address lately.
        """
        size, most = len(text), self._settings.log_page_max_bytes
        if size > most:
            raise Refused(f"A log may have at most {most} bytes.", reason="too large", extra={"most": most})
        readable = as_text(text)
        if not readable.strip():
            raise InvalidInput.at("log", "it is empty")
        page = LogPage(id=secrets.token_hex(16), text=readable, created_at=self._clock())
        with self._database.session() as session:
            if address:
                limit = throttle.of_address(address, TRIES_PER_ADDRESS, "log")
                throttle.count(session, [limit] * (1 + size // MIB), WINDOW_SECONDS)
            session.add(page)
        return page.id

    def find(self, log_id: str) -> LogPage | None:
        """The log of that id; None where there is none (any more)."""
        with self._database.reading() as session:
            page = session.get(LogPage, log_id) if log_id.isalnum() else None
        return page if page is not None and page.created_at >= self._oldest() else None

    def expire(self) -> int:
        """Remove what is older than LOG_PAGE_LIFETIME, and answer how many that were."""
        with self._database.session() as session:
            old = delete(LogPage).where(LogPage.created_at < self._oldest())
            return len(session.scalars(old.returning(LogPage.id)).all())

    def _oldest(self) -> float:
        return self._clock() - self._settings.log_page_lifetime


def as_text(data: bytes | str) -> str:
    """Text that every database takes: no byte that is not UTF-8, and no NUL, which PostgreSQL refuses."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    # A lone surrogate is no character either, though JSON can write one.
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
