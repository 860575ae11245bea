"""What players report about releases: kept for the mod's team and the operators of the site."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import func, select

from knossos.accounts.directory import names_of
from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.publishing import mods
from knossos.publishing.errors import Refused
from knossos.publishing.refusals import missing
from knossos.publishing.release_rows import find
from knossos.publishing.tables import Release, Report
from knossos.publishing.teams import TeamRole, require
from knossos.publishing.visibility import visible

#: Longest report, in characters, and most reports of one account within a day.
MAX_MESSAGE_CHARS = 10_000
MAX_PER_DAY = 50
DAY_SECONDS = 86400


@dataclass(frozen=True)
class StoredReport:
    """``user`` is "" for an account that is gone; ``created_at`` Unix time in seconds."""

    id: int
    mod_id: str
    version: str
    user: str
    message: str
    created_at: float


class Reports:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, identity: Identity, mod_id: str, version: str, message: str) -> None:
        """Keep a report.

        Raises:
            NoSuchMod: there is no such mod.
            Refused: ``release missing``, ``invalid message``, ``too many reports``.
        """
        message = message.replace("\0", "").strip()
        if not 0 < len(message) <= MAX_MESSAGE_CHARS:
            text = f"expected a message of 1 to {MAX_MESSAGE_CHARS} characters"
            raise Refused(text, reason="invalid message", errors=[{"path": "message", "message": text}])
        now = time.time()
        with self._database.session() as session:
            mods.get(session, mod_id)
            row = find(session, mod_id, version)
            if row is None or session.scalar(select(Release.id).where(Release.id == row.id, visible(identity))) is None:
                raise missing(mod_id, version)
            recent = (Report.user_id == identity.user_id, Report.created_at > now - DAY_SECONDS)
            if (session.scalar(select(func.count()).select_from(Report).where(*recent)) or 0) >= MAX_PER_DAY:
                raise Refused("These are many reports for one day. Try again tomorrow.", reason="too many reports")
            session.add(
                Report(mod_id=mod_id, version=row.version, user_id=identity.user_id, message=message, created_at=now)
            )

    def of_mod(self, identity: Identity, mod_id: str, limit: int = 100) -> list[StoredReport]:
        """The last reports about a mod, newest first, for its uploaders. Raises NoSuchMod and Refused."""
        with self._database.reading() as session:
            mods.get(session, mod_id)
            require(session, identity, mod_id, TeamRole.UPLOADER)
            query = select(Report).where(Report.mod_id == mod_id).order_by(Report.id.desc()).limit(limit)
            rows = list(session.scalars(query))
            names = names_of(session, (row.user_id for row in rows if row.user_id is not None))
            return [
                StoredReport(
                    row.id, row.mod_id, row.version, names.get(row.user_id or 0, ""), row.message, row.created_at
                )
                for row in rows
            ]
