"""What Alembic runs for each migration: it uses the connection that ``Database.migrate`` hands over."""

from __future__ import annotations

from alembic import context

import knossos.accounts.tables
import knossos.publishing.tables
import knossos.scripting.calculations.tables
import knossos.scripting.notices.tables
import knossos.scripting.schedules.tables
import knossos.scripting.tables  # noqa: F401 (all declare their tables on Base)
from knossos.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change most things of a table in place; batch mode copies it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
