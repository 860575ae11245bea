"""Handing a release to the workers and waiting for the outcome, once for each request however often it is sent.

Clients give up after some minutes and send the same request again: it joins the job that is still at it. Owns the table
``submissions``, which says which job checks which request. A request whose job has ended badly is checked anew: its
author may have mended what was wrong outside of it. One that ended well is answered again as it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from knossos.accounts.access import owner_of_account
from knossos.accounts.tokens import Identity
from knossos.database import Database, insert_into
from knossos.jobs import JobNotFinished, JobNotFound, JobRecord, JobSpec, JobState
from knossos.packaging.description import Action
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


def digest_of(user_id: int, document: ReleaseDocument, mode: Mode, actions: Sequence[Action] = ()) -> str:
    """What makes two requests the same: who sends it, what is to be done, and all of the release."""
    told = [action.model_dump(mode="json") for action in actions]
    # The day on which a request came is no part of it: it may come again after midnight.
    plain = document.model_dump(mode="json", exclude={"last_update"})
    text = json.dumps([user_id, mode, plain, told], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Submissions:
    """``sleep`` and ``clock`` (seconds that only grow) are for the waiting."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        engine: Engine,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self._engine = engine
        self._sleep = sleep
        self._clock = clock

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
            ``warnings``, ``ticket`` and ``token`` of the job. After ``wait_seconds`` the reason is "still checking".
        """
        return self.wait(self.start(identity, document, mode, actions=actions, address=address), wait_seconds)

    def start(
        self,
        identity: Identity,
        document: ReleaseDocument,
        mode: Mode,
        *,
        actions: Sequence[Action] = (),
        address: str = "",
    ) -> JobRecord:
        """The job of this request: the one that is at it or has ended well, or a new one."""
        digest = digest_of(identity.user_id, document, mode, actions)
        with self._database.session() as session:
            # The row is there, and locked, before the job is: of two requests at once the second finds the first's.
            now = time.time()
            row = {"digest": digest, "ticket": 0, "mod_id": document.id, "version": document.version}
            statement = insert_into(session, Submission).values(**row, created_at=now)
            session.execute(statement.on_conflict_do_nothing())
            ticket = session.scalar(select(Submission.ticket).where(Submission.digest == digest).with_for_update())
            running = self._worth_joining(ticket or 0, mode)
            if running is not None:
                return running
            payload = {
                "document": document.model_dump(mode="json"),
                "mode": mode,
                "user_id": identity.user_id,
                "address": address,
                "submission": digest,
                "actions": [action.model_dump(mode="json") for action in actions],
            }
            record = self._submit(identity, document, mode, payload)
            session.execute(
                update(Submission).where(Submission.digest == digest).values(ticket=record.ticket, created_at=now)
            )
        return record

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
            if left <= 0:
                text = "The release is still being checked. Send it again to wait on, or watch its task."
                return _refused(record, STILL_CHECKING, text)
            self._sleep(min(pause, left))
            pause = min(LONGEST_PAUSE, pause * GROWTH)

    def purge(self, older_than_seconds: float) -> int:
        """Forget requests that were sent so long ago; how many. Their jobs are the engine's to forget."""
        with self._database.session() as session:
            old = delete(Submission).where(Submission.created_at < time.time() - older_than_seconds)
            return len(session.execute(old.returning(Submission.digest)).all())

    def _submit(
        self, identity: Identity, document: ReleaseDocument, mode: Mode, payload: dict[str, Any]
    ) -> JobRecord:  # fmt: skip
        return self._engine.submit(
            JobSpec(
                function=FUNCTION,
                kind=KIND,
                title=_TITLES[mode].format(f"{document.title} {document.version}"),
                owner=owner_of_account(identity.name),
                payload=payload,
                timeout_seconds=self._settings.release_timeout_seconds,
            )
        )

    def _worth_joining(self, ticket: int, mode: Mode) -> JobRecord | None:
        """The job, if it is still at it, or has published what was asked for."""
        if not ticket:
            return None
        try:
            record = self._engine.find(ticket)
            if not record.state.finished:
                return record
            if mode is Mode.RELEASE and record.state is JobState.SUCCEEDED:
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
