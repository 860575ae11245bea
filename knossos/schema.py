"""The tables' revisions: which one is there, and the way up or down to another one, with Alembic.

The steps are in ``knossos/migrations``. Apart from `database.py`, since only few processes change tables.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate_in(connection: sqlalchemy.Connection, revision: str = "head") -> None:
    """Bring the tables up or down to ``revision`` in a transaction of `Database.changing_tables`."""
    config = _alembic()
    config.attributes["connection"] = connection
    current = revision_of(connection)
    # Revisions are numbers of four digits, so that they sort.
    if revision == "base" or (current is not None and revision < current):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def revision_of(connection: sqlalchemy.Connection) -> str | None:
    """The revision of the tables that are there; None where there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def known_revisions() -> list[str]:
    """All revisions that this version of the server can bring tables to, oldest first."""
    return sorted(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
