"""Accounts, sessions, keys and the rules of access."""

from __future__ import annotations

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy
from argon2 import PasswordHasher

from knossos.accounts import (
    AccountExists,
    Accounts,
    NoSuchAccount,
    Role,
    Session,
    Sessions,
    access,
    api_keys,
    find_api_key,
)
from knossos.accounts.accounts import Account
from knossos.accounts.audit import Actor, Audit
from knossos.accounts.first_start import prepare
from knossos.accounts.passwords import Passwords
from knossos.accounts.secret_files import read_or_create
from knossos.database import Database
from knossos.errors import InvalidInput, MissingDependency
from knossos.settings import Settings
from tests.support.people import CHEAP

KEYS = ("first-key-0001", "second-key-0002")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_path=tmp_path / "data")


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database, CHEAP)


def test_an_account_is_found_again_in_whatever_case_and_its_password_is_checked(accounts: Accounts) -> None:
    added = accounts.add("Ralwood", "a good password", [Role.OPERATOR], "ralwood@example.org")
    assert accounts.find("ralwood") == added
    assert (added.name, added.email) == ("Ralwood", "ralwood@example.org")
    assert added.roles == {"operator"}
    assert accounts.find_by_email("RALWOOD@example.org") == added
    assert accounts.find("nobody") is accounts.find_by_email("nobody@example.org") is None
    assert accounts.check_password("RALWOOD", "a good password") == accounts.find("Ralwood")
    assert accounts.check_password("Ralwood", "A good password") is None
    assert accounts.check_password("nobody", "a good password") is None
    assert accounts.check_password("Ralwood", "x" * 5000) is None


def test_the_password_is_kept_only_as_an_argon2_hash(accounts: Accounts, database: Database) -> None:
    accounts.add("modder", "plain text")
    assert stored_hash(database).startswith("$argon2id$")


def test_two_accounts_cannot_differ_only_in_case(accounts: Accounts) -> None:
    accounts.add("modder", "secret")
    with pytest.raises(AccountExists) as caught:
        accounts.add("MODDER", "secret")
    assert caught.value.name == "MODDER"
    assert accounts.count() == 1


def test_two_accounts_cannot_have_one_mail_address(accounts: Accounts) -> None:
    accounts.add("modder", "secret", email="a@example.org")
    with pytest.raises(AccountExists) as caught:
        accounts.add("other", "secret", email="A@Example.org")
    assert (caught.value.taken, accounts.count()) == ("email", 1)


def test_what_breaks_a_rule_is_refused_at_its_path(accounts: Accounts) -> None:
    wrong: list[tuple[str, str, list[str], str | None, str]] = [
        ("", "secret", [], None, "name"),
        ("../x", "secret", [], None, "name"),
        ("a" * 65, "secret", [], None, "name"),
        ("modder\n", "secret", [], None, "name"),
        ("modder", "", [], None, "password"),
        ("modder", "x" * 1025, [], None, "password"),
        ("modder", "secret", ["king"], None, "roles"),
        ("modder", "secret", [], "", "email"),
        ("modder", "secret", [], "nobody", "email"),
        ("modder", "secret", [], "a@b\r\nBcc: c@d", "email"),
        ("modder", "secret", [], "a@" + "b" * 253, "email"),
    ]
    for name, password, roles, email, path in wrong:
        with pytest.raises(InvalidInput) as caught:
            accounts.add(name, password, roles, email)
        assert [error["path"] for error in caught.value.errors] == [path]
    assert accounts.count() == 0


def test_a_disabled_account_is_shown_as_such_until_it_is_enabled(accounts: Accounts) -> None:
    accounts.add("modder", "secret")
    assert accounts.disable("Modder").disabled
    assert [account.disabled for account in accounts.list_accounts()] == [True]
    assert not accounts.enable("modder").disabled
    with pytest.raises(NoSuchAccount):
        accounts.disable("nobody")


def test_what_is_done_to_an_account_is_in_the_audit_log_with_who_did_it(accounts: Accounts, database: Database) -> None:
    by = Actor("boss", "192.0.2.1")
    accounts.add("modder", "secret", by=by)
    accounts.set_roles("modder", ["operator"], by=by)
    accounts.set_roles("modder", ["operator"], by=by)
    accounts.set_password("modder", "secret two")
    accounts.disable("modder", by=by)
    with pytest.raises(AccountExists):
        accounts.add("modder", "secret")
    entries = Audit(database).latest(subject="user:modder")
    assert [(entry.actor, entry.address, entry.action) for entry in reversed(entries)] == [
        ("boss", "192.0.2.1", "user.add"),
        ("boss", "192.0.2.1", "user.roles"),
        ("operator", "", "user.password"),
        ("boss", "192.0.2.1", "user.disable"),
    ]
    assert entries[2].details == {"before": [], "after": ["operator"]}


def test_a_hash_that_is_weaker_than_today_is_made_again_at_the_next_login(database: Database) -> None:
    Accounts(database, CHEAP).add("modder", "secret")
    better = Accounts(database, Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)))
    assert better.check_password("modder", "wrong") is None
    assert "t=1" in stored_hash(database)
    assert better.check_password("modder", "secret")
    assert "t=2" in stored_hash(database)
    assert better.check_password("modder", "secret")


def stored_hash(database: Database) -> str:
    with database.reading() as session:
        return str(session.execute(sqlalchemy.text("select password_hash from users")).scalar_one())


def test_a_transaction_that_fails_leaves_nothing(database: Database, accounts: Accounts) -> None:
    with pytest.raises(InvalidInput):
        _add_a_user_and_fail(database)
    assert accounts.count() == 0


def _add_a_user_and_fail(database: Database) -> None:
    with database.session() as session:
        session.execute(
            sqlalchemy.text(
                "insert into users (id, name, name_key, password_hash, created_at) values (1, 'a', 'a', 'h', 0)"
            )
        )
        raise InvalidInput("no")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    database = Database(Settings(data_path=tmp_path, database=f"sqlite:///{tmp_path}/file"))
    with pytest.raises(MissingDependency, match="does not answer"):
        database.migrate()


def test_the_first_start_makes_an_administrator_and_a_key_and_the_second_nothing(
    settings: Settings, database: Database, accounts: Accounts
) -> None:
    first = prepare(settings, database)
    assert first.made_administrator
    assert first.password
    administrator = accounts.check_password("admin", first.password)
    assert administrator is not None
    assert administrator.is_operator
    assert (first.api_key,) == api_keys(settings)
    second = prepare(settings, database)
    assert (second.made_administrator, second.password, second.api_key) == (False, None, None)


def test_of_machines_that_start_at_the_same_moment_one_makes_the_administrator(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(settings, database).made_administrator
    monkeypatch.setattr(Accounts, "count", lambda _: 0)  # what the slower one saw a moment ago
    second = prepare(settings, database)
    assert (second.made_administrator, second.password) == (False, None)


def test_a_given_password_and_given_keys_are_used_and_not_shown(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path, admin_password="given", api_keys=KEYS)
    database = Database(settings)
    first = prepare(settings, database)
    assert (first.made_administrator, first.password, first.api_key) == (True, None, None)
    assert Accounts(database).check_password("admin", "given")
    assert not (tmp_path / "api_key").exists()
    database.close()


def test_a_secret_file_is_private_and_the_same_for_all_who_start_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: read_or_create(path), range(64)))
    assert len({secret for secret, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


@pytest.fixture
def sessions(settings: Settings, database: Database) -> Sessions:
    return Sessions(settings, database)


def test_a_session_says_who_it_is_until_it_is_altered_or_too_old(
    settings: Settings, accounts: Accounts, database: Database, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = sessions.issue(accounts.add("admin", "secret", ["operator"]))
    session = Sessions(settings, database).read(cookie)
    assert session is not None
    assert (session.name, session.is_operator) == ("admin", True)
    for bad in (None, "", "x", cookie[:-2] + "xx", cookie.replace(".", "", 1)):
        assert sessions.read(bad) is None
    now = time.time()
    with monkeypatch.context() as later:
        later.setattr("itsdangerous.timed.time.time", lambda: now + settings.session_lifetime + 2)
        assert sessions.read(cookie) is None
    assert sessions.read(cookie)
    (settings.data_path / "secret_key").unlink()
    assert Sessions(settings, database).read(cookie) is None


def test_a_session_is_void_at_once_when_its_account_changes(accounts: Accounts, sessions: Sessions) -> None:
    account = accounts.add("modder", "secret", ["operator"])
    cookie = sessions.issue(account)
    accounts.set_roles("modder", [])
    session = sessions.read(cookie)
    assert session is not None
    assert not session.is_operator
    changed = accounts.set_password("modder", "another")
    assert sessions.read(cookie) is None
    # One that was made from what was known before the change, as by a login at the same moment, is void as well.
    assert sessions.read(sessions.issue(account)) is None
    cookie = sessions.issue(changed)
    assert sessions.read(cookie)
    accounts.disable("modder")
    assert sessions.read(cookie) is None
    accounts.enable("modder")
    assert sessions.read(cookie) is None


def test_keys_are_found_by_their_index(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path, api_keys=KEYS)
    assert [find_api_key(settings, key) for key in KEYS] == [0, 1]
    for wrong in ("", "first-key", "first-key-0001 ", "\ud800", "schlüssel"):
        assert find_api_key(settings, wrong) is None
    assert api_keys(Settings(data_path=tmp_path)) == ()
    assert find_api_key(Settings(data_path=tmp_path), "") is None


@dataclass(frozen=True)
class Task:
    kind: str = "conversion"
    owner: str = access.owner_of_account("Modder")
    token: str = "a" * 30
    withheld: bool = False


MODDER, STRANGER = Session(Account(1, "modder")), Session(Account(2, "stranger"))
OPERATOR = Session(Account(3, "boss", frozenset({"operator"})))


@pytest.mark.parametrize(
    ("token", "session", "allowed"),
    [
        ("a" * 30, None, True),
        ("a" * 29, None, False),
        ("ä", None, False),
        ("", None, False),
        (None, None, False),
        (None, MODDER, True),
        (None, STRANGER, False),
        (None, OPERATOR, True),
        ("wrong", MODDER, True),
    ],
)
def test_a_task_answers_to_its_token_its_owner_and_an_operator(
    tmp_path: Path, token: str | None, session: Session | None, allowed: bool
) -> None:
    settings = Settings(data_path=tmp_path)
    assert access.may_watch(Task(), token=token, session=session, settings=settings) is allowed
    assert access.may_control(Task(), token=token, session=session) is allowed


def test_open_watch_opens_watching_and_not_stopping(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path, open_watch=True)
    assert access.may_watch(Task(), token=None, session=None, settings=settings)
    assert not access.may_control(Task(), token=None, session=None)


@pytest.mark.parametrize("kind", ["release", "mail", "webhook", "repository"])
def test_open_watch_opens_conversions_only(tmp_path: Path, kind: str) -> None:
    settings = Settings(data_path=tmp_path, open_watch=True)
    assert not access.may_watch(Task(kind=kind), token=None, session=STRANGER, settings=settings)
    assert access.may_watch(Task(kind=kind), token=None, session=MODDER, settings=settings)


def test_what_is_kept_for_operators_opens_to_nobody_else(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path, open_watch=True)
    task = Task(withheld=True)
    for token, session, allowed in ((task.token, None, False), (task.token, MODDER, False), (None, OPERATOR, True)):
        assert access.may_control(task, token=token, session=session) is allowed
        assert access.may_watch(task, token=token, session=session, settings=settings) is allowed


def test_a_task_without_a_token_does_not_open_to_an_empty_one() -> None:
    assert not access.may_control(Task(token=""), token="", session=None)


def test_only_an_operator_lists_all_tasks_unless_the_settings_say_so(tmp_path: Path) -> None:
    closed, opened = Settings(data_path=tmp_path), Settings(data_path=tmp_path, open_task_list=True)
    assert access.may_list_tasks(session=OPERATOR, settings=closed)
    assert not access.may_list_tasks(session=MODDER, settings=closed)
    assert not access.may_list_tasks(session=None, settings=closed)
    assert access.may_list_tasks(session=None, settings=opened)


def test_an_owner_of_a_key_does_not_give_the_key_away() -> None:
    owner = access.owner_of_key(KEYS[0])
    assert owner == access.owner_of_key(KEYS[0]) != access.owner_of_key(KEYS[1])
    assert KEYS[0] not in owner
    assert owner != access.owner_of_account(owner)


def test_the_database_can_be_read_by_nobody_else(tmp_path: Path) -> None:
    database = Database(Settings(data_path=tmp_path / "data"))
    database.migrate()
    files = list((tmp_path / "data").glob("knossos.sqlite3*"))
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    database.close()
