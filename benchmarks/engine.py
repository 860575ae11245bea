"""The engine beside bare RQ on the same Redis: an empty job, and twenty at once, from submit to done."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from rq import Queue

from benchmarks.rows import Row, row
from knossos.jobs import Engine, JobSpec, JobState, keys
from knossos.settings import ROOT, Settings
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import RedisServer

#: Timed pairs after the warm-up.
ROUNDS = 40
#: Milliseconds for which one blocking read waits. Nobody polls: on two cores that would slow down what is measured.
BLOCK = 10_000


@contextmanager
def bare_worker(url: str, queue: str) -> Iterator[None]:
    """RQ's own worker, forking, as its command line starts it."""
    arguments = [sys.executable, "-m", "rq.cli", "worker", "--url", url, "--quiet", queue]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def our_worker(folder: Path, settings: Settings, name: str = "bench") -> Iterator[None]:
    """The product's worker. ``name``: of its settings and log in the folder."""
    file = write_settings(folder / f"{name}-settings.py", settings)
    log = folder / f"{name}-worker.log"
    log.unlink(missing_ok=True)
    process = Process(["worker.py"], log, {"KNOSSOS_SETTINGS": str(file)})
    try:
        wait_for(lambda: "waits for tasks" in process.log, "the worker")
        yield
    finally:
        process.stop()


@contextmanager
def redis_for_benchmarks(folder: Path) -> Iterator[str]:
    """A Redis of the benchmark's own."""
    (folder / "bench-redis").mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder / "bench-redis")
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def submit_bare(queue: Queue) -> Callable[[], None]:
    """Submit the no-op, and answer what waits until it is done: RQ adds an entry to a stream then."""
    job = queue.enqueue("benchmarks.noop.nothing")

    def wait() -> None:
        while not queue.connection.xread({f"rq:results:{job.id}": "0-0"}, count=1, block=BLOCK):
            pass

    return wait


def submit_ours(engine: Engine, spec: JobSpec) -> Callable[[], None]:
    """Submit a job of ours, and answer what waits until it is done: its stream says so."""
    ticket = engine.submit(spec).ticket

    def wait() -> None:
        events = engine.events(ticket)
        while not events or events[-1].type != "done":
            last = events[-1].id if events else "0-0"
            engine.redis.xread({keys.events(ticket): last}, count=1, block=BLOCK)
            events = engine.events(ticket, after=last) or events
        if engine.find(ticket).state is not JobState.SUCCEEDED:
            raise RuntimeError(f"the job ended badly: {engine.find(ticket).failure}")

    return wait


def seconds_until_done(submit: Callable[[], Callable[[], None]], count: int = 1) -> float:
    """Seconds from the submission of the first to the end of the last."""
    started = time.perf_counter()
    for wait in [submit() for _ in range(count)]:
        wait()
    return time.perf_counter() - started


def compare(
    ours: Callable[[], Callable[[], None]],
    bare: Callable[[], Callable[[], None]],
    count: int,
    rounds: int,
    warm_up: int = 3,
) -> tuple[float, float]:
    """Medians of both sides in seconds, measured in turn after ``warm_up`` turns that do not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + warm_up):
        pair = seconds_until_done(ours, count), seconds_until_done(bare, count)
        if turn >= warm_up:
            for side, seconds in zip(times, pair, strict=True):
                side.append(seconds)
    return statistics.median(times[0]), statistics.median(times[1])


def in_milliseconds(name: str, ours: float, peer: float, peer_name: str, limit: float) -> Row:
    """A line of the table, of two times in seconds."""
    return row(name, ours * 1000, peer * 1000, peer_name, "ms", limit)


def run(folder: Path) -> list[Row]:
    """Measure, in about half a minute."""
    with redis_for_benchmarks(folder) as url:
        settings = Settings(data_path=folder / "bench-data", redis=url)
        engine, queue = Engine(settings), Queue("bare", connection=redis.Redis.from_url(url))
        spec = JobSpec(function="tests.support.jobs.echo", kind="bench", title="empty", owner="key:bench")
        with our_worker(folder, settings), bare_worker(url, "bare"):
            seconds_until_done(lambda: submit_bare(queue))
            one = compare(lambda: submit_ours(engine, spec), lambda: submit_bare(queue), 1, ROUNDS)
            many = compare(lambda: submit_ours(engine, spec), lambda: submit_bare(queue), 20, 5)
        engine.redis.close()
    return [
        in_milliseconds("an empty job, submit to done", *one, "bare RQ, forked worker", 1.3),
        in_milliseconds("20 empty jobs at once, one worker", *many, "bare RQ, forked worker", 1.3),
    ]
