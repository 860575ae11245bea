"""What the worker notes of a calculation in a batch system, while it follows it."""

from __future__ import annotations

import time

from sqlalchemy import update

from knossos.database import Database
from knossos.scripting.calculations.states import Report
from knossos.scripting.calculations.tables import CalculationRow


def note_batch(database: Database, run_id: str, report: Report, job: str) -> None:
    """Note what the batch system said. Nothing happens where the calculation was deleted."""
    values = {"batch_state": report.state, "batch_text": report.text, "changed_at": time.time()}
    if job:
        values["batch_job"] = job
    with database.session() as session:
        session.execute(update(CalculationRow).where(CalculationRow.run_id == run_id).values(**values))
