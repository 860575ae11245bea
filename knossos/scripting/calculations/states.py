"""Where a calculation is, and what a batch system's words mean. Pure.

The operator's ``getstatus`` prints a word and, after it, what people may want to know; or the element ``<status>`` of
the protocol. Whatever else it prints says nothing: that is "unknown", which ends nothing.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from enum import StrEnum

from knossos.jobs import JobRecord, JobState
from knossos.scripting.calculations.input import BadInput, check_xml
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Run


class CalculationState(StrEnum):
    """Where a calculation is in its life."""

    #: Accepted; waits for a worker, or in the batch system.
    QUEUED = "queued"
    #: The program is at it.
    RUNNING = "running"
    #: The program ended well.
    FINISHED = "finished"
    #: The program ended badly, or could not be started.
    FAILED = "failed"
    #: Somebody ended it.
    CANCELLED = "cancelled"
    #: The batch system does not say; it is asked again.
    UNKNOWN = "unknown"

    @property
    def over(self) -> bool:
        """True for the states that nothing leaves."""
        return self in (CalculationState.FINISHED, CalculationState.FAILED, CalculationState.CANCELLED)


#: What batch systems say instead of our words, as far as it has one meaning.
_SYNONYMS = {
    "pending": CalculationState.QUEUED,
    "waiting": CalculationState.QUEUED,
    "completing": CalculationState.RUNNING,
    "completed": CalculationState.FINISHED,
    "done": CalculationState.FINISHED,
    "canceled": CalculationState.CANCELLED,
}
#: Characters of what a batch system says that are kept.
MAX_TEXT_CHARS = 2_000
#: What batch systems call jobs: 17, 17;cluster, 17.host.example.org, 17[3].host.
_JOB = re.compile(r"(?=.*[0-9])[A-Za-z0-9][A-Za-z0-9._@:;+\[\]-]{0,99}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Report:
    """What a batch system says of a calculation."""

    state: CalculationState
    text: str = ""


def read_report(output: str) -> Report:
    """What ``getstatus`` has printed."""
    text = plain(output)
    if text.startswith("<"):
        return _read_element(text)
    word, _, rest = text.partition("\n")[0].partition(" ")
    state = _state_of(word.rstrip(":"))
    if state is None:
        return Report(CalculationState.UNKNOWN, f"getstatus printed what means nothing here: {text}" if text else "")
    more = "\n".join(filter(None, (rest.strip(), text.partition("\n")[2].strip())))
    return Report(state, more)


def _read_element(text: str) -> Report:
    try:
        check_xml(text.encode())
        element = ET.fromstring(text)  # noqa: S314 - checked above
    except (BadInput, ET.ParseError):
        element = ET.Element("none")
    state = _state_of(element.get("state", "")) if element.tag == "status" else None
    if state is None:
        return Report(CalculationState.UNKNOWN, f"getstatus printed what means nothing here: {text}")
    return Report(state, "".join(element.itertext()).strip())


def _state_of(word: str) -> CalculationState | None:
    word = word.lower()
    return CalculationState(word) if word in list(CalculationState) else _SYNONYMS.get(word)


def read_job(text: str) -> str:
    """The job's id in what ``startcalc`` has printed or left in the file ``job``; "" where there is none.

    It is the first word of the last line, or where there are several, the last one that begins with a digit:
    ``Submitted batch job 17``.
    """
    words = next((line.split() for line in reversed(text.splitlines()) if line.strip()), [])
    found = words if len(words) == 1 else [word for word in words if word[0].isdigit()]
    return found[-1] if found and _JOB.fullmatch(found[-1]) else ""


def plain(text: str) -> str:
    """A text of a program's without what neither XML nor a page can show, and not too long."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.strip())[:MAX_TEXT_CHARS]


def state_of(run: Run | None, record: JobRecord | None, batch: CalculationState | None) -> CalculationState:
    """The state of a calculation.

    Args:
        run: None: its row is being written.
        record: its job, while the engine has it.
        batch: what the batch system said last, where there is one.
    """
    if run is None:
        return CalculationState.QUEUED
    works = record is not None and record.state is JobState.RUNNING
    return stage_of(run.outcome, run.exit_code, works, batch)


def stage_of(
    outcome: RunOutcome | None, exit_code: int | None, works: bool, batch: CalculationState | None
) -> CalculationState:
    """The state of a calculation by how its run ended, whether its job works, and what the batch system said last."""
    if outcome is not None:
        if outcome is RunOutcome.EXITED and exit_code == 0:
            return CalculationState.FINISHED
        return CalculationState.CANCELLED if outcome is RunOutcome.CANCELLED else CalculationState.FAILED
    if batch is not None and not batch.over:
        return batch
    # What the batch system has ended is being collected.
    works = works or batch is not None
    return CalculationState.RUNNING if works else CalculationState.QUEUED
