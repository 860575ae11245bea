"""What scripting tidies once a day."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from knossos.database import Database
from knossos.jobs import Engine
from knossos.jobs.removal import remove_tree
from knossos.scripting.calculations import batch_job
from knossos.scripting.calculations.calculations import Calculations
from knossos.scripting.calculations.commands import BatchFailed
from knossos.scripting.notices.notices import Notices
from knossos.scripting.run_records import RUN_ID, NoSuchRun
from knossos.scripting.runners.folder import BrokenRunner, NoSuchRunner, Runners
from knossos.scripting.runs import Runs
from knossos.scripting.schedules.schedules import Schedules
from knossos.scripting.staging import PARENT_PREFIX
from knossos.scripting.tokens import RunTokens
from knossos.settings import Settings
from knossos.storage import Storage

_log = logging.getLogger(__name__)


def tidy(settings: Settings) -> list[tuple[str, int]]:
    """Remove what is stale, and answer in words what it was and how much."""
    database = Database(settings)
    storage, engine = Storage(settings), Engine(settings)
    runs = Runs(settings, database, storage, engine)
    try:
        return [
            ("runs of scripts whose time was over", runs.purge()),
            ("tokens of scripts that had ended", RunTokens(settings, database).purge()),
            ("folders of runs whose worker was lost", _remove_folders(settings, runs)),
            ("calculations whose time was over", Calculations(settings, database, storage, engine).purge()),
            ("folders of calculations that were over", _remove_batch_folders(settings, runs)),
            ("notices that were over", Notices(settings, database, engine).purge(time.time())),
            ("old times of schedules", Schedules(settings, database, storage, {}).purge(time.time())),
        ]
    finally:
        database.close()


def _remove_folders(settings: Settings, runs: Runs) -> int:
    """Remove run directories in the operator's own folders (``command_rundir``) whose run is over."""
    parents = set(_run_parents(settings))
    limit, removed = time.time() - settings.worker_lost_seconds, 0
    for folder in (path for parent in parents for path in parent.glob(f"{PARENT_PREFIX}*")):
        with contextlib.suppress(OSError):
            if folder.lstat().st_mtime < limit and not _lives(runs, folder.name.removeprefix(PARENT_PREFIX)):
                remove_tree(folder)
                removed += 1
    return removed


def _remove_batch_folders(settings: Settings, runs: Runs) -> int:
    """Remove directories of calculations that are over, and cancel what is left of them in the batch system."""
    limit, removed = time.time() - settings.worker_lost_seconds, 0
    for folder in settings.calculations_folder.glob("*"):
        try:
            if RUN_ID.fullmatch(folder.name) and folder.lstat().st_mtime < limit and not _lives(runs, folder.name):
                removed += batch_job.remove(settings, folder.name)
        except (BatchFailed, OSError) as error:
            _log.warning("%s stays: %s", folder, error)
    return removed


def _run_parents(settings: Settings) -> Iterator[Path]:
    runners = Runners(settings)
    for name in runners.names():
        with contextlib.suppress(BrokenRunner, NoSuchRunner):
            if folder := runners.find(name).command_rundir:
                yield Path(folder)


def _lives(runs: Runs, run_id: str) -> bool:
    try:
        return runs.get(run_id).outcome is None
    except NoSuchRun:
        return False
