"""The table of calculations. Times are Unix time in seconds. Only this package reads and writes it."""

from __future__ import annotations

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from knossos.database import Base


class CalculationRow(Base):
    """A calculation, from its acceptance until it is deleted or what is kept of its run has expired.

    How it ended is the run's to say; the columns ``batch_*`` are what a batch system said of it on the way.
    """

    __tablename__ = "calculations"

    #: Of its ``input.xml``, in small letters. That it is unique is what starts one input once.
    sha1: Mapped[str] = mapped_column(String(40), primary_key=True)
    #: Its run (`ScriptRun`), whose row is written a moment later.
    run_id: Mapped[str] = mapped_column(String(36), unique=True)
    created_at: Mapped[float]
    changed_at: Mapped[float]
    #: What the batch system calls it; "" where there is none, or not yet.
    batch_job: Mapped[str] = mapped_column(String(100), default="", server_default="")
    #: A `CalculationState`; None: nothing was said yet.
    batch_state: Mapped[str | None] = mapped_column(String(16))
    #: What the batch system said, for people.
    batch_text: Mapped[str] = mapped_column(Text, default="", server_default="")
    #: The last number of each line of its plot, as JSON, for lists; None: nobody has read its output yet.
    plotted: Mapped[str | None] = mapped_column(Text)
