"""What pages show of people's own scripts: rows of their list, and what the page of a run has besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app

from knossos.accounts.access import owner_of_account
from knossos.homes.scripts import JobRow, JobStatus
from knossos.jobs import JobRecord, JobState
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Run
from knossos.storage import NoSuchObject
from knossos.web.authentication import current_session
from knossos.web.services import services

#: Bytes of a script that the page of its run shows: its beginning. The download has all of it.
SHOWN_BYTES = 256 * 1024

_STATES = {
    JobStatus.WAITING: JobState.QUEUED,
    JobStatus.RUNNING: JobState.RUNNING,
    JobStatus.DONE: JobState.SUCCEEDED,
    JobStatus.FAILED: JobState.FAILED,
}


@dataclass(frozen=True)
class ScriptText:
    """The beginning of a script, as it is shown. ``lines`` is how many are; ``cut``: whether there are more."""

    text: str
    lines: int
    cut: bool


def state_of_row(row: JobRow) -> JobState:
    """The state of a job in the words of tasks."""
    return JobState.CANCELLED if row.run.outcome is RunOutcome.CANCELLED else _STATES[row.status]


def place_in_line(waiting_before: int | None, waits_for_own: bool = False) -> str:
    """What a job waits for, in words; "" where it does not wait.

    Args:
        waiting_before: how many are to begin before it; None: it does not wait.
        waits_for_own: its owner has as many running as one person may have.
    """
    if waiting_before is None:
        return ""
    if waits_for_own:
        return "Waits until another script of the same person has ended"
    return f"{waiting_before:,} before it" if waiting_before else "Next in line"


def script_text(script: bytes, most: int = SHOWN_BYTES) -> ScriptText:
    """The beginning of a script up to a whole line, as text. What is no UTF-8 is replaced."""
    shown = script[:most]
    if cut := len(script) > most:
        shown = shown[: shown.rfind(b"\n") + 1] or shown
    text = shown.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n")
    return ScriptText(text, text.count("\n") + 1, cut)


def is_page(endpoint: str) -> bool:
    """Whether this server has that page, for links between pages."""
    return endpoint in current_app.view_functions


def about_home_run(run: Run, record: JobRecord | None) -> Mapping[str, Any]:
    """What the page of a person's script shows beside what the pages of all runs do."""
    scripts, session = services().home_scripts, current_session()
    try:
        script = scripts.script(run.run_id)
    except NoSuchObject:  # it expires this very moment
        script = b""
    is_own = session is not None and run.owner == owner_of_account(session.name)
    return {
        "title": scripts.title(run.run_id),
        "place": place_in_line(scripts.waiting_before(run), scripts.waits_for_own(run)),
        "script": script_text(script),
        "script_size": len(script),
        "is_own": is_own,
        "may_signal": is_own or (session is not None and session.is_operator),
        "whose": run.owner.removeprefix(owner_of_account("")),
        "may_send": session is not None and bool(services().settings.command),
    }
