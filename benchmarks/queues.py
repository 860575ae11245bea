"""The engine beside bare RQ, Celery, Dramatiq and Huey on the same Redis, with jobs that do next to nothing.

Each is set up as its documentation begins, with two workers of one job each. Timed are: from the call that submits to
the word of the job itself, which it puts into a list of Redis (p50, p99), and many jobs at once. Then the workers are
killed (SIGKILL, with all that they had started) in the middle of a job, and others started: after how many seconds is
the job done, without anybody's help? LOST_SECONDS stand for one that was not done by then. RQ and the engine fork for
each job; the others keep a process for many, and what one job leaves behind there is the next one's.
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
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis
from rq import Queue

from benchmarks.engine import redis_for_benchmarks
from benchmarks.percentile import percentile
from benchmarks.queue_jobs import BEGUN, DONE
from benchmarks.rows import Row, row
from knossos.errors import MissingDependency
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

#: Submits a quick job, and a slow one.
Submit = tuple[Callable[[], object], Callable[[], object]]


def run(folder: Path) -> list[Row]:
    """Measure, in about two minutes.

    Raises:
        MissingDependency: one of the others is not installed.
    """
    if missing := [name for name in ("celery", "dramatiq", "huey") if find_spec(name) is None]:
        what = ", ".join(missing)
        raise MissingDependency(
            f"{what}: not installed. py-env/bin/pip install -r requirements-bench.txt", needed=missing[0]
        )
    found = {}
    with redis_for_benchmarks(folder) as url:
        for side in COMMANDS:
            with redis.Redis.from_url(url) as client:
                client.flushall()
                found[side] = _measure(side, url, folder, client)
    rows = []
    for name, unit, figure in (("submit to done, p50", "ms", 0), ("submit to done, p99", "ms", 1)):
        rows += [row(name, found["ours"][figure], found[peer][figure], peer, unit, None) for peer in PEERS]
    # As time for each job, so that less is better in every row.
    for name, unit, figure, limit in (
        (f"{AT_ONCE} jobs, two workers, for each", "ms", 2, None),
        (f"a job whose worker is killed, until it is done ({LOST_SECONDS}: not by then)", "s", 3, 1.0),
    ):
        rows += [row(name, found["ours"][figure], found[peer][figure], peer, unit, limit) for peer in PEERS]
    return rows


def _measure(side: str, url: str, folder: Path, client: redis.Redis) -> tuple[float, float, float, float]:
    """p50 and p99, and milliseconds for each of many jobs; seconds until a job was done whose worker was killed."""
    settings = Settings(data_path=folder / "queues-data", redis=url, owner_concurrency=AT_ONCE)
    environment = {
        **os.environ,
        "BENCH_REDIS": url,
        "BENCH_SIDE": side,
        "RQ_REDIS_URL": url,
        "KNOSSOS_SETTINGS": str(write_settings(folder / "queues-settings.py", settings)),
    }
    os.environ.update({name: environment[name] for name in ("BENCH_REDIS", "BENCH_SIDE")})
    quick, slow = _submitting(side, url, settings)
    with _workers(side, environment, folder):
        for _ in range(4):
            quick()
        _wait(client, DONE, 4, SECONDS)
        times = []
        for _ in range(JOBS):
            began = time.perf_counter()
            quick()
            _wait(client, DONE, 1, SECONDS)
            times.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        for _ in range(AT_ONCE):
            quick()
        _wait(client, DONE, AT_ONCE, SECONDS)
        each = (time.perf_counter() - began) * 1000 / AT_ONCE
        slow()
        _wait(client, BEGUN, 1, SECONDS)
    # Leaving the block has killed them.
    began = time.perf_counter()
    with _workers(side, environment, folder):
        done = _arrives(client, DONE, LOST_SECONDS)
    again = time.perf_counter() - began if done else float(LOST_SECONDS)
    return statistics.median(times), percentile(times, 99), each, again


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
def _workers(side: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Both workers; at the end they are killed with all that they have started."""
    with (folder / f"queues-{side}.log").open("ab") as log:
        running = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
            for command in COMMANDS[side]
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
