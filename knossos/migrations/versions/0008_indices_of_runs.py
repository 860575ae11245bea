"""Indices by which runs are found among a million: an owner's newest, and those that have not ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UNENDED = sa.text("outcome IS NULL")


def upgrade() -> None:
    op.create_index("ix_script_runs_owner_created_at", "script_runs", ["owner", "created_at"])
    op.create_index("ix_script_runs_kind_created_at", "script_runs", ["kind", "created_at"])
    op.create_index("ix_script_runs_kind_owner_created_at", "script_runs", ["kind", "owner", "created_at"])
    op.create_index(
        "ix_script_runs_unended",
        "script_runs",
        ["owner", "created_at"],
        sqlite_where=_UNENDED,
        postgresql_where=_UNENDED,
    )
    op.drop_index("ix_script_runs_owner", "script_runs")


def downgrade() -> None:
    op.create_index("ix_script_runs_owner", "script_runs", ["owner"])
    for columns in ("unended", "kind_owner_created_at", "kind_created_at", "owner_created_at"):
        op.drop_index(f"ix_script_runs_{columns}", "script_runs")
