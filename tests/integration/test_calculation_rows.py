"""Which calculation is whose, on both databases: claimed once, started anew where it failed, deleted, forgotten."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.calculations.calculations import Calculations, NoSuchCalculation, input_key
from knossos.scripting.calculations.input import BadInput
from knossos.scripting.calculations.states import CalculationState
from knossos.scripting.calculations.tables import CalculationRow
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.scripting.runs import Runs
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from knossos.storage import Storage

DATA = b"<input/>"
SHA1 = hashlib.sha1(DATA).hexdigest()


@pytest.fixture
def settings(settings: Settings, database_url: str) -> Settings:
    more = {"database": database_url, "calculation_command": ("true",), "calculation_open": True}
    return settings.model_copy(update=more)


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage(settings)


@pytest.fixture
def calculations(settings: Settings, database: Database, storage: Storage, engine: Engine) -> Calculations:
    return Calculations(settings, database, storage, engine)


@pytest.fixture
def runs(settings: Settings, database: Database, storage: Storage, engine: Engine) -> Runs:
    return Runs(settings, database, storage, engine)


def test_one_input_is_claimed_by_one_of_many(calculations: Calculations, engine: Engine, storage: Storage) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: calculations.post(SHA1, DATA), range(6)))
    assert {one.run_id for one in found} == {calculations.get(SHA1).run_id}
    assert len(engine.list_jobs()) == 1
    assert [key for key, _, _ in storage.list_keys("runs")] == [input_key(found[0].run_id)]


@pytest.mark.parametrize("outcome", [RunOutcome.EXITED, RunOutcome.CANCELLED, RunOutcome.LOST])
def test_one_that_did_not_end_well_is_started_anew_once(
    calculations: Calculations, runs: Runs, storage: Storage, outcome: RunOutcome
) -> None:
    first = calculations.post(SHA1, DATA)
    runs.end(first.run_id, Ending(outcome, 1, error="no"), [], 1000)
    assert calculations.get(SHA1).state in (CalculationState.FAILED, CalculationState.CANCELLED)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: calculations.post(SHA1, DATA), range(6)))
    (again,) = {one.run_id for one in found}
    assert again != first.run_id
    assert [key for key, _, _ in storage.list_keys("runs")] == [input_key(again)]


def test_one_that_finished_stays(calculations: Calculations, runs: Runs) -> None:
    first = calculations.post(SHA1, DATA)
    runs.end(first.run_id, Ending(RunOutcome.EXITED, 0), [], 1000)
    again = calculations.post(SHA1, DATA)
    assert (again.run_id, again.state) == (first.run_id, CalculationState.FINISHED)


def test_what_a_worker_keeps_of_one_that_was_deleted_goes_as_well(
    calculations: Calculations, runs: Runs, storage: Storage, engine: Engine
) -> None:
    found = calculations.post(SHA1, DATA)
    calculations.delete(SHA1)
    assert engine.list_jobs() == []
    storage.put_bytes(f"runs/{found.run_id}/0", b"late")
    assert not runs.end(found.run_id, Ending(RunOutcome.EXITED, 0), [], 1000)
    assert list(storage.list_keys("runs")) == []
    for ask in (calculations.get, calculations.delete):
        with pytest.raises(NoSuchCalculation):
            ask(SHA1)


def test_one_whose_time_is_over_is_forgotten_and_may_be_posted_again(
    calculations: Calculations, runs: Runs, database: Database
) -> None:
    first = calculations.post(SHA1, DATA)
    assert calculations.purge() == 0
    with database.session() as session:
        session.execute(update(ScriptRun).values(expires_at=1.0))
        session.execute(update(CalculationRow).values(created_at=1.0))
    with pytest.raises(NoSuchCalculation):
        calculations.get(SHA1)
    assert calculations.post(SHA1, DATA).run_id != first.run_id
    with database.session() as session:
        session.execute(update(ScriptRun).values(expires_at=1.0))
        session.execute(update(CalculationRow).values(created_at=1.0))
    assert runs.purge() == 1
    assert calculations.purge() == 1


def test_one_that_is_deleted_as_it_is_posted_was_posted_all_the_same(
    calculations: Calculations, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = calculations._submit

    def and_deleted(*arguments: Any) -> None:
        submit(*arguments)
        calculations.delete(SHA1)

    monkeypatch.setattr(calculations, "_submit", and_deleted)
    found = calculations.post(SHA1, DATA)
    assert (found.state, found.text, found.run) == ("cancelled", "It was deleted.", None)
    with pytest.raises(NoSuchCalculation):
        calculations.get(SHA1)
    assert list(storage.list_keys("runs")) == []


def test_what_is_refused_leaves_nothing(calculations: Calculations, storage: Storage, engine: Engine) -> None:
    with pytest.raises(BadInput):
        calculations.post("0" * 40, DATA)
    assert list(storage.list_keys("runs")) == []
    assert engine.list_jobs() == []
