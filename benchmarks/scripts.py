"""Scripts: one that does nothing, beside the sandbox and the queue alone; a stream of output; ten users at once.

The peer of the first is ``bwrap true`` plus bare RQ's no-op, both measured in the same run, in turn with ours.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from rq import Queue

from benchmarks import installed
from benchmarks.engine import bare_worker, in_milliseconds, redis_for_benchmarks, seconds_until_done, submit_bare
from benchmarks.rows import Row
from knossos.accounts.first_start import prepare
from knossos.database import Database
from knossos.jobs import Engine, JobRecord, keys
from knossos.scripting.plan import RunKind, RunPlan
from knossos.scripting.run_records import new_run_id
from knossos.scripting.runs import Runs
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support.processes import Process, wait_for, write_settings

#: Timed turns after the warm-up.
ROUNDS = 30
#: Seconds before each measurement, in which what the one before it left to be done is over.
QUIET_SECONDS = 0.06
#: Of the stream of output: seconds, and bytes of a line and of a second.
STREAM_SECONDS, LINE_BYTES, BYTES_PER_SECOND = 5, 100, 1_000_000
#: Ten users with twenty scripts each.
USERS, SCRIPTS_OF_EACH = 10, 20

#: Prints lines that say when they were written, by the clock that all processes of a machine share.
STREAM = """#!/usr/bin/python3
import sys, time
begin = time.monotonic()
for number in range({lines}):
    wait = begin + number / {rate} - time.monotonic()
    if wait > 0:
        sys.stdout.flush()
        time.sleep(wait)
    sys.stdout.write(("%d %.6f " % (number, time.monotonic())).ljust({width} - 1, "x") + "\\n")
"""


def run(folder: Path) -> list[Row]:
    """Measure, in about half a minute."""
    with redis_for_benchmarks(folder) as url, _site(folder, url) as site:
        queue = Queue("bare", connection=redis.Redis.from_url(url))
        with bare_worker(url, "bare"):
            rows = [_nothing(site, queue)]
        rows.append(_stream(site))
        rows.append(_fairness(site))
    return rows


class Site:
    """A worker of the product, and a way to have it run programs."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.engine = Engine(settings)
        self.runs = Runs(settings, Database(settings), Storage(settings), self.engine)

    def program(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def submit(self, program: Path, owner: str = "account:bench") -> JobRecord:
        plan = RunPlan(
            run_id=new_run_id(), kind=RunKind.SCRIPT, name=program.name, program=str(program), keep_seconds=60
        )
        return self.runs.submit(plan, owner=owner, title=program.name, shown=())[1]

    def wait(self, ticket: int) -> None:
        last = "0-0"
        while True:
            found: Any = self.engine.redis.xread({keys.events(ticket): last}, block=10_000)
            for _, entries in found or ():
                last = entries[-1][0].decode()
                if entries[-1][1][b"type"] == b"done":
                    return


@contextmanager
def _site(folder: Path, url: str) -> Iterator[Site]:
    settings = Settings(
        data_path=folder / "bench-scripts",
        redis=url,
        script_output_bytes=64 * 1024**2,
        server_side_scripting_bin_dirs=(str(folder / "bench-programs"),),
    )
    for made in (settings.data_path, folder / "bench-programs"):
        made.mkdir(exist_ok=True)
    database = Database(settings)
    prepare(settings, database)
    database.close()
    file = write_settings(folder / "bench-scripts.py", settings)
    process = Process(["worker.py"], folder / "bench-scripts.log", {"KNOSSOS_SETTINGS": str(file)})
    try:
        wait_for(lambda: "waits for tasks" in process.log, "the worker")
        yield Site(folder / "bench-programs", settings)
    finally:
        process.stop()


def _nothing(site: Site, queue: Queue) -> Row:
    program, bwrap = site.program("nothing", "#!/bin/sh\n"), installed.bubblewrap()
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 5):
        time.sleep(QUIET_SECONDS)
        started = time.perf_counter()
        site.wait(site.submit(program).ticket)
        ours = time.perf_counter() - started
        time.sleep(QUIET_SECONDS)
        peer = _bwrap_true(bwrap) + seconds_until_done(lambda: submit_bare(queue))
        if turn >= 5:
            times[0].append(ours)
            times[1].append(peer)
    name = "a script that does nothing, submit to done"
    return in_milliseconds(
        name, statistics.median(times[0]), statistics.median(times[1]), "bwrap true + bare RQ no-op", 1.5
    )


def _bwrap_true(bwrap: str) -> float:
    command = [bwrap, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    started = time.perf_counter()
    subprocess.run([*command, "true"], check=True)
    return time.perf_counter() - started


def _stream(site: Site) -> Row:
    """Delays from the script's writing of a line until a watcher of the stream has it; each line once."""
    rate = BYTES_PER_SECOND // LINE_BYTES
    lines = rate * STREAM_SECONDS
    program = site.program("stream", STREAM.format(lines=lines, rate=rate, width=LINE_BYTES))
    ticket = site.submit(program).ticket
    delays: list[float] = []
    expected, rest, last, ended = 0, "", "0-0", False
    while not ended:
        found: Any = site.engine.redis.xread({keys.events(ticket): last}, block=10_000)
        now = time.monotonic()
        last = found[0][1][-1][0].decode()
        for _, fields in found[0][1]:
            ended = ended or fields[b"type"] == b"done"
            if fields[b"type"] != b"output":
                continue
            *whole, rest = (rest + json.loads(fields[b"data"])["text"]).split("\n")
            for line in whole:
                number, written, _ = line.split(" ", 2)
                if int(number) != expected:
                    raise RuntimeError(f"line {expected} was lost or doubled")
                expected += 1
                delays.append(now - float(written))
    if expected != lines:
        raise RuntimeError(f"{expected} of {lines} lines arrived")
    name = f"{lines:,} lines at 1 MB/s, delay of a line to its watcher, median (nothing lost)"
    return in_milliseconds(name, statistics.median(delays), 0.2, "what is allowed", 1.0)


def _fairness(site: Site) -> Row:
    """The first script of the last user, after all others have queued twenty each, beside the whole backlog."""
    program = site.program("short", "#!/bin/sh\nexit 0\n")
    started = time.perf_counter()
    tickets = [
        [site.submit(program, f"account:user{user}").ticket for _ in range(SCRIPTS_OF_EACH)] for user in range(USERS)
    ]
    site.wait(tickets[-1][0])
    first = time.perf_counter() - started
    for queued in tickets:
        for ticket in queued:
            site.wait(ticket)
    whole = time.perf_counter() - started
    name = f"{USERS * SCRIPTS_OF_EACH} scripts of {USERS} users: the last user's first is done"
    return in_milliseconds(name, first, whole, "all are done", 0.5)
