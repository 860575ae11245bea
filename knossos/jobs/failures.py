"""What the user is told of a job that ended with an error.

What was raised on purpose is told in its own words, and what a machine lacks for the moment in ours; of anything else
nothing is told but that it is a mistake of the server, since what stands in it may be a secret.
"""

from __future__ import annotations

import errno
from typing import Any

from rq.timeouts import JobTimeoutException
from sqlalchemy.exc import OperationalError

from knossos.errors import KnossosError
from knossos.jobs.records import JobFailure

#: Numbers of the errors of a disk that is full, or of which one may have no more.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def explain(error: BaseException | None, timeout: Any) -> JobFailure:
    """Say why a job failed; ``timeout`` is how many seconds it was allowed."""
    if isinstance(error, KnossosError):
        return JobFailure(code=error.code, message=error.message, details=error.details)
    if isinstance(error, JobTimeoutException):
        return JobFailure(code="timeout", message=f"The task was ended because it took longer than {timeout} seconds.")
    if isinstance(error, OSError) and error.errno in _FULL:
        return JobFailure(
            code="disk_full", message="The disk of the machine that ran the task is full. Try again later."
        )
    if isinstance(error, OperationalError):
        text = "The database went away while the task ran. Try again in a moment."
        return JobFailure(code="database_unavailable", message=text)
    return JobFailure(
        code="internal",
        message="The server made a mistake. Its log says more; please tell the operator the number of this task.",
    )
