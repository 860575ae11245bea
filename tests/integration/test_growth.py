"""What is asked of many jobs takes as many commands as what is asked of few."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from benchmarks import growth
from benchmarks.many_jobs import copy_job
from benchmarks.many_runs import add_runs
from knossos.database import Database
from knossos.jobs import Engine, JobSpec, keys, stray_keys
from knossos.jobs.retention import purge
from knossos.launch.clean_up import clean_up
from knossos.scripting.plan import RunKind
from knossos.scripting.runs import Runs
from knossos.settings import Settings
from knossos.storage import Storage

FEW, MANY = 300, 6_000


def spec(kind: str = "test", owner: str = "key:a") -> JobSpec:
    return JobSpec(function="tests.support.jobs.echo", kind=kind, title="t", owner=owner)


def commands(engine: Engine, call: Callable[[], object]) -> dict[str, int]:
    """How often each command was run by a call, those inside of scripts as well."""
    engine.redis.config_resetstat()
    call()
    stats: Any = engine.redis.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): figures["calls"]
        for name, figures in stats.items()
        if not name.startswith(("cmdstat_config", "cmdstat_info"))
    }


def grow(engine: Engine, call: Callable[[], object]) -> tuple[dict[str, int], dict[str, int]]:
    """The commands of a call among few jobs that wait, and as many that have ended, and among many."""
    rare = engine.submit(spec("rare", "key:rare")).ticket
    waiting, ended = engine.submit(spec()).ticket, engine.submit(spec()).ticket
    engine.cancel(ended)
    found = []
    for count in (FEW, MANY):
        for ticket in (waiting, ended):
            copy_job(engine, ticket, count)
        call()  # connections and scripts
        found.append(commands(engine, call))
    assert [record.ticket for record in engine.list_jobs(kind="rare")] == [rare]
    few, many = found
    return few, many


def test_a_listing_reads_as_much_among_many_jobs_as_among_few(engine: Engine) -> None:
    def lists() -> None:
        assert len(engine.list_jobs(limit=50)) == 50
        assert len(engine.list_jobs(owner="key:a", limit=50)) == 50
        assert len(engine.list_jobs(kind="rare", limit=50)) == 1

    few, many = grow(engine, lists)
    assert few == many


def test_a_submission_and_a_look_write_and_read_as_much_among_many_jobs_as_among_few(engine: Engine) -> None:
    few, many = grow(engine, lambda: engine.find(engine.submit(spec()).ticket))
    assert few == many


def test_the_clean_up_looks_at_what_is_due_and_at_no_more_keys_than_it_may(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stray_keys, "SWEEP_KEYS", 100)
    monkeypatch.setattr(stray_keys, "AT_ONCE", 100)
    few, many = grow(engine, lambda: purge(engine))
    assert (few["scan"], many["scan"]) == (1, 1)
    # One step of SCAN may give some more or fewer keys than it was asked for.
    assert sum(many.values()) < sum(few.values()) + 300


def test_the_clean_up_is_measured_without_the_start_of_a_process(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(settings)
    database.migrate()
    database.close()
    monkeypatch.setattr(growth, "CLEAN_UPS", 2)

    def slow(settings: Settings) -> list[tuple[str, int]]:
        time.sleep(0.2)
        return clean_up(settings)

    quick = growth.clean_up_milliseconds(settings, engine)
    monkeypatch.setattr(growth, "clean_up", slow)
    assert growth.clean_up_milliseconds(settings, engine) >= 200
    assert quick > 0
    assert engine.list_jobs(kind="conversion") == []


def test_what_is_due_goes_in_one_look_however_much_there_is(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stray_keys, "SWEEP_KEYS", 0)
    ticket = engine.submit(spec()).ticket
    engine.cancel(ticket)
    copy_job(engine, ticket, 500)
    kept = engine.submit(spec()).ticket
    removed = purge(engine, time.time() + engine.settings.result_lifetime + 1).removed
    assert len(removed) == 501
    assert [record.ticket for record in engine.list_jobs()] == [kept]
    for index in (keys.TASKS, keys.tasks_of("key:a"), keys.tasks_of_kind("test"), keys.OPEN):
        assert engine.redis.zcard(index) == 1
    assert engine.redis.zcard(keys.ENDED) == 0


def test_strays_are_found_in_the_end_by_looks_that_go_on_from_each_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stray_keys, "SWEEP_KEYS", 200)
    monkeypatch.setattr(stray_keys, "AT_ONCE", 100)
    copy_job(engine, engine.submit(spec()).ticket, 1_000)
    for ticket in range(90_000, 90_050):
        engine.redis.set(keys.result(ticket), b"x")
    found = [purge(engine).stray_keys for _ in range(40)]
    assert sum(found) == 50
    assert sum(1 for count in found if count) > 1
    assert len(engine.list_jobs(limit=2_000)) == 1_001


def test_jobs_that_an_older_version_stored_come_into_the_indices(engine: Engine) -> None:
    waiting, ended = engine.submit(spec()).ticket, engine.submit(spec()).ticket
    engine.cancel(ended)
    before = {index: engine.redis.zrange(index, 0, -1, withscores=True) for index in (keys.OPEN, keys.ENDED)}
    engine.redis.delete(keys.OPEN, keys.ENDED, keys.tasks_of_kind("test"))
    purge(engine)
    assert [record.ticket for record in engine.list_jobs(kind="test")] == [ended, waiting]
    assert {index: engine.redis.zrange(index, 0, -1, withscores=True) for index in before} == before


def test_an_index_loses_what_redis_itself_has_let_go(engine: Engine) -> None:
    tickets = [engine.submit(spec(owner="key:b")).ticket for _ in range(3)]
    engine.redis.delete(*(keys.task(ticket) for ticket in tickets[:2]))
    purge(engine)
    for index in (keys.TASKS, keys.tasks_of("key:b"), keys.tasks_of_kind("test")):
        assert engine.redis.zrange(index, 0, -1) == [str(tickets[2]).encode()]


# --- rows ---------------------------------------------------------------------------------------------


@contextmanager
def plans(database: Database) -> Iterator[list[str]]:
    """How SQLite goes about each SELECT that is made in the block."""
    found: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.extend(f"{step[3]}: {statement}" for step in cursor.fetchall())

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)


def test_runs_are_found_by_indices_that_have_them_in_order(engine: Engine, settings: Settings) -> None:
    database = Database(settings)
    database.migrate()
    runs = Runs(settings, database, Storage(settings), engine)
    add_runs(database, "user:dora", 50)
    with plans(database) as found:
        for owner in ("user:dora", None):
            newest = runs.history(owner, limit=10)
            assert [run.created_at for run in runs.history(owner, newest[-1].created_at, 10)]
            brief = runs.brief(RunKind.HOME, owner, limit=10)
            assert len(runs.brief(RunKind.HOME, owner, brief[-1].ticket, 10)) == 10
            runs.count_open(RunKind.HOME, owner)
        runs._refuse_too_many("user:dora")
        runs.purge()
    database.close()
    assert found
    for step in found:
        assert not step.startswith("SCAN") or " USING " in step, step
        assert not step.startswith("USE TEMP B-TREE FOR ORDER BY"), step


def test_a_page_of_runs_goes_on_after_the_one_before(engine: Engine, settings: Settings) -> None:
    database = Database(settings)
    database.migrate()
    runs = Runs(settings, database, Storage(settings), engine)
    add_runs(database, "user:dora", 25)
    seen: list[int] = []
    while page := runs.brief(RunKind.HOME, "user:dora", seen[-1] if seen else None, 10):
        seen += [run.ticket for run in page]
    assert seen == list(range(25, 0, -1))
    database.close()
