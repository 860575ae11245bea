"""The table of notices. Times are Unix time in seconds. Only this package writes it."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from knossos.database import Base


class NoticeRow(Base):
    """Something that somebody will be told by one channel, or was."""

    __tablename__ = "run_notices"

    #: A random UUID: the delivery's, the same at each try.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: The run that it waits for; None where there is none: its schedule has something to say.
    run_id: Mapped[str | None] = mapped_column(String(36), index=True)
    #: The schedule behind it; None where somebody asked on the run's page.
    schedule_id: Mapped[str | None] = mapped_column(String(36))
    #: A `Channel`.
    channel: Mapped[str] = mapped_column(String(16))
    #: Address of the webhook; "" for a mail, which goes to the account's address as it is then.
    url: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: A `NoticeWhen`, but "never".
    condition: Mapped[str] = mapped_column(String(16))
    #: What ran, or is scheduled, as people call it.
    title: Mapped[str] = mapped_column(String(300))
    #: A `NoticeEvent`.
    event: Mapped[str] = mapped_column(String(32))
    #: What there is to say besides.
    text: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: A `NoticeState`.
    state: Mapped[str] = mapped_column(String(16), index=True)
    created_at: Mapped[float]
    due_at: Mapped[float | None]
    #: When a job was last made for it, and that job.
    submitted_at: Mapped[float | None]
    ticket: Mapped[int | None] = mapped_column(BigInteger)
    #: When the last try was, and what came of it.
    tried_at: Mapped[float | None]
    result: Mapped[str] = mapped_column(String(300), default="", server_default="")
