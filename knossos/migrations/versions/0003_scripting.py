"""Runs of scripts, the files that are kept of them, and their tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "script_runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("dropped_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("shared_name", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_script_runs"),
    )
    for column in ("created_at", "expires_at", "owner", "shared_name", "ticket"):
        op.create_index(f"ix_script_runs_{column}", "script_runs", [column])
    op.create_table(
        "script_files",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["script_runs.id"], name="fk_script_files_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_script_files"),
    )
    op.create_table(
        "script_tokens",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("roles", sa.Text(), nullable=True),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["script_runs.id"], name="fk_script_tokens_run_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_script_tokens_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_script_tokens"),
    )
    op.create_index("ix_script_tokens_run_id", "script_tokens", ["run_id"])
    op.create_index("ix_script_tokens_user_id", "script_tokens", ["user_id"])


def downgrade() -> None:
    op.drop_table("script_tokens")
    op.drop_table("script_files")
    op.drop_table("script_runs")
