"""Mails through a real SMTP server."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from knossos.accounts import Accounts, mail
from knossos.accounts.mail import MailFailed, MailRefused, compose, deliver
from knossos.accounts.post import Letter, Post
from knossos.accounts.post import deliver as deliver_job
from knossos.accounts.registration import Registration
from knossos.database import Database
from knossos.jobs import Engine, JobState
from knossos.settings import Settings
from tests.conftest import StartWorker
from tests.support.mail_server import LOGIN, MailServer, make_certificate
from tests.support.people import CHEAP, PASSWORD, add_account
from tests.support.processes import wait_for
from tests.support.redis_server import free_port


def settings_for(
    folder: Path, server: MailServer, scheme: str = "smtp", login: tuple[str, str] | None = None
) -> Settings:
    user = ":".join(quote(part, safe="") for part in login) + "@" if login else ""
    return Settings(
        data_path=folder,
        smtp=f"{scheme}://{user}127.0.0.1:{server.port}",
        mail_from="Knossos <noreply@mods.example.org>",
        public_url="https://mods.example.org",
    )


def send(settings: Settings, to: str = "dora@example.org") -> None:
    deliver(settings, compose(settings, mail.RESET, to=to, name="dora", link="https://mods.example.org/reset/x"))


def test_a_mail_says_who_it_is_for_and_what_to_open(tmp_path: Path) -> None:
    with MailServer() as server:
        send(settings_for(tmp_path, server), to="dörte@exämple.org")
    [message] = server.mails
    assert message["To"] == "dörte@exämple.org"
    assert message["From"] == "Knossos <noreply@mods.example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert str(message["Message-ID"]).endswith("@mods.example.org>")
    lines = message.get_content().splitlines()
    assert lines[0] == "Hello dora,"
    assert "https://mods.example.org/reset/x" in lines
    assert any("until 24 hours from now" in line for line in lines)


@pytest.mark.parametrize(("scheme", "secure"), [("smtp+starttls", "starttls"), ("smtps", "tls")])
def test_a_secure_server_is_believed_only_with_a_certificate_that_can_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, secure: str
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem")
    with MailServer(secure, certificate) as server:
        settings = settings_for(tmp_path, server, scheme, LOGIN)
        with pytest.raises(MailFailed, match="certificate"):
            send(settings)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(settings)
        with pytest.raises(MailRefused, match="535"):
            send(settings_for(tmp_path, server, scheme, ("knossos", "wrong")))
    assert len(server.mails) == 1


def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not(tmp_path: Path) -> None:
    with MailServer() as server:
        server.replies = ["451 try again later", "550 no such user"]
        with pytest.raises(MailFailed, match="451 try again later") as caught:
            send(settings_for(tmp_path, server))
        assert caught.value.retryable
        with pytest.raises(MailRefused, match="550 no such user") as caught:
            send(settings_for(tmp_path, server))
        assert not caught.value.retryable
    with pytest.raises(MailFailed, match="does not take the mail") as caught:
        send(Settings(data_path=tmp_path, smtp=f"smtp://127.0.0.1:{free_port()}"))
    assert caught.value.retryable


def test_an_account_that_is_gone_or_disabled_gets_no_mail(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    account = add_account(database, "dora", email="dora@example.org")
    Accounts(database, CHEAP).disable("dora")
    with MailServer() as server:
        settings = settings_for(tmp_path, server).model_copy(update={"database": database_url})
        said: list[str] = []
        context: Any = SimpleNamespace(settings=settings, info=said.append)
        for user_id in (account.user_id, account.user_id + 1):
            deliver_job(context, {"letter": "reset", "user_id": user_id})
        assert said == ["There is nobody to write to any more."] * 2
        Accounts(database, CHEAP).enable("dora")
        deliver_job(context, {"letter": "reset", "user_id": account.user_id})
    assert len(server.mails) == 1


def test_who_registers_is_sent_a_link_by_a_worker_that_tries_again(
    settings: Settings, engine: Engine, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knossos.accounts.post.PAUSES", (0, 0))
    with MailServer() as server:
        server.replies = ["451 try again later"]
        settings = settings.model_copy(update={"smtp": f"smtp://127.0.0.1:{server.port}"})
        start_worker(product=True, use=settings)
        database = Database(settings)
        database.migrate()
        accounts = Accounts(database, CHEAP)
        registration = Registration(settings, database, accounts, Post(settings, database, engine), CHEAP)
        registration.register("dora", PASSWORD, "dora@example.org", "192.0.2.1")
        [job] = engine.list_jobs()
        assert "dora" not in str(engine.payload(job.ticket)) + job.title
        wait_for(lambda: engine.find(job.ticket).state.finished, "the mail")
        record = engine.find(job.ticket)
        assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
        [message] = server.mails
    link = re.search(r"http://127\.0\.0\.1:8080/verify/(\S+)", message.get_content())
    assert link
    assert registration.verify(link[1], "192.0.2.1").name == "dora"
    database.close()
    assert Letter.VERIFY in job.title
