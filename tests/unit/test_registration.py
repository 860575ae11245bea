"""Registering, proving an address, and a new password by mail."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knossos.accounts import Account, AccountExists, Accounts, NoSuchAccount, Sessions
from knossos.accounts.audit import Audit
from knossos.accounts.housekeeping import tidy
from knossos.accounts.logins import Logins, NotVerified, WrongLogin
from knossos.accounts.mail_links import LinkNotGood, MailLinks, Purpose
from knossos.accounts.post import LINKS, Letter, Post
from knossos.accounts.registration import MAX_MAILS, NoAddress, Registration, RegistrationClosed
from knossos.accounts.throttle import TooManyTries
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.errors import AccessDenied, InvalidInput
from knossos.jobs import Engine, JobRecord, JobSpec
from knossos.settings import Settings
from tests.support.people import CHEAP, PASSWORD, add_account

HOME = "192.0.2.1"
MAIL = "dora@example.org"


class Box(Post):
    """Keeps the letters instead of sending them, with the secrets of their links."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings, database, Engine(settings))
        self.letters: list[tuple[Letter, str]] = []
        self.secrets: list[str] = []

    def send(self, letter: Letter, user_id: int, name: str) -> None:
        self.letters.append((letter, name))
        if letter in LINKS:
            self.secrets.append(self._links.issue(user_id, LINKS[letter]).rpartition("/")[2])


class NoQueue(Engine):
    """Takes no jobs."""

    def submit(self, spec: JobSpec, then: JobSpec | None = None) -> JobRecord:
        raise AssertionError("nothing is to be sent")


class Desk:
    """Everything that registering needs, over one database."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.accounts = Accounts(database, CHEAP)
        self.box = Box(settings, database)
        self.registration = Registration(settings, database, self.accounts, self.box, CHEAP)
        self.logins = Logins(settings, database, self.accounts)

    def join(self, name: str = "dora", mail: str = MAIL) -> None:
        self.registration.register(name, PASSWORD, mail, HOME)

    def log_in(self, password: str = PASSWORD) -> Account:
        return self.logins.log_in("dora", password, HOME)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_path=tmp_path / "data", database=database_url, login_failures_per_address=9)


@pytest.fixture
def desk(settings: Settings, database: Database) -> Desk:
    return Desk(settings, database)


def test_an_account_opens_when_its_owner_has_followed_the_link_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.join()
    assert desk.box.letters == [(Letter.VERIFY, "dora")]
    with pytest.raises(NotVerified) as caught:
        desk.log_in()
    desk.registration.send_again(caught.value.user_id)
    assert len(desk.box.letters) == 1
    monkeypatch.setattr("knossos.accounts.registration.RESEND_SECONDS", 0.0)
    desk.registration.send_again(caught.value.user_id)
    first, second = desk.box.secrets
    assert desk.registration.account_of_link(second, Purpose.VERIFY).name == "dora"
    for wrong in (second[:-1], "", "\ud800"):
        with pytest.raises(LinkNotGood):
            desk.registration.verify(wrong, HOME)
    with pytest.raises(LinkNotGood):
        desk.registration.finish_reset(second, PASSWORD, HOME)
    assert desk.registration.verify(second, HOME).verified
    assert desk.log_in().email == MAIL
    for used in (first, second):
        with pytest.raises(LinkNotGood):
            desk.registration.verify(used, HOME)
    desk.registration.send_again(caught.value.user_id)
    assert len(desk.box.letters) == 2
    actions = [entry.action for entry in reversed(Audit(desk.database).latest(subject="user:dora"))]
    assert actions == ["user.add", "user.verify", "login"]


def test_a_link_that_many_follow_at_once_works_once(desk: Desk) -> None:
    desk.join()

    def follow(_: int) -> bool:
        try:
            return desk.registration.verify(desk.box.secrets[0], HOME).verified
        except LinkNotGood:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(follow, range(6))) == 1


def test_a_link_ends_with_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.join()
    late = time.time() + desk.settings.mail_link_lifetime + 1
    monkeypatch.setattr("knossos.accounts.mail_links.time.time", lambda: late)
    with pytest.raises(LinkNotGood):
        desk.registration.verify(desk.box.secrets[0], HOME)


def test_a_taken_name_is_told_and_a_taken_address_only_to_its_owner(desk: Desk) -> None:
    add_account(desk.database, "dora", email=MAIL)
    with pytest.raises(AccountExists):
        desk.join("Dora", "other@example.org")
    assert desk.box.letters == []
    for _ in range(MAX_MAILS + 2):
        desk.join("somebody", MAIL.upper())
    assert desk.box.letters == [(Letter.KNOWN, "dora")] * MAX_MAILS
    assert desk.accounts.find("somebody") is None


def test_what_nobody_should_register_is_refused(desk: Desk) -> None:
    for name, password, mail, path in (
        ("dora", "short", MAIL, "password"),
        ("do ra", PASSWORD, MAIL, "name"),
        ("dora", PASSWORD, "", "email"),
    ):
        with pytest.raises(InvalidInput) as caught:
            desk.registration.register(name, password, mail, HOME)
        assert caught.value.errors[0]["path"] == path
    closed = Desk(desk.settings.model_copy(update={"open_registration": False}), desk.database)
    with pytest.raises(RegistrationClosed):
        closed.join()
    assert desk.accounts.count() == 0


def test_one_address_makes_only_so_many_accounts(desk: Desk) -> None:
    for number in range(9):
        desk.join(f"dora{number}", f"dora{number}@example.org")
    with pytest.raises(TooManyTries):
        desk.join()
    desk.registration.register("dora", PASSWORD, MAIL, "192.0.2.2")


def test_a_new_password_by_mail_ends_sessions_and_tokens_and_proves_the_address(desk: Desk) -> None:
    desk.join()
    dora = desk.accounts.get("dora")
    tokens, sessions = Tokens(desk.settings, desk.database), Sessions(desk.settings, desk.database)
    token, cookie = tokens.issue_api(dora.user_id, "CI", ["read"], None), sessions.issue(dora)
    desk.registration.start_reset("DORA", HOME)
    assert desk.box.letters[-1] == (Letter.RESET, "dora")
    secret = desk.box.secrets[-1]
    with pytest.raises(InvalidInput):
        desk.registration.finish_reset(secret, "short", HOME)
    desk.registration.finish_reset(secret, "a new password", HOME)
    with pytest.raises(LinkNotGood):
        desk.registration.finish_reset(secret, "another password", HOME)
    with pytest.raises(AccessDenied):
        tokens.check(token)
    assert sessions.read(cookie) is None
    with pytest.raises(WrongLogin):
        desk.log_in()
    assert desk.log_in("a new password").verified


def test_a_reset_opens_a_locked_account(desk: Desk) -> None:
    add_account(desk.database, "dora", email=MAIL)
    for number in range(desk.settings.login_failures_per_account):
        with pytest.raises(WrongLogin):
            desk.logins.log_in("dora", "wrong", f"198.51.100.{number}")
    desk.registration.start_reset("dora", HOME)
    desk.registration.finish_reset(desk.box.secrets[0], "a new password", HOME)
    assert desk.log_in("a new password")


def test_a_reset_needs_an_account_with_an_address_that_is_not_shut_out(desk: Desk) -> None:
    add_account(desk.database, "olga")
    add_account(desk.database, "ivan", email="ivan@example.org")
    add_account(desk.database, "dora", email=MAIL)
    with pytest.raises(NoSuchAccount):
        desk.registration.start_reset("nobody", HOME)
    with pytest.raises(NoAddress):
        desk.registration.start_reset("olga", HOME)
    desk.accounts.disable("ivan")
    desk.registration.start_reset("ivan", HOME)
    assert desk.box.letters == []
    for _ in range(MAX_MAILS):
        desk.registration.start_reset("dora", HOME)
    with pytest.raises(TooManyTries):
        desk.registration.start_reset("dora", HOME)


def test_without_a_mail_server_the_link_is_in_the_log_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    dora = add_account(desk.database, "dora", email=MAIL)
    settings = desk.settings.model_copy(update={"public_url": "https://mods.example.org"})
    post = Post(settings, desk.database, NoQueue(settings))
    with caplog.at_level(logging.INFO):
        post.send(Letter.RESET, dora.user_id, "dora")
        post.send(Letter.KNOWN, dora.user_id, "dora")
    [line] = [record.getMessage() for record in caplog.records]
    _, found, secret = line.partition("https://mods.example.org/reset/")
    assert found
    assert MailLinks(settings, desk.database).look(secret, Purpose.RESET).name == "dora"


def test_cron_forgets_what_has_ended_and_accounts_that_nobody_opened(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.join()
    add_account(desk.database, "olga", email="olga@example.org")
    with pytest.raises(WrongLogin):
        desk.log_in("wrong")
    assert {what: count for what, count in tidy(desk.settings) if count} == {}
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 40 * 86400)
    assert {what: count for what, count in tidy(desk.settings) if count} == {
        "links in mails that were used or too old": 1,
        "counts of login tries": 4,
        "accounts whose mail address was never confirmed": 1,
    }
    assert [account.name for account in desk.accounts.list_accounts()] == ["olga"]
