"""Accounts that verify, tokens and an audit log; stored files, uploads, mods, teams and releases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"])
    op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change_counter"),
    )
    op.create_table(
        "log_pages",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_pages"),
    )
    op.create_index("ix_log_pages_created_at", "log_pages", ["created_at"])
    op.create_table(
        "login_failures",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_login_failures"),
    )
    op.create_table(
        "mods",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("id_key", sa.String(length=128), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("parent", sa.String(length=128), nullable=True),
        sa.Column("logo", sa.String(length=64), nullable=True),
        sa.Column("tile", sa.String(length=64), nullable=True),
        sa.Column("first_release", sa.String(length=10), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("listed_id", sa.Integer(), nullable=True),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mods"),
        sa.UniqueConstraint("id_key", name="uq_mods_id_key"),
    )
    op.create_index("ix_mods_updated_at", "mods", ["updated_at"])
    op.create_table(
        "submissions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("mod_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_submissions"),
    )
    op.create_index("ix_submissions_created_at", "submissions", ["created_at"])
    op.create_table(
        "track_counts",
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("mod_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event", "mod_id", "version", "day", name="pk_track_counts"),
    )
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("content_checksum", sa.String(length=200), nullable=True),
        sa.Column("vp_checksum", sa.String(length=200), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_blobs_owner_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("sha256", name="pk_blobs"),
    )
    op.create_index("ix_blobs_content_checksum", "blobs", ["content_checksum"])
    op.create_index("ix_blobs_owner_id", "blobs", ["owner_id"])
    op.create_index("ix_blobs_touched_at", "blobs", ["touched_at"])
    op.create_table(
        "mail_links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_mail_links_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_mail_links"),
        sa.UniqueConstraint("secret_hash", name="uq_mail_links_secret_hash"),
    )
    op.create_index("ix_mail_links_user_id", "mail_links", ["user_id"])
    op.create_table(
        "members",
        sa.Column("mod_id", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["mod_id"], ["mods.id"], name="fk_members_mod_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_members_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mod_id", "user_id", name="pk_members"),
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mod_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("version_key", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("stability", sa.String(length=16), nullable=True),
        sa.Column("offered", sa.Boolean(), nullable=False),
        sa.Column("once_offered", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("yanked_at", sa.Double(), nullable=True),
        sa.Column("yank_reason", sa.String(length=500), server_default="", nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), server_default="{}", nullable=False),
        sa.Column("published_by", sa.Integer(), nullable=True),
        sa.Column("submission", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["mod_id"], ["mods.id"], name="fk_releases_mod_id"),
        sa.ForeignKeyConstraint(["published_by"], ["users.id"], name="fk_releases_published_by", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
        sa.UniqueConstraint("mod_id", "version_key", name="uq_releases_mod_id_version_key"),
    )
    op.create_index("ix_releases_change", "releases", ["change"])
    op.create_index("ix_releases_mod_id", "releases", ["mod_id"])
    op.create_index("ix_releases_updated_at_change", "releases", ["updated_at", "change"])
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mod_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["mod_id"], ["mods.id"], name="fk_reports_mod_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_reports_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_mod_id", "reports", ["mod_id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_tokens_secret_hash"),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_table(
        "uploads",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("hashed_parts", sa.Integer(), nullable=False),
        sa.Column("hash_state", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_uploads_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name="pk_uploads"),
        sa.UniqueConstraint("sha256", "user_id", name="uq_uploads_sha256_user_id"),
    )
    op.create_index("ix_uploads_touched_at", "uploads", ["touched_at"])
    op.create_index("ix_uploads_user_id", "uploads", ["user_id"])
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mod_id", sa.String(length=128), nullable=True),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("secret", sa.String(length=100), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("events", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("disabled_at", sa.Double(), nullable=True),
        sa.Column("last_try_at", sa.Double(), nullable=True),
        sa.Column("last_result", sa.String(length=300), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_webhooks_created_by", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["mod_id"], ["mods.id"], name="fk_webhooks_mod_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_mod_id", "webhooks", ["mod_id"])
    op.create_table(
        "blob_uses",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name="fk_blob_uses_sha256", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("sha256", "kind", "key", name="pk_blob_uses"),
    )
    op.create_index("ix_blob_uses_kind_key", "blob_uses", ["kind", "key"])
    op.create_table(
        "release_dependencies",
        sa.Column("release_id", sa.Integer(), nullable=False),
        sa.Column("mod_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=True),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name="fk_release_dependencies_release_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("release_id", "mod_id", "number", name="pk_release_dependencies"),
    )
    op.create_index("ix_release_dependencies_mod_id", "release_dependencies", ["mod_id"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_key", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["upload_key"], ["uploads.key"], name="fk_upload_parts_upload_key", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("upload_key", "number", name="pk_upload_parts"),
    )
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(sa.Column("email", sa.String(length=254), nullable=True))
        batch_op.add_column(sa.Column("email_key", sa.String(length=254), nullable=True))
        batch_op.add_column(sa.Column("verified_at", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("disabled_at", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("sessions_valid_from", sa.Double(), server_default="0", nullable=False))
        batch_op.alter_column("created_at", existing_type=sa.FLOAT(), type_=sa.Double(), existing_nullable=False)
        batch_op.create_unique_constraint("uq_users_email_key", ["email_key"])
    op.bulk_insert(
        sa.table("change_counter", sa.column("id"), sa.column("value"), sa.column("written")),
        [{"id": 1, "value": 0, "written": 0}],
    )


def downgrade() -> None:
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_constraint("uq_users_email_key", type_="unique")
        batch_op.alter_column("created_at", existing_type=sa.Double(), type_=sa.Float(), existing_nullable=False)
        batch_op.drop_column("sessions_valid_from")
        batch_op.drop_column("disabled_at")
        batch_op.drop_column("verified_at")
        batch_op.drop_column("email_key")
        batch_op.drop_column("email")
    for table in (
        "upload_parts",
        "release_dependencies",
        "blob_uses",
        "webhooks",
        "uploads",
        "tokens",
        "reports",
        "releases",
        "members",
        "mail_links",
        "blobs",
        "track_counts",
        "submissions",
        "mods",
        "login_failures",
        "log_pages",
        "change_counter",
        "audit_log",
    ):
        op.drop_table(table)
