"""The tables of schedules. Times are Unix time in seconds. Only this package, and what settles runs, writes them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from knossos.database import Base


class ScheduleRow(Base):
    """What an account has run at a time, or again and again."""

    __tablename__ = "schedules"

    #: A random UUID.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: What its owner calls it.
    name: Mapped[str] = mapped_column(String(100))
    #: A `RunKind`: "script", "home" or "calculation".
    kind: Mapped[str] = mapped_column(String(16))
    #: The script's name; the path in the home, "" where the text is kept here; the SHA-1 of a calculation's input.
    target: Mapped[str] = mapped_column(String(1000))
    #: JSON list of the script's arguments.
    arguments: Mapped[str] = mapped_column(Text, default="[]", server_default="[]")
    #: JSON object with the values of the script's form; "" where it has none.
    form: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: Where the storage has the script's text or the calculation's input; "" for nothing.
    content_key: Mapped[str] = mapped_column(String(200), default="", server_default="")
    #: When it comes, for one that comes once; else ``cron`` says it.
    at: Mapped[float | None]
    cron: Mapped[str] = mapped_column(String(100), default="", server_default="")
    #: IANA name of the time zone that ``cron`` is meant in.
    zone: Mapped[str] = mapped_column(String(64))
    #: When it is due next; None: it is off. Whoever changes it from the value that they saw has the time that it was.
    next_at: Mapped[float | None] = mapped_column(index=True)
    #: Why it is off, where nobody has switched it off; "" otherwise.
    stopped: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: A `NoticeWhen`.
    notify: Mapped[str] = mapped_column(String(16))
    notify_mail: Mapped[bool]
    #: Address that is told; "" for none.
    notify_url: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[float]
    changed_at: Mapped[float]


class FiringRow(Base):
    """A time at which a schedule was due, and what came of it. Its run's id is decided with it."""

    __tablename__ = "schedule_firings"

    #: A random UUID.
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"), index=True)
    due_at: Mapped[float]
    #: When somebody last took it upon themselves to have it run.
    claimed_at: Mapped[float]
    #: Whether its owner asked for it rather than the clock.
    by_hand: Mapped[bool]
    #: A `FiringState`.
    state: Mapped[str] = mapped_column(String(16), index=True)
    #: What there is to say of it, for people.
    text: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: The run (`ScriptRun`), whose row comes a moment later and goes much sooner.
    run_id: Mapped[str] = mapped_column(String(36), unique=True)
    #: What came of the run: a `RunOutcome`; None while it has not ended.
    outcome: Mapped[str | None] = mapped_column(String(16))
    exit_code: Mapped[int | None]
    ended_at: Mapped[float | None]
