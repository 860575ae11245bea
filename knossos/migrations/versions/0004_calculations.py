"""Calculations, each by the SHA-1 of its input."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calculations",
        sa.Column("sha1", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("batch_job", sa.String(length=100), server_default="", nullable=False),
        sa.Column("batch_state", sa.String(length=16), nullable=True),
        sa.Column("batch_text", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("sha1", name="pk_calculations"),
        sa.UniqueConstraint("run_id", name="uq_calculations_run_id"),
    )


def downgrade() -> None:
    op.drop_table("calculations")
