"""The tables of scripting. Times are Unix time in seconds, sizes bytes. Only this package reads and writes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from knossos.database import Base


class ScriptRun(Base):
    """A run of a script or a runner, from its acceptance until what is kept of it has expired."""

    __tablename__ = "script_runs"

    #: A random UUID.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    #: The engine's number of its job; None for the moment between the row and the job.
    ticket: Mapped[int | None] = mapped_column(BigInteger, index=True)
    #: A `RunKind`.
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(500))
    #: Whose it is, as the engine names owners; "anonymous" for nobody.
    owner: Mapped[str] = mapped_column(String(200))
    #: What was called, as it may be shown: the arguments without the token, JSON.
    arguments: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(index=True)
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    #: When what is kept of it goes.
    expires_at: Mapped[float] = mapped_column(index=True)
    #: A `RunOutcome`; None while it has not ended.
    outcome: Mapped[str | None] = mapped_column(String(16))
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    #: What went wrong, for people; "" where nothing did.
    error: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: Bytes of output that were dropped because there were too many.
    dropped_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    #: The last part of the path of its SHARED_DIR, a random name.
    shared_name: Mapped[str] = mapped_column(String(40), index=True)

    __table_args__ = (
        Index("ix_script_runs_owner_created_at", "owner", "created_at"),
        Index("ix_script_runs_kind_created_at", "kind", "created_at"),
        Index("ix_script_runs_kind_owner_created_at", "kind", "owner", "created_at"),
        # The few that have not ended, among all that are kept.
        Index(
            "ix_script_runs_unended",
            "owner",
            "created_at",
            sqlite_where=text("outcome IS NULL"),
            postgresql_where=text("outcome IS NULL"),
        ),
    )


class ScriptFile(Base):
    """A kept file of a run. Its bytes are in the storage before the row is here."""

    __tablename__ = "script_files"

    run_id: Mapped[str] = mapped_column(ForeignKey("script_runs.id", ondelete="CASCADE"), primary_key=True)
    #: Counts from 0.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: A `FileRole`.
    role: Mapped[str] = mapped_column(String(16))
    #: Its path, as the run named it.
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(String(200))


class ScriptToken(Base):
    """A token that a run was given. The token itself is not kept, only its SHA-256."""

    __tablename__ = "script_tokens"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("script_runs.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: JSON list of the roles that count instead of the account's; None: the account's do.
    roles: Mapped[str | None] = mapped_column(Text)
    #: JSON list of permissions beside those of the roles.
    permissions: Mapped[str] = mapped_column(Text, default="[]")
    expires_at: Mapped[float]
    #: How often it may still be used; None: without limit.
    uses_left: Mapped[int | None]
