"""Schedules, the times that they came to, and notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=1000), nullable=False),
        sa.Column("arguments", sa.Text(), server_default="[]", nullable=False),
        sa.Column("form", sa.Text(), server_default="", nullable=False),
        sa.Column("content_key", sa.String(length=200), server_default="", nullable=False),
        sa.Column("at", sa.Double(), nullable=True),
        sa.Column("cron", sa.String(length=100), server_default="", nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=True),
        sa.Column("stopped", sa.Text(), server_default="", nullable=False),
        sa.Column("notify", sa.String(length=16), nullable=False),
        sa.Column("notify_mail", sa.Boolean(), nullable=False),
        sa.Column("notify_url", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_schedules_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
    )
    op.create_index("ix_schedules_user_id", "schedules", ["user_id"])
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    op.create_table(
        "schedule_firings",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("schedule_id", sa.String(length=36), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("claimed_at", sa.Double(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name="fk_schedule_firings_schedule_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_schedule_firings"),
        sa.UniqueConstraint("run_id", name="uq_schedule_firings_run_id"),
    )
    op.create_index("ix_schedule_firings_schedule_id", "schedule_firings", ["schedule_id"])
    op.create_index("ix_schedule_firings_state", "schedule_firings", ["state"])
    op.create_table(
        "run_notices",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("schedule_id", sa.String(length=36), nullable=True),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("condition", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("submitted_at", sa.Double(), nullable=True),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column("tried_at", sa.Double(), nullable=True),
        sa.Column("result", sa.String(length=300), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_run_notices_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_run_notices"),
    )
    op.create_index("ix_run_notices_user_id", "run_notices", ["user_id"])
    op.create_index("ix_run_notices_run_id", "run_notices", ["run_id"])
    op.create_index("ix_run_notices_state", "run_notices", ["state"])


def downgrade() -> None:
    for table in ("run_notices", "schedule_firings", "schedules"):
        op.drop_table(table)
