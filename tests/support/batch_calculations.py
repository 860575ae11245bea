"""Calculations through the shipped scripts for Slurm, whatever Slurm they find."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from knossos.jobs import Engine
from knossos.scripting.calculations.calculations import Calculation, Calculations
from knossos.scripting.calculations.states import CalculationState
from knossos.scripting.plan import FileRole
from knossos.settings import ROOT, Settings
from tests.support.processes import wait_for

SLURM = ROOT / "conf" / "batch" / "slurm"
#: Prints, writes, and waits for a file of the test's where its input says so.
PROGRAM = """#!/bin/sh
echo begins
if grep -q wait input.xml; then while [ ! -e go ]; do sleep 0.05; done; fi
if grep -q fail input.xml; then exit 3; fi
echo '<info/>' > info.xml
echo ends
"""


@dataclass
class Batch:
    settings: Settings
    calculations: Calculations
    engine: Engine

    def post(self, what: str) -> str:
        data = f"<input>{what}</input>".encode()
        sha1 = hashlib.sha1(data).hexdigest()
        self.calculations.post(sha1, data)
        return sha1

    def until(self, sha1: str, *states: CalculationState) -> Calculation:
        def look() -> Calculation | None:
            found = self.calculations.get(sha1)
            return found if found.state in states else None

        return wait_for(look, f"{sha1} to be {states}")

    def output(self, found: Calculation) -> str:
        kept = found.file("stdout")
        if kept is None:
            return self.calculations.output_so_far(found, FileRole.STDOUT)
        return b"".join(self.calculations.read(kept)).decode()

    def folder(self, sha1: str) -> Path:
        """The directory of a calculation that is under way."""
        path = self.settings.calculations_folder / self.calculations.get(sha1).run_id
        return wait_for(lambda: path if path.is_dir() else None, "its directory")


def through_slurm(settings: Settings, sqlite_template: Path) -> Settings:
    """Settings for that, with a database that has its tables."""
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    return settings.model_copy(
        update={
            "calculation_startcalc": str(SLURM / "startcalc"),
            "calculation_getstatus": str(SLURM / "getstatus"),
            "calculation_cancelcalc": str(SLURM / "cancelcalc"),
            "calculation_open": True,
            "calculation_poll_seconds": 0.1,
            "shutdown_grace_seconds": 0,
        }
    )
