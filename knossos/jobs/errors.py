"""What can go wrong between a job and those who submit, watch or run it."""

from __future__ import annotations

from knossos.errors import KnossosError, NotFound


class JobNotFound(NotFound):
    """No job has this ``ticket`` (any more)."""

    code = "job_not_found"


class JobNotFinished(KnossosError):
    """The job ``ticket`` has no result yet."""

    code = "job_not_finished"


class QuestionTimeout(KnossosError):
    """Nobody answered the question of a job within ``seconds``."""

    code = "question_timeout"


class JobInterrupted(BaseException):
    """The job must end at once. Not an ``Exception``: code that collects errors must never swallow it."""


class JobCancelled(JobInterrupted):
    """Somebody cancelled the job."""


class JobSuperseded(JobInterrupted):
    """The job was given to another worker, or is gone: whatever this process still writes is refused."""
