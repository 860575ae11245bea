"""The tables of accounts. Only this package reads and writes them; others refer to ``users.id``."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from knossos.database import Base


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: As its owner wrote it.
    name: Mapped[str] = mapped_column(String(64))
    #: The name in lower case: two accounts must not differ only in case.
    name_key: Mapped[str] = mapped_column(String(64), unique=True)
    #: Argon2id, with its parameters in it.
    password_hash: Mapped[str] = mapped_column(String(255))
    #: Unix time in seconds, as all times here.
    created_at: Mapped[float]
    #: Where mails go; None for accounts that the operator made without one.
    email: Mapped[str | None] = mapped_column(String(254))
    #: In lower case: one account for each address.
    email_key: Mapped[str | None] = mapped_column(String(254), unique=True)
    #: When the address was proved to be theirs.
    verified_at: Mapped[float | None]
    #: Since when the account may not be used. None: it may.
    disabled_at: Mapped[float | None]
    #: Sessions and login tokens that were issued before are void.
    sessions_valid_from: Mapped[float] = mapped_column(default=0.0, server_default="0")
    roles: Mapped[list[UserRole]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="UserRole.role"
    )


class UserRole(Base):
    __tablename__ = "user_roles"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class Token(Base):
    """A login of a mod manager, or a personal API token. The token itself is not kept, only its SHA-256."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: "login" or "api".
    kind: Mapped[str] = mapped_column(String(16))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    #: What its owner calls it.
    name: Mapped[str] = mapped_column(String(100), default="")
    #: Words separated by spaces; a login has all.
    scopes: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class MailLink(Base):
    """A secret that was mailed: it proves an address, or opens the way to a new password, once."""

    __tablename__ = "mail_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: "verify" or "reset".
    purpose: Mapped[str] = mapped_column(String(16))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]


class EndedSession(Base):
    """A session whose owner has logged out. The cookie itself is not kept, only its SHA-256."""

    __tablename__ = "ended_sessions"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: When the cookie would have ended by itself, so that nobody need know of it any more.
    expires_at: Mapped[float]


class LoginFailures(Base):
    """Wrong passwords for an account or from an address, in the current window."""

    __tablename__ = "login_failures"

    #: "account" or "address".
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    #: The name in lower case, or the address.
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    count: Mapped[int]
    first_at: Mapped[float]


class AuditEntry(Base):
    """Who did what to what, when, and from where. Rows are only added."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    #: The account's name, "operator" for a command, or "" where nobody is known.
    actor: Mapped[str] = mapped_column(String(100))
    #: The client's network address, "" for a command.
    address: Mapped[str] = mapped_column(String(64), default="")
    #: Such as "login", "release.publish", "token.revoke".
    action: Mapped[str] = mapped_column(String(64))
    #: What it was done to, such as "user:dora" or "mod:fsport 3.7.0".
    subject: Mapped[str] = mapped_column(String(300), default="")
    #: JSON.
    details: Mapped[str] = mapped_column(Text, default="{}")

    __table_args__ = (Index("ix_audit_log_subject", "subject"),)
