"""Calculations through a real Slurm, its controller and its one node on this machine, without accounting."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.calculations.calculations import Calculations
from knossos.scripting.calculations.commands import BatchScripts
from knossos.scripting.calculations.states import CalculationState
from knossos.settings import ROOT, Settings
from knossos.storage import Storage
from tests.conftest import StartWorker
from tests.support.batch_calculations import PROGRAM, Batch, through_slurm
from tests.support.processes import wait_for
from tests.support.slurm import Slurm, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {', '.join(missing())}"),
    pytest.mark.skipif(os.getuid() != 0, reason="Slurm's controller and node run as root here"),
]


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    (tmp_path / "slurm").mkdir()
    made = Slurm(tmp_path / "slurm")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def accounting_slurm(tmp_path: Path) -> Iterator[Slurm]:
    (tmp_path / "slurm").mkdir()
    made = Slurm(tmp_path / "slurm", accounting=True)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def batch(request: pytest.FixtureRequest,
     settings: Settings, engine: Engine, sqlite_template: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, start_worker: StartWorker,
) -> Iterator[Batch]:  # fmt: skip
    slurm: Slurm = request.getfixturevalue(getattr(request, "param", "slurm"))
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("SLURM_CONF", str(slurm.configuration))
    monkeypatch.setenv("CALCULATION_PROGRAM", str(program))
    settings = through_slurm(settings, sqlite_template)
    database = Database(settings)
    start_worker(scripts=True, use=settings)
    yield Batch(settings, Calculations(settings, database, Storage(settings), engine), engine)
    database.close()


@pytest.mark.timeout(300)
def test_a_calculation_goes_through_a_real_slurm(batch: Batch, slurm: Slurm) -> None:
    sha1 = batch.post("wait")
    running = batch.until(sha1, CalculationState.RUNNING)
    assert running.text == "Slurm says RUNNING"
    assert slurm.ask("squeue", "--noheader", "--format=%A %T").split() == [running.job, "RUNNING"]
    wait_for(lambda: batch.output(batch.calculations.get(sha1)) == "begins\n", "its output, live")
    # There is one processor: the next one waits for it.
    other = batch.post("fast")
    (batch.folder(sha1) / "go").touch()
    found = batch.until(sha1, CalculationState.FINISHED)
    assert batch.output(found) == "begins\nends\n"
    assert [file.name for file in found.xml_files()] == ["info.xml"]
    batch.until(other, CalculationState.FINISHED)
    failed = batch.until(batch.post("fail"), CalculationState.FAILED)
    assert failed.text == "Slurm says FAILED"


@pytest.mark.timeout(300)
def test_deleting_a_calculation_ends_it_in_a_real_slurm(batch: Batch, slurm: Slurm) -> None:
    sha1 = batch.post("wait")
    job = batch.until(sha1, CalculationState.RUNNING).job
    folder = batch.folder(sha1)
    batch.calculations.delete(sha1)
    wait_for(lambda: "JobState=CANCELLED" in slurm.ask("scontrol", "show", "job", job), "its end")
    wait_for(lambda: not folder.exists(), "its directory to go")


@pytest.mark.timeout(300)
def test_one_that_somebody_cancels_in_slurm_is_cancelled(batch: Batch, slurm: Slurm) -> None:
    sha1 = batch.post("wait")
    slurm.ask("scancel", batch.until(sha1, CalculationState.RUNNING).job)
    batch.until(sha1, CalculationState.CANCELLED)


@pytest.mark.timeout(300)
def test_a_real_controller_that_is_away_for_a_while_ends_nothing(batch: Batch, slurm: Slurm) -> None:
    sha1 = batch.post("wait")
    batch.until(sha1, CalculationState.RUNNING)
    slurm.stop_controller()
    batch.until(sha1, CalculationState.UNKNOWN)
    (batch.folder(sha1) / "go").touch()
    slurm.start_controller()
    found = batch.until(sha1, CalculationState.FINISHED)
    assert batch.output(found) == "begins\nends\n"


@pytest.mark.timeout(300)
def test_a_real_controller_that_is_away_is_given_the_calculation_when_it_is_back(batch: Batch, slurm: Slurm) -> None:
    slurm.stop_controller()
    sha1 = batch.post("fast")
    unknown = batch.until(sha1, CalculationState.UNKNOWN)
    assert "startcalc says that the batch system does not answer" in unknown.text
    slurm.start_controller()
    batch.until(sha1, CalculationState.FINISHED)
    assert slurm.ask("squeue", "--noheader", "--states=all", "--format=%T").split() == ["COMPLETED"]


@pytest.mark.timeout(300)
def test_a_call_that_was_lost_after_the_submission_finds_what_has_ended_since(slurm: Slurm, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SLURM_CONF", str(slurm.configuration))
    monkeypatch.setenv("CALCULATION_PROGRAM", "/bin/true")
    directory = tmp_path / str(uuid.uuid4())
    directory.mkdir()
    folder = ROOT / "conf" / "batch" / "slurm"
    scripts = BatchScripts(folder / "startcalc", folder / "getstatus", folder / "cancelcalc", 30)
    job = scripts.start(directory)
    wait_for(lambda: scripts.status(directory).startswith("finished"), "its end")
    (directory / "job").unlink()
    assert scripts.start(directory) == job


@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(missing(accounting=True)), reason=f"not installed: {', '.join(missing(accounting=True))}")
@pytest.mark.parametrize("batch", ["accounting_slurm"], indirect=True)
def test_with_accounting_the_end_of_a_calculation_is_what_sacct_says(batch: Batch, accounting_slurm: Slurm) -> None:
    sha1 = batch.post("fast")
    job = batch.until(sha1, CalculationState.FINISHED).job
    ask = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=State", "--jobs")
    assert accounting_slurm.ask(*ask, job).split() == ["COMPLETED"]
    other = batch.post("wait")
    accounting_slurm.ask("scancel", batch.until(other, CalculationState.RUNNING).job)
    # Only the accounting says by whom.
    assert batch.until(other, CalculationState.CANCELLED).text.startswith("Slurm says CANCELLED by ")
    deleted = batch.post("wait")
    job = batch.until(deleted, CalculationState.RUNNING).job
    batch.calculations.delete(deleted)
    wait_for(lambda: accounting_slurm.ask(*ask, job).startswith("CANCELLED by "), "cancelcalc to end it")
