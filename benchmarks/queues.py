"""The engine beside bare RQ, Celery, Dramatiq and Huey on the same Redis, with jobs that do next to nothing.

Each is set up as its documentation begins, with two workers of one job each. Timed are: from the call that submits to
the word of the job itself, which it puts into a list of Redis (p50, p99), and many jobs at once. Then the workers are
killed (SIGKILL, with all that they had started) in the middle of a job, and others started: after how many seconds is
the job done, without anybody's help? LOST_SECONDS stand for one that was not done by then. RQ and the engine fork for
each job; the others keep a process for many, and what one job leaves behind there is the next one's.

On the same machine the engine's new worker sees by what is left in the work folder that the one before it is gone.
Where the machine is gone with it, for which another work folder stands here, only the silence of the lost worker tells,
as it does with all others wherever they are: their one figure stands in both rows.
"""

from __future__ import annotations

import importlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis
from rq import Queue

from benchmarks import installed
from benchmarks.engine import redis_for_benchmarks
from benchmarks.percentile import percentile
from benchmarks.queue_jobs import BEGUN, DONE, DRAMATIQ_HEARTBEAT_SECONDS, SLOW_DONE
from benchmarks.rows import Row, row
from knossos.jobs import Engine, JobSpec
from knossos.settings import ROOT, Settings
from tests.support.processes import write_settings

#: Timed jobs one after the other, and jobs at once.
JOBS, AT_ONCE = 60, 200
#: Seconds for a job whose worker was killed, and for anything else.
LOST_SECONDS, SECONDS = 20, 60
#: Seconds of one wait for a word.
WAIT_SECONDS = 2.0
PYTHON = sys.executable
#: How each one's worker is started, twice for those with one process each.
COMMANDS = {
    "ours": [[PYTHON, "worker.py"]] * 2,
    "RQ": [[PYTHON, "-m", "rq.cli", "worker", "--quiet", "bench"]] * 2,
    "Celery": [[PYTHON, "-m", "celery", "-A", "benchmarks.queue_peers:app", "worker", "-c", "2", "-l", "ERROR"]],
    "Dramatiq": [[PYTHON, "-m", "dramatiq", "benchmarks.queue_peers:app", "-p", "2", "-t", "1"]],
    "Huey": [[PYTHON, "-m", "huey.bin.huey_consumer", "benchmarks.queue_peers.app", "-w", "2", "-k", "process", "-q"]],
}
PEERS = [name for name in COMMANDS if name != "ours"]


class Figures(NamedTuple):
    """Of one side: milliseconds from submission to done, for each of many jobs, and seconds until a job was done whose
    worker was killed, and whose worker's machine was gone."""

    p50: float
    p99: float
    each: float
    killed: float
    machine_gone: float


#: Submits a quick job, and a slow one.
Submit = tuple[Callable[[], object], Callable[[], object]]


class Side(NamedTuple):
    """One of those that are compared: the environment of its workers, and of those on another machine where that makes
    a difference; its database; and what submits jobs to it."""

    name: str
    environment: dict[str, str]
    elsewhere: dict[str, str]
    folder: Path
    client: redis.Redis
    quick: Callable[[], object]
    slow: Callable[[], object]


def run(folder: Path) -> list[Row]:
    """Measure, in about a minute.

    Raises:
        MissingDependency: one of the others is not installed.
    """
    installed.engines()
    with redis_for_benchmarks(folder) as url:
        server, _, _ = url.rpartition("/")
        sides = [_side(name, f"{server}/{number}", folder) for number, name in enumerate(COMMANDS)]
        quick = {side.name: _quick(side) for side in sides}
        ours, *peers = sides
        lost = {"ours": _lost(ours)}
        # At the same time: nearly all of it is waiting.
        with ThreadPoolExecutor(len(peers)) as pool:
            lost.update(zip(PEERS, pool.map(_lost, peers), strict=True))
        for side in sides:
            side.client.close()
    return rows_of({name: Figures(*quick[name], *lost[name]) for name in COMMANDS})


def rows_of(found: dict[str, Figures]) -> list[Row]:
    """What was found of ours beside each of the others."""
    ours, not_done = found["ours"], f"({LOST_SECONDS}: not by then)"
    as_set_up = {"Dramatiq": f"Dramatiq, heartbeat_timeout {DRAMATIQ_HEARTBEAT_SECONDS} s"}
    rows = []
    # As time for each job, so that less is better in every row.
    for figure, name in (
        ("p50", "submit to done, p50"),
        ("p99", f"submit to done, p99 of {JOBS}"),
        ("each", f"{AT_ONCE} jobs, two workers, for each"),
    ):
        rows += [row(name, getattr(ours, figure), getattr(found[peer], figure), peer, "ms", None) for peer in PEERS]
    for figure, name, limit in (
        ("killed", f"a job whose worker is killed, until a new one on the same machine has done it {not_done}", 1.0),
        ("machine_gone", f"a job whose worker's machine is gone, until another has done it {not_done}", None),
    ):
        for peer in PEERS:
            theirs = getattr(found[peer], figure)
            rows.append(row(name, getattr(ours, figure), theirs, as_set_up.get(peer, peer), "s", limit))
    return rows


def _side(name: str, url: str, folder: Path) -> Side:
    """One of them, with a database of its own in the Redis that they share."""
    settings = Settings(data_path=folder / "queues-data", redis=url, owner_concurrency=AT_ONCE)
    environment = {
        **os.environ,
        "BENCH_REDIS": url,
        "BENCH_SIDE": name,
        "RQ_REDIS_URL": url,
        "KNOSSOS_SETTINGS": str(write_settings(folder / f"queues-settings-{name}.py", settings)),
    }
    elsewhere = {}
    if name == "ours":
        other = settings.model_copy(update={"data_path": folder / "queues-data-elsewhere"})
        elsewhere = {**environment, "KNOSSOS_SETTINGS": str(write_settings(folder / "queues-elsewhere.py", other))}
    os.environ.update({name: environment[name] for name in ("BENCH_REDIS", "BENCH_SIDE")})
    submit = _submitting(name, url, settings)
    return Side(name, environment, elsewhere, folder, redis.Redis.from_url(url), *submit)


def _quick(side: Side) -> tuple[float, float, float]:
    """Median and p99 of jobs one after the other, and the time for each of many at once, in milliseconds."""
    with _workers(side, side.environment):
        for _ in range(4):
            side.quick()
        _wait(side.client, DONE, 4, SECONDS)
        times = []
        for _ in range(JOBS):
            began = time.perf_counter()
            side.quick()
            _wait(side.client, DONE, 1, SECONDS)
            times.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        for _ in range(AT_ONCE):
            side.quick()
        _wait(side.client, DONE, AT_ONCE, SECONDS)
        each = (time.perf_counter() - began) * 1000 / AT_ONCE
    return statistics.median(times), percentile(times, 99), each


def _lost(side: Side) -> tuple[float, float]:
    """Seconds until a job is done whose worker was killed, and whose worker's machine is gone."""
    killed = _lost_once(side, side.environment)
    return killed, _lost_once(side, side.elsewhere) if side.elsewhere else killed


def _lost_once(side: Side, successor: dict[str, str]) -> float:
    side.client.delete(BEGUN, SLOW_DONE)
    with _workers(side, side.environment):
        side.slow()
        _wait(side.client, BEGUN, 1, SECONDS)
    # Leaving the block has killed them.
    with _workers(side, successor):
        return _until_done(side.client)


def _until_done(client: redis.Redis) -> float:
    """Seconds until the word of a job whose worker was killed; LOST_SECONDS if there is none."""
    began = time.perf_counter()
    return time.perf_counter() - began if _arrives(client, SLOW_DONE, LOST_SECONDS) else float(LOST_SECONDS)


def _submitting(side: str, url: str, settings: Settings) -> Submit:
    if side == "ours":
        engine = Engine(settings)
        quick, slow = (
            JobSpec(function=f"benchmarks.queue_jobs.{name}", kind="bench", title="x", owner="key:bench")
            for name in ("our_tell", "our_slow")
        )
        return lambda: engine.submit(quick), lambda: engine.submit(slow)
    if side == "RQ":
        queue = Queue("bench", connection=redis.Redis.from_url(url))
        return lambda: queue.enqueue("benchmarks.queue_jobs.tell"), lambda: queue.enqueue("benchmarks.queue_jobs.slow")
    sys.modules.pop("benchmarks.queue_peers", None)
    peers = importlib.import_module("benchmarks.queue_peers")
    return peers.tell, peers.slow


@contextmanager
def _workers(side: Side, environment: dict[str, str]) -> Iterator[None]:
    """Both workers; at the end they are killed with all that they have started."""
    with (side.folder / f"queues-{side.name}.log").open("ab") as log:
        running = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
            for command in COMMANDS[side.name]
        ]
    try:
        yield
    finally:
        for process in running:
            for pid in _family(process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            process.wait()


def _family(pid: int) -> list[int]:
    """A process and all that it has started, itself first, so that it starts no others."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _wait(client: redis.Redis, key: str, count: int, seconds: float) -> None:
    for _ in range(count):
        if not _arrives(client, key, seconds):
            raise RuntimeError(f"no word from a job in {seconds} seconds")


def _arrives(client: redis.Redis, key: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    # Several short waits: the client takes a long silence for a broken connection.
    while (left := until - time.monotonic()) > 0:
        if client.blpop([key], timeout=min(left, WAIT_SECONDS)) is not None:
            return True
    return False
