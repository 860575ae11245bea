"""The tables of accounts. Only ``accounts.py`` reads and writes them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
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
    #: Unix time in seconds.
    created_at: Mapped[float]
    roles: Mapped[list[UserRole]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="UserRole.role"
    )


class UserRole(Base):
    __tablename__ = "user_roles"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)
