"""The engine's job of a calculation in a batch system: submit it, ask for its state, show what it prints, keep what it
wrote.

Its directory is ``<CALCULATION_FOLDER>/<run's id>``, which the batch system's machines must see. What always holds: a
job that is started again after its worker was lost finds the file ``job`` and submits nothing a second time; the run
gets its one outcome, and only one that the batch system has said, but for its time being over; and when it has ended,
however it ended, `close` cancels what may still be in the batch system, and removes the directory.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

from knossos.database import Database, of_this_process
from knossos.errors import KnossosError
from knossos.jobs import JobContext, JobSpec, Limit
from knossos.scripting.calculations.commands import STARTED_FILE, BatchAway, BatchFailed, BatchScripts, read_start
from knossos.scripting.calculations.progress import note_batch
from knossos.scripting.calculations.states import CalculationState, Report, read_report
from knossos.scripting.collect import Collector
from knossos.scripting.output import STREAMS, Output
from knossos.scripting.plan import RunOutcome, RunPlan
from knossos.scripting.run_job import RunFailed
from knossos.scripting.run_records import Ending
from knossos.scripting.runs import Runs
from knossos.scripting.sandbox import ResolvedLimits
from knossos.scripting.staging import stage
from knossos.settings import Settings
from knossos.storage import Storage

FUNCTION = "knossos.scripting.calculations.batch_job.run"
CLOSE_FUNCTION = "knossos.scripting.calculations.batch_job.close"
#: Kind of the job that tidies up after a calculation, and how many of these may be in the workers at once.
CLOSE_KIND = "calculation-end"
CLOSE_CONCURRENCY = 100
#: Pauses between the tries to cancel, in seconds.
CLOSE_PAUSES = (10, 60, 300, 1800)
#: Seconds between two looks whether somebody wants the calculation ended, and bytes of output that are read at once.
LOOK_SECONDS = 0.5
PIECE_BYTES = 256 * 1024
#: Most of these that are read of a stream at one look: a program may write as fast as this reads.
PIECES = 1024


def folder_of(settings: Settings, run_id: str) -> Path:
    """The directory of a run in the batch system."""
    return settings.calculations_folder / run_id


def closing(run_id: str, queue: str) -> JobSpec:
    """The job that follows a calculation's."""
    return JobSpec(
        function=CLOSE_FUNCTION,
        kind=CLOSE_KIND,
        title="End of a calculation",
        owner="calculations",
        payload={"run_id": run_id},
        queue=queue,
        timeout_seconds=600,
        retries=len(CLOSE_PAUSES),
        retry_delays_seconds=CLOSE_PAUSES,
        limits=(Limit(key=CLOSE_KIND, most=CLOSE_CONCURRENCY),),
    )


def run(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Follow a calculation through the batch system.

    Raises:
        RunFailed: it did not end well; what it left is kept all the same.
    """
    plan = RunPlan.model_validate(payload)
    database = of_this_process(context.settings)
    try:
        return _BatchJob(context, plan, database).run()
    finally:
        database.close()


def close(context: JobContext, payload: dict[str, Any]) -> None:
    """Cancel what a calculation that is over may have left in the batch system, and remove its directory.

    Raises:
        BatchFailed: it cannot be cancelled now; the directory stays, so that it can be later.
    """
    remove(context.settings, str(payload["run_id"]))


def remove(settings: Settings, run_id: str) -> bool:
    """Cancel and remove; False where there is nothing of that run. Raises BatchFailed."""
    folder = folder_of(settings, run_id)
    if not folder.is_dir():
        return False
    scripts = BatchScripts.of(settings)
    if scripts is not None:
        scripts.cancel(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return True


class _BatchJob:
    def __init__(self, context: JobContext, plan: RunPlan, database: Database) -> None:
        self._context = context
        self._plan = plan
        self._database = database
        self._settings: Settings = context.settings
        self._storage = Storage(context.settings)
        self._runs = Runs(context.settings, database, self._storage, context.engine)
        self._limits = ResolvedLimits.of(context.settings, plan.limits)
        self._folder = folder_of(context.settings, plan.run_id)
        self._seen = dict.fromkeys(STREAMS, 0)
        self._last: Report | None = None

    def run(self) -> dict[str, Any]:
        plan = self._plan
        row = self._runs.begin(plan.run_id, self._context.ticket)
        collector = Collector(plan.run_id, self._storage, self._context.warning, self._limits.disk_bytes)
        with Output(self._context.workspace, self._limits.output_bytes, self._context.output) as output:
            ending = self._follow(output, row.created_at + self._limits.timeout_seconds)
            self._show(output)
            output.finish()
        if output.dropped:
            ending = dataclasses.replace(ending, dropped_bytes=output.dropped)
            self._context.warning(
                f"The output is cut: it may have {self._limits.output_bytes} bytes, "
                f"and {output.dropped} more were dropped."
            )
        collector.keep_output(output.paths)
        if self._folder.is_dir():
            collector.keep_all(self._folder, skip={*map(str, STREAMS), STARTED_FILE})
        self._runs.end(plan.run_id, ending, collector.kept, plan.keep_seconds)
        if ending.error:
            raise RunFailed(ending.error, run_id=plan.run_id, outcome=ending.outcome, exit_code=None, signal=None)
        shutil.rmtree(self._folder, ignore_errors=True)
        return {"run_id": plan.run_id, "exit_code": 0}

    def _follow(self, output: Output, until: float) -> Ending:
        """Submit it, and ask until it is over."""
        scripts = BatchScripts.of(self._settings)
        if scripts is None:
            return Ending(RunOutcome.FAILED, error="CALCULATION_STARTCALC is not set on this machine any more.")
        try:
            self._make_folder()
            job = self._start(scripts, output, until)
        except (KnossosError, OSError) as error:
            reason = error.message if isinstance(error, KnossosError) else f"its directory: {error.strerror}"
            return Ending(RunOutcome.FAILED, error=f"It could not be started: {reason}.")
        self._context.info(f"The batch system calls it {job}.")
        while True:
            report = self._ask(scripts)
            self._note(report, job)
            self._show(output)
            if report.state.over:
                return _ending_of(report)
            if time.time() > until:
                return Ending(
                    RunOutcome.TIMEOUT,
                    error=f"It took longer than the {self._limits.timeout_seconds:g} seconds that it may take.",
                )
            self._wait(output)

    def _start(self, scripts: BatchScripts, output: Output, until: float) -> str:
        """Submit it, also to a batch system that does not answer for a while; the job's id. Raises BatchFailed."""
        while True:
            try:
                return scripts.start(self._folder, self._context.check)
            except BatchAway as error:
                if time.time() > until:
                    raise
                self._note(Report(CalculationState.UNKNOWN, error.message))
            self._wait(output)

    def _make_folder(self) -> None:
        """With what belongs in it; one that an earlier try has made stays as it is."""
        if self._folder.is_dir():
            return
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        # Made elsewhere, so that one that is there is whole.
        unfinished = self._folder.parent / f".{self._plan.run_id}"
        shutil.rmtree(unfinished, ignore_errors=True)
        staged = stage(self._plan, unfinished, "none", self._storage)
        try:
            staged.folder.rename(self._folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _ask(self, scripts: BatchScripts) -> Report:
        """A batch system that does not answer has said nothing: what it runs goes on."""
        try:
            return read_report(scripts.status(self._folder, self._context.check))
        except BatchFailed as error:
            return Report(CalculationState.UNKNOWN, error.message)

    def _note(self, report: Report, job: str = "") -> None:
        if report == self._last:
            return
        self._last = report
        note_batch(self._database, self._plan.run_id, report, job)
        say = self._context.warning if report.state is CalculationState.UNKNOWN else self._context.info
        say(f"The batch system says: {report.state}" + (f" ({report.text})" if report.text else ""))

    def _show(self, output: Output) -> None:
        """Pass on what the files ``stdout`` and ``stderr`` have got since the last look."""
        for stream in STREAMS:
            for _ in range(PIECES):
                data = read_start(self._folder / stream, PIECE_BYTES, self._seen[stream])
                self._seen[stream] += len(data)
                output.add(stream, data)
                if not data:
                    break
        output.flush()

    def _wait(self, output: Output) -> None:
        until = time.monotonic() + self._settings.calculation_poll_seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_SECONDS, left))
            self._context.check()
            self._show(output)


def _ending_of(report: Report) -> Ending:
    if report.state is CalculationState.FINISHED:
        return Ending(RunOutcome.EXITED, 0)
    if report.state is CalculationState.CANCELLED:
        return Ending(RunOutcome.CANCELLED, error=report.text or "It was cancelled in the batch system.")
    return Ending(RunOutcome.FAILED, error=report.text or "The batch system says that it failed.")
