"""The job engine, on RQ: submit, find, follow, answer, cancel, retry, forget. It knows no domain.

``Engine`` is what web, live and cron use; ``JobContext`` is what a job function receives; ``worker.run`` runs jobs.
"""

from knossos.jobs.context import JobContext
from knossos.jobs.engine import Engine
from knossos.jobs.errors import (
    JobCancelled,
    JobInterrupted,
    JobNotFinished,
    JobNotFound,
    JobSuperseded,
    QuestionTimeout,
)
from knossos.jobs.events import Event, FilePhase, FileProgress, parse_entry
from knossos.jobs.records import JobFailure, JobRecord, JobSpec, Limit
from knossos.jobs.states import JobState, Signal

__all__ = [
    "Engine",
    "Event",
    "FilePhase",
    "FileProgress",
    "JobCancelled",
    "JobContext",
    "JobFailure",
    "JobInterrupted",
    "JobNotFinished",
    "JobNotFound",
    "JobRecord",
    "JobSpec",
    "JobState",
    "JobSuperseded",
    "Limit",
    "QuestionTimeout",
    "Signal",
    "parse_entry",
]
