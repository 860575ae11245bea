"""A notice on its way: receivers that hang, lead elsewhere, fail at first or say too much, and mail that is away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.notices.delivery import NoticeFailed, deliver
from knossos.scripting.notices.notices import PICK_UP_SECONDS
from knossos.scripting.notices.states import NoticeState
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.settings import Settings
from tests.support.file_server import Answer, Drip, FileServer, Silent
from tests.support.mail_server import MailServer
from tests.support.people import CHEAP
from tests.support.redis_server import free_port
from tests.support.reporter import RecordingReporter
from tests.support.schedules import ScheduleBench

#: What an answer may have that nobody wants to read.
HUGE = 512 * 1024 * 1024


class NoticeContext(RecordingReporter):
    """A job of the engine, for one try."""

    def __init__(self, bench: ScheduleBench, attempt: int = 1) -> None:
        super().__init__()
        self.settings, self.engine = bench.settings, bench.engine
        self.attempt, self.attempts = attempt, 3


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, sqlite_template: Path) -> Settings:
    settings.data_path.mkdir(exist_ok=True)
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    script = tmp_path / "bin" / "echo.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    more = {"server_side_scripting_bin_dirs": (str(tmp_path / "bin"),), "mail_from": "k@example.org"}
    granted = {"anonymous": ("SCRIPTING:EXECUTE:*",)}
    quick = {"read_timeout_seconds": 0.3, "smtp": f"smtp://127.0.0.1:{free_port()}"}
    return settings.model_copy(update={**more, **quick, "role_permissions": granted})


@pytest.fixture
def bench(settings: Settings, engine: Engine) -> ScheduleBench:
    return ScheduleBench(settings, Database(settings), engine)


@pytest.fixture
def dora(bench: ScheduleBench) -> Account:
    return bench.account("dora", email="dora@example.org")


def failed_run(bench: ScheduleBench, dora: Account, **wanted: Any) -> NoticeRow:
    """The notice of a run that has failed."""
    schedule = bench.make(dora, notices={"when": "failure", **wanted})
    firing = bench.made.firings.run_now(dora, schedule.schedule_id)
    bench.made.firings._runs.end(firing.run_id, Ending(RunOutcome.EXITED, 3), ())
    return notice(bench)


def notice(bench: ScheduleBench) -> NoticeRow:
    with bench.database.reading() as session:
        return session.query(NoticeRow).one()


def one_try(bench: ScheduleBench, attempt: int = 1) -> Any:
    context: Any = NoticeContext(bench, attempt)
    return deliver(context, {"notice": notice(bench).id})


def test_a_receiver_that_fails_at_first_is_told_later_and_by_the_same_number(
    bench: ScheduleBench, dora: Account
) -> None:
    answers = [Answer(500), Answer(200)]
    with FileServer() as server:
        row = failed_run(bench, dora, webhook=server.handle("/hook", lambda _: answers.pop(0)))
        with pytest.raises(NoticeFailed) as caught:
            one_try(bench)
        assert caught.value.retryable
        assert (notice(bench).state, notice(bench).result) == (NoticeState.DUE, "127.0.0.1 answers 500")
        assert one_try(bench, 2) == {"delivered": True}
        assert notice(bench).state == NoticeState.SENT
        # A job that comes once more tells nobody once more.
        assert one_try(bench, 3) == {"delivered": False}
        assert len(server.asked("/hook")) == 2
        assert all(row.id.encode() in request.body for request in server.asked("/hook"))


def test_a_receiver_that_leads_to_a_private_address_is_not_followed_and_not_tried_again(
    bench: ScheduleBench, dora: Account
) -> None:
    with FileServer() as server:
        for number, to in enumerate(("http://10.0.0.1/", "http://169.254.169.254/latest", "file:///etc/passwd")):
            hook = server.redirect(f"/{number}", to, 307)
            failed_run(bench, dora, webhook=hook)
            with pytest.raises(NoticeFailed) as caught:
                one_try(bench)
            assert not caught.value.retryable
            assert notice(bench).state == NoticeState.FAILED
            assert "10.0.0.1" not in notice(bench).result
            with bench.database.session() as session:
                session.query(NoticeRow).delete()


def test_a_receiver_that_hangs_is_left_and_tried_again_until_it_was_the_last_time(
    bench: ScheduleBench, dora: Account
) -> None:
    with FileServer() as server:
        failed_run(bench, dora, webhook=server.file("/hook", b"x", always=Silent()))
        for attempt, state in ((1, NoticeState.DUE), (2, NoticeState.DUE), (3, NoticeState.FAILED)):
            with pytest.raises(NoticeFailed) as caught:
                one_try(bench, attempt)
            assert caught.value.retryable
            assert notice(bench).state == state


def test_an_answer_that_is_huge_or_drips_is_not_read(bench: ScheduleBench, dora: Account) -> None:
    with FileServer() as server:
        failed_run(bench, dora, webhook=server.file("/hook", b"x" * 100, length=HUGE, always=Drip(pause=0.2)))
        assert one_try(bench) == {"delivered": True}
        assert notice(bench).state == NoticeState.SENT


def test_mail_that_is_away_is_tried_again_and_then_comes_once(bench: ScheduleBench, dora: Account) -> None:
    failed_run(bench, dora, mail=True)
    with pytest.raises(NoticeFailed) as caught:
        one_try(bench)
    assert caught.value.retryable
    assert notice(bench).state == NoticeState.DUE
    with MailServer() as mails:
        bench.settings = bench.settings.model_copy(update={"smtp": f"smtp://127.0.0.1:{mails.port}"})
        assert one_try(bench, 2) == {"delivered": True}
        assert one_try(bench, 3) == {"delivered": False}
        (mail,) = mails.mails
        assert mail["Message-ID"].startswith(f"<{notice(bench).id}@")


def test_who_was_disabled_meanwhile_is_told_nothing(bench: ScheduleBench, dora: Account) -> None:
    with FileServer() as server:
        failed_run(bench, dora, webhook=server.handle("/hook", lambda _: Answer(204)))
        Accounts(bench.database, CHEAP).disable(dora.name)
        assert one_try(bench) == {"delivered": False}
        assert notice(bench).state == NoticeState.DROPPED
        assert server.asked("/hook") == []


def test_a_notice_whose_job_was_lost_gets_another_one_and_only_one(bench: ScheduleBench, dora: Account) -> None:
    first = failed_run(bench, dora, webhook="http://127.0.0.1:9/hook")
    assert first.ticket is not None
    now = time.time() + PICK_UP_SECONDS + 5
    assert bench.made.notices.sweep(now) == 0
    bench.engine.redis.flushall()
    assert bench.made.notices.sweep(now) == 1
    assert bench.another().made.notices.sweep(now + 1) == 0
    told = [job for job in bench.engine.list_jobs() if job.kind == "notice"]
    assert [job.ticket for job in told] == [notice(bench).ticket]
