"""Tokens of runs: whom they stand for, and when they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from linkahead.connection.utils import auth_token_to_cookie

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.errors import AccessDenied
from knossos.scripting.access import may_execute
from knossos.scripting.plan import RunKind, TokenPlan
from knossos.scripting.run_records import new_run_id
from knossos.scripting.tables import ScriptRun, ScriptToken
from knossos.scripting.tokens import PREFIX, RunTokenExpired, RunTokens
from knossos.settings import Settings
from tests.support.people import CHEAP, add_account


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_path=tmp_path / "data", script_token_grace_seconds=60, task_lifetime=1000)


@pytest.fixture
def tokens(settings: Settings, database: Database) -> RunTokens:
    return RunTokens(settings, database)


@pytest.fixture
def dora(database: Database) -> Account:
    return add_account(database, "dora")


@pytest.fixture
def run_id(database: Database, dora: Account) -> str:
    return add_run(database)


def add_run(database: Database) -> str:
    run_id, now = new_run_id(), time.time()
    row = ScriptRun(
        id=run_id,
        kind=RunKind.SCRIPT,
        name="x.py",
        owner="account:dora",
        arguments="[]",
        created_at=now,
        expires_at=now + 10_000,
        shared_name=run_id.replace("-", ""),
    )
    with database.session() as session:
        session.add(row)
    return run_id


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that puts the clock forward."""
    start = time.time()

    def forward(seconds: float) -> None:
        monkeypatch.setattr("knossos.scripting.tokens.time.time", lambda: start + seconds)

    return forward


def refused(tokens: RunTokens, text: str) -> AccessDenied:
    with pytest.raises(AccessDenied) as caught:
        tokens.check(text)
    return caught.value


def test_a_token_stands_for_its_caller_with_the_roles_of_now(
    tokens: RunTokens, database: Database, dora: Account, run_id: str
) -> None:
    text = tokens.issue(TokenPlan(user_id=dora.user_id), run_id)
    caller = tokens.check(text)
    assert (caller.name, caller.roles, caller.stands_in) == ("dora", {"anonymous"}, False)
    Accounts(database, CHEAP).set_roles("dora", ["operator"])
    assert tokens.check(text).roles == {"anonymous", "operator", "administration"}


def test_a_token_may_stand_for_nobody(tokens: RunTokens, run_id: str) -> None:
    caller = tokens.check(tokens.issue(TokenPlan(), run_id))
    assert (caller.account, caller.name, caller.roles) == (None, "anonymous", {"anonymous"})


def test_roles_of_its_own_count_instead_of_the_accounts(
    tokens: RunTokens, settings: Settings, database: Database, dora: Account, run_id: str
) -> None:
    Accounts(database, CHEAP).set_roles("dora", ["operator"])
    plan = TokenPlan(user_id=dora.user_id, roles=("curators",), permissions=("SCRIPTING:EXECUTE:a/*",))
    caller = tokens.check(tokens.issue(plan, run_id))
    assert (caller.name, caller.roles, caller.stands_in) == ("dora", {"anonymous", "curators"}, True)
    assert may_execute(caller, "a/x.py", settings)
    assert not may_execute(caller, "b.py", settings)


def test_only_the_sum_of_a_token_is_kept(
    tokens: RunTokens, database: Database, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = tokens.issue(TokenPlan(), run_id)
    tokens.check(text)
    refused(tokens, text + "x")
    with database.reading() as session:
        row = session.execute(sqlalchemy.text("select * from script_tokens")).mappings().one()
    secret = text.removeprefix(PREFIX)
    assert secret not in str(dict(row))
    assert secret not in caplog.text


def test_a_token_needs_no_quoting(tokens: RunTokens, run_id: str) -> None:
    text = tokens.issue(TokenPlan(), run_id)
    assert auth_token_to_cookie(text) == f"SessionToken={text};"
    assert not set(text) & set(" '\"\\$`.=;")


def test_a_token_that_was_never_issued_is_refused(tokens: RunTokens, run_id: str) -> None:
    for text in ("", "x", PREFIX, PREFIX + "x", PREFIX + "x" * 1000, PREFIX + "\ud800"):
        assert not isinstance(refused(tokens, text), RunTokenExpired)


def test_a_token_outlives_its_run_by_the_grace_and_no_longer(
    tokens: RunTokens, run_id: str, pass_time: Callable[[float], None]
) -> None:
    text = tokens.issue(TokenPlan(), run_id)
    pass_time(100)
    tokens.end(run_id)
    pass_time(155)
    tokens.check(text)
    pass_time(165)
    assert isinstance(refused(tokens, text), RunTokenExpired)


def test_the_end_of_a_run_counts_also_where_nobody_told_the_tokens(
    tokens: RunTokens, database: Database, run_id: str, pass_time: Callable[[float], None]
) -> None:
    text = tokens.issue(TokenPlan(), run_id)
    with database.session() as session:
        session.execute(sqlalchemy.update(ScriptRun).values(ended_at=time.time() + 10))
    pass_time(65)
    tokens.check(text)
    pass_time(75)
    assert isinstance(refused(tokens, text), RunTokenExpired)


def test_no_token_lives_longer_than_a_task_may(
    tokens: RunTokens, run_id: str, pass_time: Callable[[float], None]
) -> None:
    text = tokens.issue(TokenPlan(expires_after_seconds=5000), run_id)
    short = tokens.issue(TokenPlan(expires_after_seconds=10), run_id)
    pass_time(11)
    tokens.check(text)
    assert isinstance(refused(tokens, short), RunTokenExpired)
    pass_time(1001)
    assert isinstance(refused(tokens, text), RunTokenExpired)


def test_the_end_of_a_run_does_not_lengthen_a_short_life(
    tokens: RunTokens, run_id: str, pass_time: Callable[[float], None]
) -> None:
    short = tokens.issue(TokenPlan(expires_after_seconds=10), run_id)
    tokens.end(run_id)
    pass_time(11)
    assert isinstance(refused(tokens, short), RunTokenExpired)


def test_limited_uses_are_counted_one_by_one_however_many_come_at_once(tokens: RunTokens, run_id: str) -> None:
    text = tokens.issue(TokenPlan(max_replays=5), run_id)

    def is_good(_: int) -> bool:
        try:
            tokens.check(text)
        except RunTokenExpired:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(is_good, range(16))) == 5


def test_a_disabled_account_and_a_new_password_void_its_tokens(
    tokens: RunTokens, database: Database, dora: Account, run_id: str
) -> None:
    accounts = Accounts(database, CHEAP)
    text = tokens.issue(TokenPlan(user_id=dora.user_id), run_id)
    accounts.disable("dora")
    assert not isinstance(refused(tokens, text), RunTokenExpired)
    accounts.enable("dora")
    refused(tokens, text)
    later = tokens.issue(TokenPlan(user_id=dora.user_id), add_run(database))
    tokens.check(later)
    accounts.set_password("dora", "another one")
    refused(tokens, later)


def test_a_script_may_log_out(tokens: RunTokens, run_id: str) -> None:
    text, other = tokens.issue(TokenPlan(), run_id), tokens.issue(TokenPlan(), run_id)
    tokens.revoke(text)
    refused(tokens, text)
    tokens.check(other)


def test_a_purge_removes_what_is_void_and_nothing_else(
    tokens: RunTokens, database: Database, run_id: str, pass_time: Callable[[float], None]
) -> None:
    tokens.issue(TokenPlan(expires_after_seconds=10), run_id)
    good = tokens.issue(TokenPlan(), run_id)
    ended = add_run(database)
    tokens.issue(TokenPlan(), ended)
    with database.session() as session:
        session.execute(sqlalchemy.update(ScriptRun).where(ScriptRun.id == ended).values(ended_at=time.time()))
    pass_time(100)
    assert tokens.purge() == 2
    tokens.check(good)
    with database.reading() as session:
        assert session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(ScriptToken)) == 1
