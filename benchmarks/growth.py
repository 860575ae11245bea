"""What the same costs among few and among very many: tasks, runs of scripts, releases, and the daily clean-up.

The tasks are copies of what the product itself has stored, nine of ten ended and one of ten waiting; the runs are rows;
the releases are those of ``many_releases.py``, and an update goes its whole way (``updates.py``). The peer of each
figure is the same among the fewest. The limit is that of a logarithm: among a million at most
log(1,000,000) / log(100) = 3 times what it takes among a hundred.

All of it is what the server's code itself takes, called in this process, with SQLite, and without HTTP. One clean-up
looks at SWEEP_KEYS keys at the most, more than a hundred tasks have: it is measured among those counts that have them.

    python -m benchmarks.growth [JOBS ...]
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine import our_worker, redis_for_benchmarks, seconds_until_done, submit_ours
from benchmarks.many_jobs import copy_job
from benchmarks.many_releases import fill
from benchmarks.many_runs import add_runs
from benchmarks.percentile import percentile
from benchmarks.rows import Row, row
from benchmarks.updates import memory_of_update, seconds_of_updates
from knossos.database import Database
from knossos.jobs import Engine, JobSpec, keys
from knossos.launch.clean_up import clean_up
from knossos.scripting.plan import RunKind
from knossos.scripting.runs import Runs
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support.releases import add_user

#: How many tasks and runs there are, and how many releases.
JOBS, RELEASES = (100, 10_000, 1_000_000), (100, 2_000, 20_000)
#: Calls of which the quickest tenth counts, after some that do not: what else the machine does only ever adds.
CALLS, WARM_UP = 200, 20
#: Runs of the clean-up, tasks that it has to remove each time, and the fewest among which it is measured.
CLEAN_UPS, DUE, SWEPT = 7, 100, 10_000
#: Entries of a page.
PAGE = 50
UPDATE = "one more release, stored to visible"
OWNER, WAITING = "user:dora", "user:olga"

#: Seconds in which one more release has to be visible, whatever there is.
UPDATE_LIMIT_SECONDS = 1.0


class Figure(NamedTuple):
    """What was measured."""

    value: float
    unit: str = "ms"


Figures = dict[str, Figure]


def run(folder: Path, jobs: Iterable[int] = JOBS, releases: Iterable[int] = RELEASES) -> list[Row]:
    """Measure; one row for each figure and size but the smallest."""
    rows = rows_of({count: _among_jobs(folder, count) for count in jobs}, "")
    found = {count: _among_releases(count) for count in releases}
    rows += rows_of(found, " releases")
    if found:
        seconds = found[max(found)][UPDATE].value / 1000
        rows.append(
            row(f"{max(found):,} releases: one more, beside the goal", seconds, UPDATE_LIMIT_SECONDS, "goal", "s", 1)
        )
    return rows


def rows_of(found: dict[int, Figures], of_what: str) -> list[Row]:
    """What each size costs beside the smallest one of which there is the figure; the greatest has all figures."""
    rows = []
    for name in found[max(found)] if found else ():
        fewest, *others = sorted(count for count in found if name in found[count])
        least = found[fewest][name]
        for count in others:
            limit = round(math.log(count) / math.log(fewest), 2)
            value = found[count][name].value
            rows.append(
                row(f"{name}, among {count:,}{of_what}", value, least.value, f"among {fewest:,}", least.unit, limit)
            )
    return rows


# --- tasks and runs ---------------------------------------------------------------------------------


def _among_jobs(folder: Path, count: int) -> Figures:
    with tempfile.TemporaryDirectory(dir=folder) as made, redis_for_benchmarks(Path(made)) as url:
        settings = Settings(data_path=Path(made) / "data", redis=url, result_lifetime=86_400)
        database = Database(settings)
        database.migrate()
        engine = Engine(settings)
        begin = time.perf_counter()
        _fill(Path(made), settings, engine, database, count)
        used = int(engine.redis.info("memory")["used_memory"]) / 1e6
        print(f"{count:,} tasks: made in {time.perf_counter() - begin:.1f} s, {used:,.0f} MB of Redis", file=sys.stderr)
        runs = Runs(settings, database, Storage(settings), engine)
        found = {name: Figure(_milliseconds(call)) for name, call in _calls(engine, runs, count).items()}
        if count >= SWEPT:
            found[f"the daily clean-up, {DUE} due"] = Figure(clean_up_milliseconds(settings, engine))
        engine.redis.close()
        database.close()
    return found


def _fill(folder: Path, settings: Settings, engine: Engine, database: Database, count: int) -> None:
    spec = JobSpec(function="tests.support.jobs.echo", kind="conversion", title="a mod", owner=OWNER)
    with our_worker(folder, settings):
        seconds_until_done(lambda: submit_ours(engine, spec))
    ended = int(engine.redis.get(keys.TICKET) or 0)
    waiting = [engine.submit(spec.model_copy(update={"owner": WAITING})).ticket for _ in range(10)][-1]
    # The oldest of all is the only one of its kind.
    engine.submit(spec.model_copy(update={"kind": "rare"}))
    copy_job(engine, waiting, count // 10)
    copy_job(engine, ended, count - count // 10)
    begin = time.perf_counter()
    add_runs(database, OWNER, count)
    print(f"{count:,} runs: made in {time.perf_counter() - begin:.1f} s", file=sys.stderr)


def _calls(engine: Engine, runs: Runs, count: int) -> dict[str, Callable[[], object]]:
    spec = JobSpec(function="tests.support.jobs.echo", kind="conversion", title="a mod", owner=WAITING)
    newest = int(engine.redis.get(keys.TICKET) or 0)
    run_id = runs.brief(RunKind.HOME, OWNER, limit=1)[0].run_id
    return {
        "submit a task": lambda: engine.submit(spec),
        "status of a task": lambda: engine.find(newest),
        "list of an owner's newest tasks": lambda: _full(engine.list_jobs(owner=OWNER, limit=PAGE)),
        "list of a kind of which there is one": lambda: engine.list_jobs(kind="rare", limit=PAGE),
        "status of a run": lambda: runs.get(run_id),
        "list of an owner's newest runs": lambda: _full(runs.brief(RunKind.HOME, OWNER, limit=PAGE)),
        "a page of runs in the middle": lambda: runs.brief(RunKind.HOME, OWNER, before=count // 2, limit=PAGE),
    }


def _full(page: Sequence[object]) -> None:
    if len(page) != PAGE:
        raise RuntimeError(f"a page has {len(page)} entries rather than {PAGE}")


def _milliseconds(call: Callable[[], object]) -> float:
    """Milliseconds that a tenth of the calls take at most."""
    times = []
    for _ in range(WARM_UP + CALLS):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    return percentile(times[WARM_UP:], 10)


def clean_up_milliseconds(settings: Settings, engine: Engine) -> float:
    """Milliseconds of what ``cron.py`` does once it has started, with so many tasks to remove.

    Raises:
        RuntimeError: it has removed others, or not all.
    """
    times = []
    for _ in range(CLEAN_UPS):
        _make_due(engine)
        # Each look at all keys begins at the first: the one that comes to the last is a short one.
        engine.redis.delete(keys.SWEEP)
        begin = time.perf_counter()
        counts = dict(clean_up(settings))
        times.append((time.perf_counter() - begin) * 1000)
        if counts["ended tasks"] != DUE:
            raise RuntimeError(f"the clean-up has not removed {DUE} tasks: {counts}")
    return min(times)


def _make_due(engine: Engine) -> None:
    spec = JobSpec(function="tests.support.jobs.echo", kind="conversion", title="old", owner="user:old")
    ticket = engine.submit(spec).ticket
    engine.cancel(ticket)
    engine.redis.zadd(keys.ENDED, {str(ticket): time.time() - engine.settings.result_lifetime - 60})
    copy_job(engine, ticket, DUE - 1)


# --- releases ---------------------------------------------------------------------------------------


def _among_releases(count: int) -> Figures:
    # Its path is short enough for a Unix socket below it.
    with tempfile.TemporaryDirectory(prefix="knossos-") as made, redis_for_benchmarks(Path(made)) as url:
        settings = Settings(data_path=Path(made) / "data", redis=url)
        database = Database(settings)
        database.migrate()
        fill(database, count)
        add_user(database, "dora")
        seconds = seconds_of_updates(Path(made), settings, database, count)
        memory = memory_of_update(Path(made), settings, database, count)
        database.close()
    return {UPDATE: Figure(seconds * 1000), "memory of the process that makes it visible": Figure(memory, "MB")}


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as made:
        for line in run(Path(made), tuple(map(int, arguments)) or JOBS, () if arguments else RELEASES):
            print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
