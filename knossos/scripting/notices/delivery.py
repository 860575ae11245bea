"""The job that delivers one notice.

One run is one try; the pauses between tries are the engine's. Where it goes is read when it runs, so an account that
was disabled, or has another address, is heeded. Log lines and failures name the host of a webhook alone: the rest of
such an address often is a secret.
"""

from __future__ import annotations

import time
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import update

from knossos.accounts.mail import MailFailed
from knossos.accounts.tables import User
from knossos.database import Database, of_this_process
from knossos.errors import KnossosError
from knossos.outgoing import OutgoingError
from knossos.outgoing.webhook import WebhookFailed, accepted, impatient, what_happened
from knossos.scripting import mail
from knossos.scripting.notices import content
from knossos.scripting.notices.content import Told, ToldRun, ToldSchedule
from knossos.scripting.notices.states import Channel, NoticeEvent, NoticeState
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import FileRole
from knossos.scripting.run_records import NoSuchRun
from knossos.scripting.runs import Runs
from knossos.scripting.schedules.tables import ScheduleRow
from knossos.settings import Settings
from knossos.storage import Storage

if TYPE_CHECKING:
    from knossos.jobs import JobContext


class NoticeFailed(KnossosError):
    """This try failed. ``notice`` is its id; ``retryable`` whether a further try may help."""

    code = "notice_failed"


def deliver(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: deliver the notice ``payload["notice"]``. One that was delivered, or nobody wants any more, is not.

    Raises:
        NoticeFailed: this try failed, and whether another one may help.
    """
    database = of_this_process(context.settings)
    try:
        return _Delivery(context, database, str(payload["notice"])).run()
    finally:
        database.close()


class _Delivery:
    def __init__(self, context: JobContext, database: Database, notice_id: str) -> None:
        self._context = context
        self._settings: Settings = context.settings
        self._database = database
        self._id = notice_id

    def run(self) -> dict[str, Any]:
        with self._database.reading() as session:
            row = session.get(NoticeRow, self._id)
            user = None if row is None else session.get(User, row.user_id)
            schedule = None if row is None or row.schedule_id is None else session.get(ScheduleRow, row.schedule_id)
        if row is None or row.state != NoticeState.DUE:
            self._context.info("It was told already, or nobody wants to know any more.")
            return {"delivered": False}
        is_mail = row.channel == Channel.MAIL
        lacks_address = is_mail and (user is None or not user.email or user.verified_at is None)
        if user is None or user.disabled_at is not None or lacks_address:
            self._note(NoticeState.DROPPED, "there is nobody to tell any more")
            self._context.info("There is nobody to tell any more.")
            return {"delivered": False}
        told = self._told(row, schedule)
        where = "the mail server" if is_mail else urlsplit(row.url).hostname or "nowhere"
        self._context.info(f"Try {self._context.attempt} of {self._context.attempts}: telling {where}.")
        try:
            if is_mail:
                self._mail(str(user.email), told)
            else:
                self._post(row.url, user.id, told)
        except (MailFailed, OutgoingError, WebhookFailed) as error:
            failure = self._failed(error, where)
            # The first error may have the whole address in it.
            raise failure from None
        self._note(NoticeState.SENT, f"accepted by {where}")
        self._context.info("It was accepted.")
        return {"delivered": True}

    def _told(self, row: NoticeRow, schedule: ScheduleRow | None) -> Told:
        base = self._settings.base_url
        about = None
        if schedule is not None:
            about = ToldSchedule(schedule.id, schedule.name, f"{base}/schedules/{schedule.id}")
        return Told(
            delivery=row.id,
            event=NoticeEvent(row.event),
            time=row.due_at or row.created_at,
            title=row.title,
            text=row.text,
            run=self._run(row),
            schedule=about,
        )

    def _run(self, row: NoticeRow) -> ToldRun | None:
        if row.run_id is None:
            return None
        runs = Runs(self._settings, self._database, Storage(self._settings), self._context.engine)
        try:
            run = runs.get(row.run_id)
        except NoSuchRun:
            return None
        if run.outcome is None:
            return None
        told = ToldRun(
            run_id=run.run_id,
            kind=run.kind,
            name=run.name,
            outcome=run.outcome,
            exit_code=run.exit_code,
            signal=run.signal,
            error=run.error,
            started_at=run.started_at,
            ended_at=run.ended_at,
            url=f"{self._settings.base_url}/runs/{run.run_id}",
            stderr="" if run.succeeded else content.tail(runs.text(run, FileRole.STDERR, content.TAIL_CHARS * 4)),
        )
        return told

    def _mail(self, to: str, told: Told) -> None:
        message = EmailMessage()
        message["Subject"] = content.subject(told)
        message["From"] = self._settings.mail_from
        message["To"] = to
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{told.delivery}@{urlsplit(self._settings.base_url).hostname or 'localhost'}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(content.mail_text(told, self._settings.base_url))
        mail.hand_over(self._settings, message)

    def _post(self, url: str, user_id: int, told: Told) -> None:
        data = content.body(told)
        headers = content.headers(told, content.signing_key(self._settings, user_id), int(time.time()), data)
        with accepted(impatient(self._settings), url, self._context.check, body=data, headers=headers):
            pass

    def _failed(self, error: MailFailed | OutgoingError | WebhookFailed, where: str) -> NoticeFailed:
        said = error.message if isinstance(error, MailFailed) else what_happened(error, where)
        retryable = bool(getattr(error, "retryable", False))
        is_last = not retryable or self._context.attempt >= self._context.attempts
        self._note(NoticeState.FAILED if is_last else NoticeState.DUE, said)
        self._context.warning(said)
        return NoticeFailed(said, notice=self._id, retryable=retryable)

    def _note(self, state: NoticeState, result: str) -> None:
        with self._database.session() as session:
            query = update(NoticeRow).where(NoticeRow.id == self._id, NoticeRow.state == NoticeState.DUE)
            session.execute(query.values(state=state, tried_at=time.time(), result=result[:300]))
