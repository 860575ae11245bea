"""A PostgreSQL that restarts: who can wait does, who cannot is told at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from knossos import database as database_module
from knossos.database import Database, be_patient
from knossos.settings import Settings
from tests.support.postgres import Postgres

NO_SLEEP = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("it has waited"))


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> Iterator[Database]:
    made = Database(Settings(data_path=tmp_path, database=postgres.new_database()))
    yield made
    made.close()
    be_patient(0)


def ask(database: Database) -> int:
    with database.reading() as session:
        return int(session.execute(text("SELECT 17")).scalar_one())


def test_a_worker_waits_for_a_database_that_restarts(database: Database, postgres: Postgres) -> None:
    assert ask(database) == 17
    be_patient(60)
    postgres.stop()
    back = threading.Timer(1.0, postgres.start)
    back.start()
    assert ask(database) == 17
    back.join()


def test_a_request_does_not_wait(database: Database, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "time", NO_SLEEP)
    postgres.stop()
    try:
        with pytest.raises(OperationalError):
            ask(database)
    finally:
        monkeypatch.undo()
        postgres.start()


def test_what_waiting_does_not_mend_is_told_at_once(
    database: Database, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(60)
    monkeypatch.setattr(database_module, "time", NO_SLEEP)
    missing = Database(Settings(data_path=tmp_path, database=postgres.url("knossos_that_never_was")))
    with pytest.raises(OperationalError, match="does not exist"):
        ask(missing)
