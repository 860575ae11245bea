"""Logins and their limits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knossos.accounts import Account, Accounts
from knossos.accounts.audit import Audit
from knossos.accounts.logins import AccountDisabled, Logins, NotVerified, WrongLogin
from knossos.accounts.passwords import Passwords
from knossos.accounts.throttle import TooManyTries, count, expire, in_words, of_account, of_address
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.settings import Settings
from tests.support.people import CHEAP, PASSWORD, add_account

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"


class CountingAccounts(Accounts):
    """Counts how often a password is hashed to be checked."""

    checks = 0

    def check_password(self, name: str, password: str) -> Account | None:
        self.checks += 1
        return super().check_password(name, password)


@pytest.fixture
def accounts(database: Database) -> CountingAccounts:
    add_account(database, "dora")
    return CountingAccounts(database, CHEAP)


@pytest.fixture
def logins(tmp_path: Path, database: Database, accounts: Accounts) -> Logins:
    settings = Settings(
        data_path=tmp_path / "data",
        login_failures_per_account=3,
        login_failures_per_address=5,
        login_failure_window_seconds=600,
    )
    return Logins(settings, database, accounts)


def fail(logins: Logins, name: str = "dora", address: str = HOME) -> None:
    with pytest.raises(WrongLogin):
        logins.log_in(name, "wrong", address)


def refuse(logins: Logins, name: str = "dora", address: str = HOME, password: str = PASSWORD) -> TooManyTries:
    with pytest.raises(TooManyTries) as caught:
        logins.log_in(name, password, address)
    return caught.value


def test_after_too_many_wrong_passwords_even_the_right_one_is_refused_unlooked_at_until_it_is_said(
    logins: Logins, accounts: CountingAccounts, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dora", "DORA", "Dora"):
        fail(logins, name)
    checked = accounts.checks
    error = refuse(logins, address=ELSEWHERE)
    assert 590 <= error.retry_after_seconds <= 600
    assert "Try again in 10 minutes" in error.message
    assert accounts.checks == checked
    now = time.time()
    monkeypatch.setattr("knossos.accounts.throttle.time.time", lambda: now + 550)
    assert refuse(logins).retry_after_seconds <= 50
    monkeypatch.setattr("knossos.accounts.throttle.time.time", lambda: now + 601)
    assert logins.log_in("dora", PASSWORD, HOME).name == "dora"
    [lock] = [entry for entry in Audit(database).latest() if entry.action == "login.lock"]
    assert (lock.subject, lock.address, lock.details["tries"]) == ("user:dora", HOME, 3)


def test_a_login_forgives_the_account_and_not_the_address(logins: Logins) -> None:
    for _ in range(2):
        fail(logins)
        fail(logins)
        logins.log_in("dora", PASSWORD, HOME)
    fail(logins, "nobody")
    assert refuse(logins).kind == "address"
    logins.log_in("dora", PASSWORD, ELSEWHERE)


def test_names_that_do_not_exist_are_limited_like_those_that_do(logins: Logins) -> None:
    for _ in range(3):
        fail(logins, "nobody")
    assert refuse(logins, "nobody").message == "There were too many tries. Try again in 10 minutes."


def test_tries_at_the_same_moment_are_all_counted(logins: Logins, accounts: CountingAccounts) -> None:
    def attempt(number: int) -> type[Exception] | None:
        try:
            logins.log_in("dora", "wrong", f"198.51.100.{number}")
        except (WrongLogin, TooManyTries) as error:
            return type(error)
        return None

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(16)))
    assert (outcomes.count(WrongLogin), outcomes.count(TooManyTries)) == (3, 13)
    assert accounts.checks == 3


def test_one_network_of_ipv6_is_one_address() -> None:
    assert of_address("2001:db8:1:2::1", 5) == of_address("2001:db8:1:2:ffff::9", 5) != of_address("2001:db8:1:3::1", 5)
    assert of_address("::ffff:192.0.2.1", 5) == of_address("192.0.2.1", 5)
    assert of_address("fe80::1%eth0", 5).key == "fe80::/64"
    assert of_address("x" * 500, 5).key == "x" * 100


def test_waiting_is_said_in_words() -> None:
    assert [in_words(seconds) for seconds in (1, 60, 119, 120, 121, 900)] == [
        "1 second", "60 seconds", "119 seconds", "2 minutes", "3 minutes", "15 minutes",
    ]  # fmt: skip


def test_counts_of_windows_that_are_over_are_removed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.session() as session:
        count(session, [of_account("dora", 9), of_address(HOME, 9)], 600)
        assert expire(session, 600) == 0
    now = time.time()
    monkeypatch.setattr("knossos.accounts.throttle.time.time", lambda: now + 601)
    with database.session() as session:
        assert expire(session, 600) == 2


def test_only_who_knows_the_password_learns_what_is_wrong_with_the_account(
    logins: Logins, accounts: CountingAccounts
) -> None:
    accounts.add("new", PASSWORD, email="new@example.org", verified=False)
    accounts.disable("dora")
    for name in ("new", "dora"):
        fail(logins, name)
    with pytest.raises(NotVerified):
        logins.log_in("new", PASSWORD, HOME)
    with pytest.raises(AccountDisabled):
        logins.log_in("dora", PASSWORD, HOME)


def test_a_password_is_changed_by_who_knows_the_old_one(logins: Logins, accounts: CountingAccounts) -> None:
    dora: Any = accounts.find("dora")
    for _ in range(2):
        with pytest.raises(WrongLogin):
            logins.change_password(dora, "wrong", "another one", HOME)
    with pytest.raises(InvalidInput):
        logins.change_password(dora, PASSWORD, "", HOME)
    changed = logins.change_password(dora, PASSWORD, "another one", HOME)
    assert changed.logins_since != dora.logins_since
    assert logins.log_in("dora", "another one", HOME).logins_since == changed.logins_since


def test_an_operator_opens_a_locked_account(logins: Logins) -> None:
    for _ in range(3):
        fail(logins)
    logins.unlock("Dora")
    assert logins.log_in("dora", PASSWORD, HOME)


def test_a_password_of_any_text_is_hashed_and_one_without_an_account_matches_nothing() -> None:
    assert CHEAP.matches(CHEAP.hash("pässwörd \ud800"), "pässwörd \ud800")
    assert not CHEAP.matches(None, PASSWORD)
    assert not CHEAP.matches("not a hash", PASSWORD)
    assert isinstance(CHEAP, Passwords)
