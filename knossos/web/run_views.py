"""What pages are told of a run: pure functions from runs and their jobs to what is shown."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from knossos.jobs import JobRecord, JobState
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import BriefRun, KeptFile, Run

_OUTCOMES = {
    RunOutcome.TIMEOUT: "Its time was over",
    RunOutcome.MEMORY: "It used too much memory",
    RunOutcome.DISK: "It wrote too much",
    RunOutcome.CANCELLED: "Cancelled",
    RunOutcome.LOST: "Its worker was lost",
    RunOutcome.FAILED: "It could not be run",
}
_ROLES = {
    FileRole.STDOUT: "Standard output",
    FileRole.STDERR: "Standard error",
    FileRole.SHARED: "Shared by the script",
    FileRole.ATTACHMENT: "Attachment",
    FileRole.RESULTS: "Results",
    FileRole.WRITTEN: "Written by the program",
}
_FILE_NAMES = {FileRole.STDOUT: "stdout.txt", FileRole.STDERR: "stderr.txt", FileRole.RESULTS: "results.json"}

#: What a terminal would obey: control sequences, strings such as titles, and short ones.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class FileView:
    number: int
    name: str
    kind: str
    size: int


def state_of(run: Run, record: JobRecord | None) -> JobState:
    """The state of a run in the words of tasks."""
    if run.outcome is None:
        running = record is not None and record.state is JobState.RUNNING
        return JobState.RUNNING if running else JobState.QUEUED
    if run.succeeded:
        return JobState.SUCCEEDED
    return JobState.CANCELLED if run.outcome is RunOutcome.CANCELLED else JobState.FAILED


def ending_of(run: Run | BriefRun) -> str:
    """How it ended, in a few words; "" where it has not."""
    if run.outcome is None:
        return ""
    if run.outcome is RunOutcome.EXITED:
        return f"Exit code {run.exit_code}"
    if run.outcome is RunOutcome.SIGNALLED:
        return f"Signal {signal_name(run.signal)}"
    return _OUTCOMES[run.outcome]


def signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return str(number)


def runtime_of(run: Run | BriefRun, now: float) -> float | None:
    """Seconds for which it ran, or has been running; None before."""
    return None if run.started_at is None else max(0.0, (run.ended_at or now) - run.started_at)


def file_views(files: Iterable[KeptFile]) -> list[FileView]:
    """What can be downloaded, without empty output."""
    shown = [file for file in files if file.size or file.role not in (FileRole.STDOUT, FileRole.STDERR)]
    return [FileView(file.number, file_name(file), _ROLES[file.role], file.size) for file in shown]


def file_name(file: KeptFile) -> str:
    """The name under which a file is downloaded."""
    return _FILE_NAMES.get(file.role) or PurePosixPath(file.name).name or "file"


def plain_text(text: str) -> str:
    """What a program wrote, without what only a terminal understands."""
    return _CONTROLS.sub("", _ANSI.sub("", text.replace("\r\n", "\n")))
