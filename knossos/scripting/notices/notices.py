"""Asking for notices, and having jobs deliver those that are due."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from knossos.accounts import Account
from knossos.accounts.post import PAUSES as MAIL_PAUSES
from knossos.accounts.post import TIMEOUT_SECONDS as MAIL_SECONDS
from knossos.accounts.tables import User
from knossos.database import Database
from knossos.errors import InvalidInput, KnossosError
from knossos.jobs import Engine, JobSpec
from knossos.outgoing.webhook import check_webhook_url, pauses
from knossos.scripting.mail import can_send
from knossos.scripting.notices.states import Channel, NoticeEvent, NoticeState, NoticeWhen, Wanted
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings

FUNCTION = "knossos.scripting.notices.delivery.deliver"
#: Seconds that one try may take with all its redirects.
TRY_SECONDS = 90
#: Seconds after which somebody else makes the job of a notice, where who should have was killed.
PICK_UP_SECONDS = 30.0
#: What was noted for longer than this from now was noted by a clock that was ahead and has been put right.
AHEAD_SECONDS = 3600.0
#: Notices that are looked at in one go.
AT_ONCE = 200


class RunIsOver(KnossosError):
    """The run ``run_id`` has ended, so nobody can wait for that any more."""

    code = "run_is_over"


def check_wanted(settings: Settings, database: Database, account: Account, wanted: Wanted) -> None:
    """See that what an account wants to be told can be told.

    Raises:
        InvalidInput: its ``errors`` have paths such as "notices.mail".
    """
    if wanted.when is not NoticeWhen.NEVER and not wanted.mail and not wanted.webhook:
        raise InvalidInput.at("notices", "expected a way to be told by: mail, or the address of a webhook")
    if wanted.webhook:
        check_webhook_url(wanted.webhook, settings, path="notices.webhook")
    if wanted.mail:
        if not can_send(settings):
            raise InvalidInput.at(
                "notices.mail", "this server sends no mail: its operator has set neither SMTP nor SENDMAIL"
            )
        with database.reading() as session:
            user = session.get(User, account.user_id)
            if user is None or not user.email or user.verified_at is None:
                raise InvalidInput.at("notices.mail", "this account has no mail address that was proved to be yours")


def add_waiting(
    session: Session, wanted: Wanted, *, user_id: int, run_id: str, schedule_id: str | None, title: str, at: float
) -> None:
    """Have somebody wait for the end of a run that has not ended."""
    about = {"user_id": user_id, "run_id": run_id, "schedule_id": schedule_id, "title": title[:300]}
    _add(session, wanted, event=NoticeEvent.RUN_ENDED, state=NoticeState.WAITING, created_at=at, **about)


def add_due(
    session: Session,
    wanted: Wanted,
    *,
    user_id: int,
    schedule_id: str,
    title: str,
    event: NoticeEvent,
    text: str,
    at: float,
) -> list[str]:
    """Have something told that a schedule has to say, as a failure is; answers which notices are due by it."""
    about = {"user_id": user_id, "schedule_id": schedule_id, "title": title[:300], "event": event, "text": text}
    return _add(session, wanted, state=NoticeState.DUE, created_at=at, due_at=at, **about)


def _add(session: Session, wanted: Wanted, **fields: Any) -> list[str]:
    """A row for each way in which somebody wants to be told; answers their ids."""
    rows = [
        NoticeRow(id=str(uuid.uuid4()), channel=channel, url=url, condition=wanted.when, **fields)
        for channel, url in wanted.channels()
    ]
    session.add_all(rows)
    return [row.id for row in rows]


class Notices:
    """Safe for threads."""

    def __init__(self, settings: Settings, database: Database, engine: Engine) -> None:
        self._settings = settings
        self._database = database
        self._engine = engine

    # --- ask --------------------------------------------------------------------------------------

    def of_run(self, account: Account, run_id: str) -> Wanted:
        """What the account has asked to be told of a run, besides what its schedule does."""
        with self._database.reading() as session:
            rows = session.scalars(select(NoticeRow).where(*_asked_for(account, run_id))).all()
        if not rows:
            return Wanted()
        url = next((row.url for row in rows if row.channel == Channel.WEBHOOK), "")
        return Wanted(NoticeWhen(rows[0].condition), any(row.channel == Channel.MAIL for row in rows), url)

    def ask(self, account: Account, run_id: str, wanted: Wanted, title: str) -> None:
        """Have the account told when a run ends, instead of what it has asked for before.

        Raises:
            InvalidInput: it cannot be told that way.
            RunIsOver
        """
        check_wanted(self._settings, self._database, account, wanted)
        with self._database.session() as session:
            # Held, so that its end cannot be noted in between.
            row = session.scalar(select(ScriptRun).where(ScriptRun.id == run_id).with_for_update())
            if row is None or row.outcome is not None:
                raise RunIsOver("This run has ended already.", run_id=run_id)
            session.execute(delete(NoticeRow).where(*_asked_for(account, run_id)))
            add_waiting(
                session, wanted, user_id=account.user_id, run_id=run_id, schedule_id=None, title=title, at=time.time()
            )

    def with_submission(
        self, account: Account, run_id: str, wanted: Wanted, title: str
    ) -> Callable[[Session], None] | None:
        """Have the account told of a run that is about to be accepted: what is to be called in the transaction that
        accepts it (`Runs.submit`). None where nothing is to be told.

        Raises:
            InvalidInput: it cannot be told that way.
        """
        check_wanted(self._settings, self._database, account, wanted)
        if not wanted.channels():
            return None

        def accepting(session: Session) -> None:
            add_waiting(
                session, wanted, user_id=account.user_id, run_id=run_id, schedule_id=None, title=title, at=time.time()
            )

        return accepting

    def take_back(self, account: Account, run_id: str) -> bool:
        """Not to be told any more. False where nothing was asked for, or it has been told."""
        with self._database.session() as session:
            query = delete(NoticeRow).where(*_asked_for(account, run_id)).returning(NoticeRow.id)
            return bool(session.scalars(query).all())

    # --- deliver ----------------------------------------------------------------------------------

    def submit(self, notice_ids: Sequence[str], now: float) -> None:
        """Have jobs deliver notices that are due. Of several who try that one does; where it fails, `sweep` does."""
        for notice_id in notice_ids:
            with self._database.session() as session:
                claim = update(NoticeRow).where(
                    NoticeRow.id == notice_id,
                    NoticeRow.state == NoticeState.DUE,
                    or_(
                        NoticeRow.submitted_at.is_(None),
                        NoticeRow.submitted_at < now - PICK_UP_SECONDS,
                        NoticeRow.submitted_at > now + AHEAD_SECONDS,
                    ),
                )
                row = session.scalar(claim.values(submitted_at=now, ticket=None).returning(NoticeRow))
            if row is None:
                continue
            ticket = self._engine.submit(self._spec(row)).ticket
            with self._database.session() as session:
                session.execute(update(NoticeRow).where(NoticeRow.id == notice_id).values(ticket=ticket))

    def sweep(self, now: float) -> int:
        """Have those delivered that are due and that nobody delivers. Answers how many."""
        late = now - PICK_UP_SECONDS
        forgotten = or_(
            and_(NoticeRow.submitted_at.is_(None), NoticeRow.due_at < late),
            NoticeRow.submitted_at < late,
            NoticeRow.submitted_at > now + AHEAD_SECONDS,
            NoticeRow.due_at > now + AHEAD_SECONDS,
        )
        query = select(NoticeRow.id, NoticeRow.ticket).where(NoticeRow.state == NoticeState.DUE, forgotten)
        with self._database.reading() as session:
            rows = session.execute(query.order_by(NoticeRow.due_at).limit(AT_ONCE)).all()
        states = self._engine.states([row.ticket for row in rows if row.ticket is not None]) if rows else {}
        over = [
            row.id for row in rows if row.ticket is not None and row.ticket in states and states[row.ticket].finished
        ]
        lost = [row.id for row in rows if row.ticket is None or row.ticket not in states]
        if over:
            # The process that tried it the last time was killed, or its job was cancelled.
            with self._database.session() as session:
                ended = update(NoticeRow).where(NoticeRow.id.in_(over), NoticeRow.state == NoticeState.DUE)
                session.execute(ended.values(state=NoticeState.FAILED))
        self.submit(lost, now)
        return len(lost)

    def _spec(self, row: NoticeRow) -> JobSpec:
        by_mail = row.channel == Channel.MAIL
        waits = MAIL_PAUSES if by_mail else pauses(self._settings.webhook_tries)
        where = "mail" if by_mail else urlsplit(row.url).hostname or "nowhere"
        return JobSpec(
            function=FUNCTION,
            kind="notice",
            title=f"Notice by {where}: {row.title}",
            # An owner of its own: a slow receiver takes up the places of no runs.
            owner=f"notices:{row.user_id}",
            payload={"notice": row.id},
            timeout_seconds=MAIL_SECONDS if by_mail else TRY_SECONDS,
            retries=len(waits),
            retry_delays_seconds=tuple(waits),
        )

    # --- forget -----------------------------------------------------------------------------------

    def purge(self, now: float) -> int:
        """Remove those that are over, and those whose run is gone without an end. Answers how many went."""
        old = now - self._settings.script_result_lifetime
        over = NoticeRow.state.in_([NoticeState.SENT, NoticeState.FAILED, NoticeState.DROPPED])
        gone = and_(
            NoticeRow.state == NoticeState.WAITING,
            NoticeRow.created_at < now - self._settings.task_lifetime,
            NoticeRow.run_id.not_in(select(ScriptRun.id)),
        )
        with self._database.session() as session:
            query = delete(NoticeRow).where(or_(and_(over, NoticeRow.created_at < old), gone))
            return len(session.scalars(query.returning(NoticeRow.id)).all())


def _asked_for(account: Account, run_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        NoticeRow.run_id == run_id,
        NoticeRow.user_id == account.user_id,
        NoticeRow.schedule_id.is_(None),
        NoticeRow.state == NoticeState.WAITING,
    )
