"""Handing a release to the workers and waiting for the outcome, once for each request however often it is sent.

Clients give up after some minutes and send the same request again: it joins the job that is still at it, or gets the
answer that nobody has got yet. Owns the table ``submissions``: which job checks which request, until it is answered.
After that a request that was refused is checked anew, since what was wrong may have been mended elsewhere; and one that
was published is what any other with that version is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from knossos.accounts.access import owner_of_account
from knossos.accounts.tokens import Identity
from knossos.database import Database, insert_into
from knossos.jobs import JobNotFinished, JobNotFound, JobRecord, JobSpec, JobState
from knossos.packaging.description import Action
from knossos.publishing.digests import digest_of
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.releases import Mode
from knossos.publishing.tables import Submission
from knossos.settings import Settings

if TYPE_CHECKING:
    from knossos.jobs import Engine

KIND = "release"
FUNCTION = "knossos.publishing.release_job.check_and_publish"

#: Seconds that a request waits for its job: somewhat less than the clients wait for the request.
WAIT_SECONDS = 280.0
#: Seconds between two looks at a job: at first, and at most; each pause is longer by this factor.
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.02, 0.5, 1.3

STILL_CHECKING = "still checking"

_TITLES = {
    Mode.RELEASE: "Release of {}",
    Mode.UPDATE: "Update of {}",
    Mode.PREFLIGHT: "Check of {} before its upload",
    Mode.DRY_RUN: "Check of {}",
}

_log = logging.getLogger(__name__)


class Submissions:
    """``sleep`` and ``clock`` (seconds that only grow) are for the waiting, which ends if ``is_stopping`` says so."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        engine: Engine,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._database = database
        self._engine = engine
        self._sleep = sleep
        self._clock = clock
        self._is_stopping = is_stopping

    def run(
        self,
        identity: Identity,
        document: ReleaseDocument,
        mode: Mode,
        *,
        actions: Sequence[Action] = (),
        address: str = "",
        wait_seconds: float = WAIT_SECONDS,
    ) -> dict[str, Any]:
        """Have a release checked (and published), and wait for the outcome.

        Args:
            actions: those of the mod as it was sent; its archives are packed anew so that nobody else needs them.
            address: the sender's network address, for the audit log.

        Returns:
            The answer for the client: ``result``, ``reason`` and ``message`` where that is false, ``errors``,
            ``warnings``, ``ticket`` and ``token`` of the job. After ``wait_seconds``, or when this
            process is being stopped, the reason is "still checking".
        """
        record = self.start(identity, document, mode, actions=actions, address=address)
        digest = digest_of(identity.user_id, document, mode, actions)
        return self.answer_to(digest, record, wait_seconds)

    def start(
        self,
        identity: Identity,
        document: ReleaseDocument,
        mode: Mode,
        *,
        actions: Sequence[Action] = (),
        address: str = "",
    ) -> JobRecord:
        """The job of this request: the one that is at it, or a new one."""
        digest = digest_of(identity.user_id, document, mode, actions)
        payload = {
            "document": document.model_dump(mode="json"),
            "mode": mode,
            "user_id": identity.user_id,
            "proof": asdict(identity.proof),
            "address": address,
            "submission": digest,
            "actions": [action.model_dump(mode="json") for action in actions],
        }
        title = _TITLES[mode].format(f"{document.title} {document.version}")
        return self.join(digest, document.id, document.version, self.spec(FUNCTION, title, identity, payload))

    def spec(self, function: str, title: str, identity: Identity, payload: dict[str, Any]) -> JobSpec:
        """A job that checks for an account, and may take long."""
        return JobSpec(
            function=function,
            kind=KIND,
            title=title,
            owner=owner_of_account(identity.name),
            payload=payload,
            timeout_seconds=self._settings.release_timeout_seconds,
        )

    def join(self, digest: str, mod_id: str, version: str, spec: JobSpec) -> JobRecord:
        """The job that is at the request with this digest, or was and is not answered yet; else a new one."""
        with self._database.session() as session:
            # The row is there, and locked, before the job is: of two requests at once the second finds the first's.
            now = time.time()
            row = {"digest": digest, "ticket": 0, "mod_id": mod_id, "version": version}
            statement = insert_into(session, Submission).values(**row, created_at=now)
            session.execute(statement.on_conflict_do_nothing())
            ticket = session.scalar(select(Submission.ticket).where(Submission.digest == digest).with_for_update())
            running = self._worth_joining(ticket or 0)
            if running is not None:
                return running
            record = self._engine.submit(spec)
            session.execute(
                update(Submission).where(Submission.digest == digest).values(ticket=record.ticket, created_at=now)
            )
        return record

    def answer_to(self, digest: str, record: JobRecord, wait_seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """Wait for a job. Once its outcome is given out, the request with this digest counts as answered."""
        answer = self.wait(record, wait_seconds)
        if answer.get("reason") != STILL_CHECKING:
            with self._database.session() as session:
                session.execute(
                    delete(Submission).where(Submission.digest == digest, Submission.ticket == record.ticket)
                )
        return answer

    def wait(self, record: JobRecord, wait_seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The outcome of a job as the client's answer, or that it is still at it."""
        deadline, pause = self._clock() + wait_seconds, FIRST_PAUSE
        while True:
            try:
                record = self._engine.find(record.ticket)
                if record.state.finished:
                    return self._answer(record)
            except JobNotFound:
                return _refused(record, "cancelled", "The check was removed before it ended. Send the release again.")
            left = deadline - self._clock()
            if left <= 0 or self._is_stopping():
                text = "The release is still being checked. Send it again to wait on, or watch its task."
                return _refused(record, STILL_CHECKING, text)
            self._sleep(min(pause, left))
            pause = min(LONGEST_PAUSE, pause * GROWTH)

    def purge(self, older_than_seconds: float) -> int:
        """Forget requests that were sent so long ago; how many. Their jobs are the engine's to forget."""
        with self._database.session() as session:
            old = delete(Submission).where(Submission.created_at < time.time() - older_than_seconds)
            return len(session.execute(old.returning(Submission.digest)).all())

    def _worth_joining(self, ticket: int) -> JobRecord | None:
        """The job, if it is still at it, or has ended well."""
        if not ticket:
            return None
        try:
            record = self._engine.find(ticket)
            if not record.state.finished:
                return record
            if record.state is JobState.SUCCEEDED:
                result = self._engine.result(ticket)
                return record if isinstance(result, dict) and result.get("result") is True else None
        except (JobNotFound, JobNotFinished):
            pass
        return None

    def _answer(self, record: JobRecord) -> dict[str, Any]:
        if record.state is JobState.SUCCEEDED:
            result = self._engine.result(record.ticket)
            if isinstance(result, dict):
                return {**result, "ticket": record.ticket, "token": record.token}
        if record.state is JobState.CANCELLED:
            return _refused(record, "cancelled", "The check was cancelled. Send the release again.")
        failure = record.failure
        reason = {"timeout": "timeout"}.get(failure.code if failure else "", "check failed")
        text = failure.message if failure else "The check could not be ended. Send the release again."
        _log.warning("task %s, which checks a release, failed: %s", record.ticket, text)
        return _refused(record, reason, text)


def _refused(record: JobRecord, reason: str, message: str) -> dict[str, Any]:
    shared = {"errors": [], "warnings": [], "ticket": record.ticket, "token": record.token}
    return {"result": False, "reason": reason, "message": message, **shared}
