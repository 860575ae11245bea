"""The audit log: who did what to what, when and from where.

Rows are only added, here and by nobody else; `expire` alone removes those that are too old. What is done inside a
transaction is noted inside it (`record`), so that nothing is noted that did not happen, and nothing happens unnoted.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.accounts.tables import AuditEntry
from knossos.database import Database

#: Most characters of each column.
MAX_ACTOR_CHARS, MAX_ADDRESS_CHARS, MAX_SUBJECT_CHARS = 100, 64, 300


@dataclass(frozen=True)
class Actor:
    """Who does something: an account's name and the address of its client; by itself the operator's command."""

    name: str = "operator"
    address: str = ""


#: Somebody with a shell on this machine.
OPERATOR = Actor()


@dataclass(frozen=True)
class AuditRecord:
    """A row, for people. ``at`` is Unix time in seconds."""

    number: int
    at: float
    actor: str
    address: str
    action: str
    subject: str
    details: dict[str, Any]


def record(
    session: Session,
    *,
    actor: str,
    action: str,
    address: str = "",
    subject: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Note an action as part of a transaction: it is noted if and only if that commits.

    ``action`` is like "release.publish", ``subject`` like "mod:fsport 3.7.0", ``details`` JSON without secrets.
    """
    session.add(
        AuditEntry(
            at=time.time(),
            actor=actor[:MAX_ACTOR_CHARS],
            address=address[:MAX_ADDRESS_CHARS],
            action=action,
            subject=subject[:MAX_SUBJECT_CHARS],
            details=json.dumps(details or {}),
        )
    )


class Audit:
    def __init__(self, database: Database) -> None:
        self._database = database

    def write(
        self,
        *,
        actor: str,
        action: str,
        address: str = "",
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Note an action in a transaction of its own (`record` says what the arguments are)."""
        with self._database.session() as session:
            record(session, actor=actor, action=action, address=address, subject=subject, details=details)

    def latest(
        self, limit: int = 100, *, subject: str = "", actor: str = "", before: int | None = None
    ) -> list[AuditRecord]:
        """The last rows (before the one with that number), newest first; of one actor or subject where these are given.

        The subject "mod:fsport" is that of "mod:fsport 3.7.0", too.
        """
        query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditEntry.id < before)
        if subject:
            parts = AuditEntry.subject.startswith(f"{subject} ", autoescape=True)
            query = query.where((AuditEntry.subject == subject) | parts)
        if actor:
            query = query.where(AuditEntry.actor == actor)
        with self._database.reading() as session:
            return [
                AuditRecord(row.id, row.at, row.actor, row.address, row.action, row.subject, json.loads(row.details))
                for row in session.scalars(query)
            ]
