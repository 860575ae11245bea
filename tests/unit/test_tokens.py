"""Tokens of mod managers and programs: what is kept of them, and when they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy

from knossos.accounts import Account, Accounts
from knossos.accounts.audit import Actor, Audit
from knossos.accounts.tokens import LAST_USE_STEP_SECONDS, NoSuchToken, Scope, TokenExpired, TokenKind, Tokens
from knossos.database import Database
from knossos.errors import AccessDenied, InvalidInput
from knossos.settings import Settings
from tests.support.people import CHEAP, add_account

HOUR = 3600.0


@pytest.fixture
def tokens(tmp_path: Path, database: Database) -> Tokens:
    return Tokens(Settings(data_path=tmp_path / "data", token_lifetime=HOUR), database)


@pytest.fixture
def dora(database: Database) -> Account:
    return add_account(database, "dora")


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that puts the clock forward."""
    start = time.time()

    def forward(seconds: float) -> None:
        monkeypatch.setattr("knossos.accounts.tokens.time.time", lambda: start + seconds)

    return forward


def test_a_token_says_whose_it_is_and_what_for(tokens: Tokens, dora: Account) -> None:
    login = tokens.check(tokens.issue_login(dora.user_id))
    assert (login.user_id, login.name, login.scopes) == (dora.user_id, "dora", frozenset(Scope))
    program = tokens.check(tokens.issue_api(dora.user_id, " CI ", ["upload", "release"], None))
    assert program.scopes == {Scope.UPLOAD, Scope.RELEASE}
    program.require(Scope.UPLOAD)
    with pytest.raises(AccessDenied, match="scope manage"):
        program.require(Scope.MANAGE)
    assert [(one.name, one.kind) for one in tokens.list_tokens(dora.user_id)] == [("CI", TokenKind.API)]
    assert len(tokens.list_tokens(dora.user_id, kind=None)) == 2


def test_a_login_is_good_for_scopes_that_came_after_it_and_a_programs_token_is_not(
    tokens: Tokens, dora: Account, database: Database
) -> None:
    login, program = tokens.issue_login(dora.user_id), tokens.issue_api(dora.user_id, "CI", ["run"], None)
    with database.session() as session:
        session.execute(sqlalchemy.text("update tokens set scopes = 'read upload release manage'"))
    assert Scope.RUN in tokens.check(login).scopes
    assert Scope.RUN not in tokens.check(program).scopes


def test_the_database_does_not_hold_a_token(tokens: Tokens, dora: Account, database: Database) -> None:
    text = tokens.issue_login(dora.user_id)
    with database.reading() as session:
        row = session.execute(sqlalchemy.text("select * from tokens")).mappings().one()
    assert text not in str(dict(row))
    assert len(row["secret_hash"]) == 64


def test_an_expired_token_is_told_from_a_wrong_one_even_when_nothing_is_known_of_it_any_more(
    tokens: Tokens, dora: Account, pass_time: Callable[[float], None]
) -> None:
    text, program = tokens.issue_login(dora.user_id), tokens.issue_api(dora.user_id, "CI", ["read"], None)
    pass_time(HOUR + 1)
    with pytest.raises(TokenExpired):
        tokens.check(text)
    assert tokens.expire(2 * HOUR) == 0
    pass_time(4 * HOUR)
    assert tokens.expire(2 * HOUR) == 1
    with pytest.raises(TokenExpired):
        tokens.check(text)
    assert tokens.check(program)
    for wrong in ("", "x", "ä\ud800", text[:-1], text + "x", "W10." + text.partition(".")[2], "x" * 10_000):
        with pytest.raises(AccessDenied) as caught:
            tokens.check(wrong)
        assert not isinstance(caught.value, TokenExpired)


def test_a_revoked_token_is_wrong_and_not_expired(
    tokens: Tokens, dora: Account, database: Database, pass_time: Callable[[float], None]
) -> None:
    text = tokens.issue_api(dora.user_id, "CI", ["read"], HOUR, by=Actor("dora", "192.0.2.1"))
    [record] = tokens.list_tokens(dora.user_id)
    with pytest.raises(NoSuchToken):
        tokens.revoke(record.token_id, user_id=dora.user_id + 1)
    tokens.revoke(record.token_id, user_id=dora.user_id, by=Actor("dora", "192.0.2.1"))
    tokens.revoke(record.token_id)
    assert tokens.list_tokens(dora.user_id) == []
    pass_time(2 * HOUR)
    with pytest.raises(AccessDenied) as caught:
        tokens.check(text)
    assert not isinstance(caught.value, TokenExpired)
    actions = [(entry.actor, entry.action) for entry in Audit(database).latest(subject="user:dora")]
    assert actions == [("dora", "token.revoke"), ("dora", "token.create"), ("operator", "user.add")]


def test_a_new_password_ends_logins_and_a_forgotten_one_all_tokens(
    tokens: Tokens, dora: Account, database: Database
) -> None:
    accounts = Accounts(database, CHEAP)
    login, program = tokens.issue_login(dora.user_id), tokens.issue_api(dora.user_id, "CI", ["read"], None)
    accounts.set_password("dora", "another", keep_api_tokens=True)
    assert tokens.check(program)
    with pytest.raises(AccessDenied):
        tokens.check(login)
    with pytest.raises(AccessDenied):
        tokens.issue_login(dora.user_id, since=dora.logins_since)
    accounts.set_password("dora", "yet another")
    with pytest.raises(AccessDenied):
        tokens.check(program)


def test_tokens_of_a_disabled_account_are_not_good(tokens: Tokens, dora: Account, database: Database) -> None:
    program = tokens.issue_api(dora.user_id, "CI", ["read"], None)
    Accounts(database, CHEAP).disable("dora")
    for attempt in (lambda: tokens.check(program), lambda: tokens.issue_login(dora.user_id)):
        with pytest.raises(AccessDenied):
            attempt()
    Accounts(database, CHEAP).enable("dora")
    assert tokens.check(program)


def test_the_last_use_is_written_down_but_not_at_every_use(
    tokens: Tokens, dora: Account, pass_time: Callable[[float], None]
) -> None:
    text = tokens.issue_api(dora.user_id, "CI", ["read"], None)
    uses: list[float] = []
    for seconds in (0, LAST_USE_STEP_SECONDS / 2, LAST_USE_STEP_SECONDS + 1):
        pass_time(seconds)
        tokens.check(text)
        uses.append(tokens.list_tokens(dora.user_id)[0].last_used_at or 0)
    assert uses[0] == uses[1] > 0
    assert uses[2] == uses[0] + LAST_USE_STEP_SECONDS + 1


def test_a_token_without_a_name_a_scope_or_a_time_is_refused(tokens: Tokens, dora: Account) -> None:
    for name, scopes, lifetime, path in (
        (" ", ["read"], None, "name"),
        ("x" * 101, ["read"], None, "name"),
        ("CI", [], None, "scopes"),
        ("CI", ["everything"], None, "scopes"),
        ("CI", ["read"], 0, "lifetime"),
        ("CI", ["read"], float("nan"), "lifetime"),
    ):
        with pytest.raises(InvalidInput) as caught:
            tokens.issue_api(dora.user_id, name, scopes, lifetime)
        assert caught.value.errors[0]["path"] == path


def test_a_login_that_was_logged_out_is_not_good(tokens: Tokens, dora: Account) -> None:
    text = tokens.issue_login(dora.user_id)
    tokens.revoke_login("nothing of ours")
    tokens.revoke_login(text)
    with pytest.raises(AccessDenied):
        tokens.check(text)


def test_machines_with_one_secret_key_know_each_others_expired_tokens(
    database: Database, dora: Account, tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    here, there = (Settings(data_path=tmp_path / name, secret_key="k" * 32, token_lifetime=HOUR) for name in "ab")
    text = Tokens(here, database).issue_login(dora.user_id)
    pass_time(2 * HOUR)
    assert Tokens(here, database).expire(HOUR / 2) == 1
    with pytest.raises(TokenExpired):
        Tokens(there, database).check(text)
    assert not (tmp_path / "a").exists()
