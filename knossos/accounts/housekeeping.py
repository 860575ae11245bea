"""What accounts may forget: links and tokens that ended, counts of tries, and accounts that nobody ever opened."""

from __future__ import annotations

import time

from sqlalchemy import delete
from sqlalchemy.orm import Session

from knossos.accounts import mail_links, sessions, throttle
from knossos.accounts.tables import AuditEntry, User
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.settings import Settings

DAY = 86400.0
#: Seconds for which tokens that ended stay listed as such.
ENDED_TOKENS_SECONDS = 90 * DAY
#: Seconds in which a new account's mail address has to be proved; then its name and address are free again.
UNVERIFIED_SECONDS = 30 * DAY
#: Seconds for which the audit log goes back.
AUDIT_SECONDS = 2 * 365 * DAY


def tidy(settings: Settings) -> list[tuple[str, int]]:
    """Remove what is stale, and answer in words what it was and how much."""
    database = Database(settings)
    try:
        with database.session() as session:
            counts = [
                ("links in mails that were used or too old", mail_links.expire(session)),
                ("sessions that had been ended", sessions.expire(session)),
                ("counts of login tries", throttle.expire(session, settings.login_failure_window_seconds)),
                ("accounts whose mail address was never confirmed", _never_opened(session)),
                ("entries of the audit log", _old_entries(session)),
            ]
        return [*counts, ("tokens that had ended", Tokens(settings, database).expire(ENDED_TOKENS_SECONDS))]
    finally:
        database.close()


def _never_opened(session: Session) -> int:
    # Nobody could log in to these, so they own nothing. The operator's accounts are never among them.
    rows = delete(User).where(
        User.verified_at.is_(None), User.email.is_not(None), User.created_at < time.time() - UNVERIFIED_SECONDS
    )
    return len(session.scalars(rows.returning(User.id)).all())


def _old_entries(session: Session) -> int:
    rows = delete(AuditEntry).where(AuditEntry.at < time.time() - AUDIT_SECONDS)
    return len(session.scalars(rows.returning(AuditEntry.id)).all())
