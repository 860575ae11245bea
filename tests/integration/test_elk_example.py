"""A real calculation: examples/calculations/elk.py in the sandbox, and through a real Slurm."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.calculations.calculations import Calculation, Calculations
from knossos.settings import ROOT, Settings
from knossos.storage import Storage
from tests.conftest import StartWorker
from tests.support.batch_calculations import through_slurm
from tests.support.processes import wait_for
from tests.support.slurm import Slurm, missing

PROGRAM = ROOT / "examples" / "calculations" / "elk.py"
ALUMINIUM = (ROOT / "examples" / "calculations" / "aluminium.xml").read_bytes()
#: In hartree, on a grid of 2x2x2.
ENERGY = -241.943

needs_elk = pytest.mark.skipif(shutil.which("elk-lapw") is None, reason="elk-lapw is not installed")


@pytest.fixture
def site(settings: Settings, sqlite_template: Path) -> Settings:
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    return settings.model_copy(update={"calculation_command": (str(PROGRAM),), "calculation_open": True})


def calculated(settings: Settings, engine: Engine) -> tuple[Calculation, dict[str, bytes]]:
    """Aluminium, and the files of it."""
    database = Database(settings)
    calculations = Calculations(settings, database, Storage(settings), engine)
    sha1 = hashlib.sha1(ALUMINIUM).hexdigest()
    calculations.post(sha1, ALUMINIUM)
    found = wait_for(lambda: one if (one := calculations.get(sha1)).state.over else None, "the end of it", 120)
    assert found.run is not None
    files = {kept.name: b"".join(calculations.read(kept)) for kept in found.run.files}
    database.close()
    return found, files


def check(found: Calculation, files: dict[str, bytes]) -> None:
    assert found.state == "finished", (found.text, files.get("stdout"), files.get("stderr"))
    groundstate = ET.fromstring(files["info.xml"])[0]
    assert float(groundstate.get("totalEnergy", "nan")) == pytest.approx(ENERGY, abs=0.001)
    assert b"iteration 1: total energy -24" in files["stdout"]
    assert b"Elk version" in files["INFO.OUT"]


@needs_elk
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_aluminium_has_its_energy_in_the_sandbox(site: Settings, engine: Engine, start_worker: StartWorker) -> None:
    start_worker(scripts=True, use=site)
    check(*calculated(site, engine))


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    (tmp_path / "slurm").mkdir()
    made = Slurm(tmp_path / "slurm")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@needs_elk
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(missing()) or os.getuid() != 0, reason="there is no Slurm, or this is not root")
def test_aluminium_has_its_energy_through_slurm(
    settings: Settings, engine: Engine, sqlite_template: Path, slurm: Slurm, start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SLURM_CONF", str(slurm.configuration))
    monkeypatch.setenv("CALCULATION_PROGRAM", str(PROGRAM))
    settings = through_slurm(settings, sqlite_template)
    start_worker(scripts=True, use=settings)
    check(*calculated(settings, engine))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((b"Al.xml", b"Al.in' 'x"), "species: expected a speciesfile such as Al.xml"),
        ((b"2 2 2", b"2 2"), "ngridk: expected 3 numbers (it is '2 2')"),
        ((b"3.8267", b"nan"), "scale: expected 1 numbers"),
        ((b"1.0 1.0 0.0", b"1.0 1.0 tasks"), "basevect: expected 3 numbers"),
        ((b"groundstate", b"ground"), "expected groundstate"),
    ],
)
def test_an_input_that_elk_could_not_take_is_refused_with_its_place(
    tmp_path: Path, change: tuple[bytes, bytes], says: str
) -> None:
    (tmp_path / "input.xml").write_bytes(ALUMINIUM.replace(*change))
    done = subprocess.run(
        [sys.executable, PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"input.xml: {says}")
    assert os.listdir(tmp_path) == ["input.xml"] or (tmp_path / "elk.in").read_bytes() == b""
