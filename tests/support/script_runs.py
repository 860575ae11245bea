"""For tests of runs: submitting small shell scripts, and looking at what came of them."""

from __future__ import annotations

from pathlib import Path

from knossos.database import Database
from knossos.jobs import Engine, JobRecord
from knossos.scripting.plan import FileRole, RunKind, RunPlan
from knossos.scripting.run_records import (
    Run,
    new_run_id,
)
from knossos.scripting.runs import Runs
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support.processes import wait_for


def ended(engine: Engine, ticket: int) -> JobRecord:
    def look() -> JobRecord | None:
        record = engine.find(ticket)
        return record if record.state.finished else None

    return wait_for(look, f"the end of task {ticket}")


class RunBench:
    """Submits runs of small shell scripts, and looks at what came of them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.database = Database(settings)
        self.storage = Storage(settings)
        self.engine = Engine(settings)
        self.runs = Runs(settings, self.database, self.storage, self.engine)

    def program(self, text: str, name: str = "script.sh") -> Path:
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def submit(self, text: str, retries: int = 0, run_id: str = "", **more: object) -> tuple[Run, int]:
        plan = RunPlan.model_validate(
            {
                "run_id": run_id or new_run_id(),
                "kind": RunKind.SCRIPT,
                "name": "script.sh",
                "program": str(self.program(text)),
                "keep_seconds": 1000,
                **more,
            }
        )
        run, record = self.runs.submit(plan, owner="account:dora", title="A script", shown=["one"], retries=retries)
        return run, record.ticket

    def finish(self, text: str, **more: object) -> Run:
        run, ticket = self.submit(text, **more)  # type: ignore[arg-type]
        ended(self.engine, ticket)
        return self.runs.get(run.run_id)

    def output(self, run: Run) -> tuple[str, str]:
        return self.runs.text(run, FileRole.STDOUT), self.runs.text(run, FileRole.STDERR)
