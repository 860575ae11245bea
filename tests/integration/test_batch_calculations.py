"""Calculations in a batch system: handed over, followed, ended and collected by a real worker, through the shipped
scripts for Slurm over stand-ins for its commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting import housekeeping
from knossos.scripting.calculations.calculations import Calculations, NoSuchCalculation
from knossos.scripting.calculations.states import CalculationState
from knossos.settings import Settings
from knossos.storage import Storage
from tests.conftest import StartWorker
from tests.support.batch import Commands
from tests.support.batch_calculations import PROGRAM, Batch, through_slurm
from tests.support.processes import wait_for


@dataclass
class Scene(Batch):
    commands: Commands


@pytest.fixture
def batch(
    settings: Settings, engine: Engine, sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    commands = Commands(tmp_path / "bin")
    monkeypatch.setenv("PATH", commands.path)
    monkeypatch.setenv("CALCULATION_PROGRAM", str(commands.program("program", PROGRAM)))
    settings = through_slurm(settings, sqlite_template)
    database = Database(settings)
    calculations = Calculations(settings, database, Storage(settings), engine)
    with commands.a_slurm_that_runs():
        yield Scene(settings, calculations, engine, commands)
    database.close()


def test_a_calculation_goes_through_the_batch_system(batch: Scene, start_worker: StartWorker) -> None:
    start_worker(scripts=True, use=batch.settings)
    sha1 = batch.post("wait")
    running = batch.until(sha1, CalculationState.RUNNING)
    assert (running.job, running.text) == ("4711", "Slurm says RUNNING")
    wait_for(lambda: batch.output(batch.calculations.get(sha1)) == "begins\n", "its output, live")
    folder = batch.folder(sha1)
    (folder / "go").touch()
    found = batch.until(sha1, CalculationState.FINISHED)
    assert batch.output(found) == "begins\nends\n"
    assert {name: found.file(name) is not None for name in ("info.xml", "input.xml", "exitcode", "job", "stderr")} == {
        "info.xml": True, "input.xml": True, "exitcode": True, "job": True, "stderr": False,
    }  # fmt: skip
    assert [file.name for file in found.xml_files()] == ["info.xml"]
    assert found.run is not None
    assert found.run.ticket is not None
    ticket = found.run.ticket
    wait_for(lambda: batch.engine.find(ticket + 1).state.finished, "what follows it")
    assert not list(batch.settings.calculations_folder.iterdir())
    assert not [call for call in batch.commands.calls if call.startswith("scancel")]


def test_one_that_fails_there_has_failed_and_its_output_is_kept(batch: Scene, start_worker: StartWorker) -> None:
    start_worker(scripts=True, use=batch.settings)
    found = batch.until(batch.post("fail"), CalculationState.FAILED)
    assert found.text == "Slurm says FAILED"
    assert batch.output(found) == "begins\n"


def test_deleting_one_that_runs_ends_it_there(batch: Scene, start_worker: StartWorker) -> None:
    start_worker(scripts=True, use=batch.settings)
    sha1 = batch.post("wait")
    batch.until(sha1, CalculationState.RUNNING)
    folder = batch.folder(sha1)
    batch.calculations.delete(sha1)
    with pytest.raises(NoSuchCalculation):
        batch.calculations.get(sha1)
    wait_for(lambda: "scancel 4711" in batch.commands.calls, "Slurm to be told")
    wait_for(lambda: not folder.exists(), "its directory to go")


def test_a_controller_that_does_not_answer_for_a_while_ends_nothing(batch: Scene, start_worker: StartWorker) -> None:
    start_worker(scripts=True, use=batch.settings)
    sha1 = batch.post("wait")
    batch.until(sha1, CalculationState.RUNNING)
    squeue = (batch.commands.folder / "squeue").read_text()
    batch.commands.prints("squeue", err="Unable to contact slurm controller (connect failure)\n", code=1)
    unknown = batch.until(sha1, CalculationState.UNKNOWN)
    assert "Unable to contact slurm controller" in unknown.text
    (batch.folder(sha1) / "go").touch()
    batch.commands.program("squeue", squeue)
    batch.until(sha1, CalculationState.FINISHED)


def test_a_controller_that_does_not_answer_is_given_the_calculation_later(
    batch: Scene, start_worker: StartWorker
) -> None:
    squeue = (batch.commands.folder / "squeue").read_text()
    batch.commands.prints("squeue", err="Unable to contact slurm controller (connect failure)\n", code=1)
    start_worker(scripts=True, use=batch.settings)
    sha1 = batch.post("fast")
    unknown = batch.until(sha1, CalculationState.UNKNOWN)
    assert "Unable to contact slurm controller" in unknown.text
    batch.commands.program("squeue", squeue)
    batch.until(sha1, CalculationState.FINISHED)
    assert len([call for call in batch.commands.calls if call.startswith("sbatch")]) == 1


def test_one_whose_worker_was_lost_is_followed_on_and_not_submitted_again(
    batch: Scene, start_worker: StartWorker
) -> None:
    first = start_worker(scripts=True, use=batch.settings)
    sha1 = batch.post("wait")
    batch.until(sha1, CalculationState.RUNNING)
    folder = batch.folder(sha1)
    first.stop()
    assert folder.is_dir()
    (folder / "go").touch()
    start_worker(scripts=True, use=batch.settings)
    found = batch.until(sha1, CalculationState.FINISHED)
    assert batch.output(found) == "begins\nends\n"
    assert len([call for call in batch.commands.calls if call.startswith("sbatch")]) == 1


def test_one_that_cannot_be_submitted_says_why_and_may_be_posted_again(batch: Scene, start_worker: StartWorker) -> None:
    sbatch = (batch.commands.folder / "sbatch").read_text()
    error = "sbatch: error: Batch job submission failed: Invalid account"
    batch.commands.prints("sbatch", err=error, code=1)
    start_worker(scripts=True, use=batch.settings)
    found = batch.until(batch.post("fast"), CalculationState.FAILED)
    assert found.text == f"It could not be started: startcalc ended with exit code 1: {error}."
    batch.commands.program("sbatch", sbatch)
    batch.until(batch.post("fast"), CalculationState.FINISHED)


def test_one_that_is_deleted_as_it_is_submitted_is_ended_all_the_same(batch: Scene, start_worker: StartWorker) -> None:
    sbatch = (batch.commands.folder / "sbatch").read_text()
    batch.commands.program("sbatch", sbatch.replace("echo 4711", "exec sleep 600"))
    start_worker(scripts=True, use=batch.settings)
    sha1 = batch.post("wait")
    folder = batch.folder(sha1)
    wait_for(lambda: bool(batch.commands.calls), "sbatch to be called")
    batch.calculations.delete(sha1)
    wait_for(lambda: f"scancel --name={folder.name}" in batch.commands.calls, "Slurm to be told")
    wait_for(lambda: not folder.exists(), "its directory to go")


def test_what_a_lost_worker_left_there_is_ended_by_the_daily_clean_up(batch: Scene) -> None:
    folder = batch.settings.calculations_folder / "00000000-0000-4000-8000-000000000000"
    folder.mkdir(parents=True)
    (folder / "job").write_text("4711\n")
    (folder / ".startcalc").touch()
    settings = batch.settings.model_copy(update={"worker_lost_seconds": -1.0})
    assert dict(housekeeping.tidy(settings))["folders of calculations that were over"] == 1
    assert batch.commands.calls == ["scancel 4711"]
    assert not folder.exists()
