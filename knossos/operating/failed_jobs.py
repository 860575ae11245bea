"""What an operator may do with a job that failed: start it once more, or delete it.

A job has one outcome, which stands: starting it once more makes a new job that is asked to do the same. That does no
harm only where nobody else waits for this very job, and where doing it late, or twice, changes nothing; the kinds of
which that is true are listed here, each with what happens. All others are for whoever has sent them to send again.
"""

from __future__ import annotations

from knossos import tally
from knossos.accounts.audit import Actor, Audit
from knossos.errors import InvalidInput
from knossos.jobs import Engine, JobRecord, JobState
from knossos.jobs.again import may_be_submitted_again, submit_again

#: Kinds of jobs that may be started once more, and what that does.
RETRIES = {
    "webhook": "Asks the address once more. It has not accepted this message so far.",
    "mail": "Hands the mail to the mail server once more. A link in it is made anew.",
    "repository": "Brings the repository's files up to date, unless they are by now.",
}
#: Why others may not.
NO_RETRY = "Whoever sent it can send it again; the server cannot do that in their name."
#: What deleting does.
DELETION = "Removes the task with its log. What was published or kept of it stays."


def what_a_retry_does(record: JobRecord) -> str | None:
    """What starting it once more does; None where it may not be."""
    return RETRIES.get(record.kind) if record.state is JobState.FAILED and record.again is None else None


def retry(engine: Engine, audit: Audit, ticket: int, by: Actor) -> JobRecord:
    """Start a failed job once more, as a new one, which is answered.

    Raises:
        JobNotFound: there is no such job (any more).
        InvalidInput: it may not be started once more, or has been.
    """
    record = engine.find(ticket, withheld=True)
    if record.state is not JobState.FAILED:
        raise InvalidInput(f"Task {ticket} has not failed: it is {record.state}.")
    if record.again is not None:
        raise InvalidInput(f"Task {ticket} was started again as task {record.again} already.")
    if what_a_retry_does(record) is None or not may_be_submitted_again(engine, ticket):
        raise InvalidInput(f"Task {ticket} may not be started again. {NO_RETRY}")
    made = submit_again(engine, record)
    if made is None:
        raise InvalidInput(f"Task {ticket} is being started again already.")
    details = {"kind": record.kind, "again": made.ticket}
    _note(audit, by, "task.retry", ticket, details)
    return made


def delete(engine: Engine, audit: Audit, ticket: int, by: Actor) -> None:
    """Remove a failed job with its log.

    Raises:
        JobNotFound: there is no such job (any more).
        InvalidInput: it has not failed.
    """
    record = engine.find(ticket, withheld=True)
    if record.state is not JobState.FAILED:
        raise InvalidInput(f"Task {ticket} has not failed: it is {record.state}.")
    engine.forget(ticket)
    _note(audit, by, "task.delete", ticket, {"kind": record.kind, "title": record.title})


def _note(audit: Audit, by: Actor, action: str, ticket: int, details: dict[str, object]) -> None:
    audit.write(actor=by.name, address=by.address, action=action, subject=f"task:{ticket}", details=details)
    tally.add("operator_actions", action)
