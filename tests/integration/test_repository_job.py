"""The job that brings the files up: asked for inside a transaction, run before, after, or without its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from knossos.database import Database
from knossos.errors import EXIT_OK
from knossos.jobs import Engine, JobContext, JobSpec, JobState
from knossos.publishing.changes import next_change
from knossos.publishing.repository import job
from knossos.publishing.repository.errors import ChangeNotThere
from knossos.settings import Settings
from knossos.web import create_app
from tests.conftest import StartWorker
from tests.support.processes import wait_for
from tests.support.releases_world import World


class Context:
    """What the job uses of its context."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def check(self) -> None:
        """Nobody interrupts."""


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(job, "LOOK_SECONDS", 0.05)
    made = World(database, tmp_path)
    made.more["database"] = database.url.render_as_string(hide_password=False)
    made.machine = made.machine_called("first")
    return made


def write(world: World, change: int, announced_at: float) -> dict[str, Any]:
    context = cast(JobContext, Context(world.machine.settings))
    return job.write(context, {"change": change, "announced_at": announced_at})


def test_a_change_that_is_not_committed_yet_is_tried_again_later(world: World) -> None:
    with world.database.session() as session:
        change = next_change(session)
        session.flush()
        with pytest.raises(ChangeNotThere):
            write(world, change, time.time())
    assert write(world, change, time.time()) == {"change": 1, "written": True}
    assert world.names() == []


def test_a_change_that_was_undone_ends_quietly(world: World) -> None:
    assert write(world, 1, time.time() - job.COMMIT_SECONDS - 1) == {"change": 1, "written": False}
    assert not world.public.exists()


def test_of_many_jobs_for_the_same_changes_one_does_the_work(world: World) -> None:
    first, second = world.publish("alpha"), world.publish("beta")
    assert write(world, first, 0.0)["change"] == second
    inode = (world.public / "repo.json").stat().st_ino
    assert write(world, second, 0.0)["change"] == second
    assert (world.public / "repo.json").stat().st_ino == inode


@pytest.fixture
def on_sqlite(settings: Settings, sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(settings)
    made = World(database, tmp_path)
    made.machine = made.machine_called("data", redis=settings.redis)
    yield made
    database.close()


def test_a_worker_that_starts_writes_what_is_missing_and_the_operator_can_have_all_made_anew(
    on_sqlite: World, engine: Engine, start_worker: StartWorker
) -> None:
    on_sqlite.publish()
    settings = on_sqlite.machine.settings
    start_worker(product=True, use=settings)
    wait_for(lambda: on_sqlite.machine.repository.missing_change() is None, "the repository's files")
    assert on_sqlite.names() == ["alpha 1.0.0"]
    change = on_sqlite.publish("beta")
    ticket = job.submit_update(engine, change).ticket
    wait_for(lambda: engine.find(ticket).state.finished, "the job")
    assert engine.find(ticket).state is JobState.SUCCEEDED
    assert on_sqlite.names() == ["alpha 1.0.0", "beta 1.0.0"]
    inode = (on_sqlite.public / "repo.json").stat().st_ino
    said = create_app(settings, engine).test_cli_runner().invoke(args=["repository", "rebuild"])
    assert (said.exit_code, said.output.splitlines()[-1]) == (EXIT_OK, "the files hold change 2")
    assert (on_sqlite.public / "repo.json").stat().st_ino != inode
    said = create_app(settings, engine).test_cli_runner().invoke(args=["repository", "status"])
    assert said.output.splitlines()[-1] == "up to date"


def test_what_looks_after_the_files_asks_for_nothing_where_nothing_is_missing(on_sqlite: World, engine: Engine) -> None:
    on_sqlite.publish()
    job.catch_up(on_sqlite.machine.settings)
    (task,) = engine.list_jobs(kind="repository")
    assert engine.payload(task.ticket)["change"] == 1
    on_sqlite.bring_up()
    job.catch_up(on_sqlite.machine.settings)
    assert len(engine.list_jobs(kind="repository")) == 1


def test_a_worker_starts_though_the_database_has_no_tables_yet(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    job.catch_up(settings)
    assert "not known" in caplog.text
    with caplog.at_level(logging.INFO):
        job.prepare(settings)
    assert "cannot be prepared" in caplog.text


def test_what_a_worker_has_prepared_before_its_forks_no_update_prepares_again(
    on_sqlite: World, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLAlchemy says of each statement whether it was "cached" or had to be "generated"."""
    change = on_sqlite.publish()
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
        job.prepare(on_sqlite.machine.settings)
        caplog.clear()
        assert write(on_sqlite, change, time.time())["written"]
    said = {now.split("\n")[0]: after for now, after in pairwise(caplog.messages) if now.startswith("SELECT")}
    assert [after.partition(" ")[0] for after in said.values()].count("[cached") == len(said) > 1
    assert on_sqlite.names() == ["alpha 1.0.0"]


def test_a_job_finds_the_tables_related_to_each_other(
    on_sqlite: World, engine: Engine, start_worker: StartWorker
) -> None:
    start_worker(product=True, use=on_sqlite.machine.settings)
    ticket = engine.submit(JobSpec(function="tests.support.jobs.tables", kind="conversion", title="", owner="")).ticket
    wait_for(lambda: engine.find(ticket).state.finished, "the job")
    assert engine.result(ticket) == {"releases": True}
