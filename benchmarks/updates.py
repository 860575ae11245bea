"""One more release: how long until clients see it, and the memory that takes.

Measured from the call that stores the release to the moment at which ``repo.json`` has it, through Redis and the
product's worker, signatures and all.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.many_releases import VERSIONS, document
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.publisher import Publisher
from knossos.settings import ROOT, Settings
from tests.support.processes import Process, wait_for, write_settings
from tests.support.releases import publish

#: Updates that are measured, after one that is not.
UPDATES = 7

#: A process that does nothing but one update, and says how much memory it had at its peak.
_ONE_UPDATE = """
from pathlib import Path
from knossos.database import Database
from knossos.publishing.repository.repository import Repository
from knossos.settings_file import load_settings
from knossos.storage import Storage
settings = load_settings()
repository = Repository(settings, Database(settings), Storage(settings))
repository.bring_up(repository.missing_change())
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(peak.split()[1])
"""


def seconds_of_updates(folder: Path, settings: Settings, database: Database, size: int) -> float:
    """Median seconds of one more release."""
    engine = Engine(settings)
    publisher = Publisher(settings, database, engine)
    begin = time.perf_counter()
    publisher.repository.bring_up(size)
    print(f"{size} releases: the first build took {time.perf_counter() - begin:.1f} s", file=sys.stderr)
    shown = settings.data_path / "storage" / "public" / "repo.json"
    print(f"{size} releases: repo.json has {shown.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    with _worker(folder, settings):
        times = [_seconds_of_one(publisher, shown, size, number) for number in range(UPDATES + 1)]
    engine.redis.close()
    return statistics.median(times[1:])


def _seconds_of_one(publisher: Publisher, shown: Path, size: int, number: int) -> float:
    new = document(size + (number + 1) * VERSIONS)
    before = shown.stat().st_ino
    begin = time.perf_counter()
    publish(publisher, new, 1)
    while shown.stat().st_ino == before:
        time.sleep(0.002)
    return time.perf_counter() - begin


@contextmanager
def _worker(folder: Path, settings: Settings) -> Iterator[None]:
    file = write_settings(folder / "worker-settings.py", settings)
    process = Process(["worker.py"], folder / "worker.log", {"KNOSSOS_SETTINGS": str(file)})
    try:
        wait_for(lambda: "waits for tasks" in process.log, "the worker")
        yield
    finally:
        process.stop()


def memory_of_update(folder: Path, settings: Settings, database: Database, size: int) -> float:
    """Megabytes that a process has at its peak which does nothing but one more update."""

    class NoEngine:
        """The update is made here."""

    publisher = Publisher(settings, database, NoEngine())  # type: ignore[arg-type]
    publisher.announce = lambda change: None  # type: ignore[method-assign]
    publish(publisher, document(size + (UPDATES + 2) * VERSIONS), 1)
    file = write_settings(folder / "update-settings.py", settings)
    environment = {**os.environ, "KNOSSOS_SETTINGS": str(file)}
    said = subprocess.run(
        [sys.executable, "-c", _ONE_UPDATE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, timeout=600
    ).stdout
    return float(said) / 1024
