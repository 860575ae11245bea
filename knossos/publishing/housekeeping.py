"""What publishing tidies once a day: each part says what of its own is stale."""

from __future__ import annotations

from knossos.database import Database
from knossos.publishing.repository.job import catch_up
from knossos.publishing.repository.repository import Repository
from knossos.settings import Settings
from knossos.storage import Storage


def tidy(settings: Settings) -> list[tuple[str, int]]:
    """Remove what is stale, and answer in words what it was and how much. Repair what a lost job left undone."""
    database = Database(settings)
    try:
        catch_up(settings)
        return [
            ("lists of the repository that were never shown", Repository(settings, database, Storage(settings)).sweep())
        ]
    finally:
        database.close()
