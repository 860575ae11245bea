"""Run the measurements and print one table: ``python -m benchmarks [GROUP ...]``; all groups without a name.

Every line has its peer, measured in the same run. ``var/bench.json`` keeps the numbers. A run of all groups also writes
``docs/benchmarks.md`` with a picture for each group, and the excerpt in the README (``report.py``); the pictures of
other runs lie in ``var/bench``, as does all that benchmarks make. The folder may be deleted at any time.

Each group runs in a process of its own, and all of them together for at most ``--seconds``; how long each should take
on two quiet processors is said beside how long it took. Where others took longer, it repeats less often (`pace.py`).

A run that is interrupted, or whose time is over, stops all that it has started, and leaves the numbers and pictures of
the last whole run alone. Exit code 0: all is measured (the table says what is over its limit); 1: something broke or
took too long; 3: a peer or a program is missing, and the message says what to install.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from benchmarks import pace
from benchmarks.report import Measured, keep, table, write
from benchmarks.rows import Row
from knossos.errors import EXIT_MISSING, EXIT_OK, MissingDependency
from knossos.settings import ROOT


class Group(NamedTuple):
    """What a group is called, and the seconds that it should take on two quiet processors."""

    title: str
    seconds: int


#: Measures nothing: makes what groups read, before the first of them. Takes half a minute the first time.
ARCHIVES = "archives"
#: The groups in the order in which they run.
GROUPS = {
    "engine": Group("The engine beside bare RQ", 10),
    "queues": Group("The engine beside Celery, Dramatiq, Huey and RQ", 60),
    "inspection": Group("Inspecting archives", 75),
    "packaging": Group("Reading archives: 7-Zip, md5sum, libarchive", 25),
    "conversion": Group("Packaging mods", 55),
    "two_workers": Group("One worker and two", 45),
    "homes": Group("Homes and people's scripts", 35),
    "watchers": Group("Live events", 70),
    "scripts": Group("Scripts in the sandbox", 25),
    "repository": Group("The repository", 20),
    "uploads": Group("Uploads", 45),
    "growth": Group("What grows with the number of tasks and releases", 65),
}
#: Seconds that all groups together may take, and that one has to stop what it has started.
SECONDS, STOP_SECONDS = 600, 20


class Unmeasured(Exception):
    """A group did not end well; ``code`` is what its process said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main(arguments: list[str]) -> int:
    """Run the groups that were named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("group", nargs="*", help=f"default: all of {', '.join(GROUPS)}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="most that all of it may take")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    groups = {*GROUPS, ARCHIVES} if chosen.into else GROUPS
    if unknown := [name for name in chosen.group if name not in groups]:
        parser.error(f"there is no group {unknown[0]!r}; expected {', '.join(GROUPS)}")
    # Both by name: whoever is started in the background of a shell begins with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if chosen.into:
        return measure_here(chosen.group[0], chosen.into)
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + chosen.seconds
    found: dict[str, Measured] = {}
    try:
        if not chosen.group:
            print("making the archives that are not there yet", file=sys.stderr)
            measure(ARCHIVES, folder, chosen.seconds)
        for name in chosen.group or GROUPS:
            group, begin = GROUPS[name], time.monotonic()
            print(f"measuring: {name}", file=sys.stderr)
            share = 1.0 if chosen.group else _share(found, until - begin)
            rows = measure(name, folder, until - begin, share)
            seconds = round(time.monotonic() - begin)
            print(f"measured: {name} in {seconds} s (should take {group.seconds})", file=sys.stderr)
            found[name] = {"title": group.title, "seconds": seconds, "share": share, "rows": rows}
    except Unmeasured as error:
        return error.code
    except KeyboardInterrupt:
        print("interrupted; nothing is kept", file=sys.stderr)
        return 1
    print(table([row for measured in found.values() for row in measured["rows"]]))
    keep(ROOT, found, everything=not chosen.group)
    return EXIT_OK


def _share(found: Mapping[str, Measured], left: float) -> float:
    """What part of its rounds the next of all groups may take."""
    took = sum(group["seconds"] for group in found.values())
    planned = sum(GROUPS[name].seconds for name in found)
    return pace.share(left, took, planned, sum(group.seconds for group in GROUPS.values()) - planned)


def measure(group: str, folder: Path, seconds: float, share: float = 1.0) -> list[Row]:
    """The rows of one group, from a process of its own, with that share of its rounds.

    Raises:
        Unmeasured: it took longer, broke, or something is missing; all that it had started is stopped.
    """
    into = folder / f"{group}.rows"
    command = [sys.executable, "-m", "benchmarks", group, "--into", str(into)]
    environment = {**os.environ, pace.SHARE: str(share)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        code = process.wait(max(0.0, seconds))
        if code == EXIT_OK:
            rows: list[Row] = json.loads(into.read_text())
            return rows
    except subprocess.TimeoutExpired:
        print(f"{group}: the time is over", file=sys.stderr)
        code = 1
    finally:
        _stop(process)
        into.unlink(missing_ok=True)
    raise Unmeasured(code if code == EXIT_MISSING else 1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As from a terminal at first, so that it can stop what it has started; what is left of its session then ends."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def measure_here(group: str, into: Path) -> int:
    """What the process of a group does."""
    try:
        rows = importlib.import_module(f"benchmarks.{group}").run(into.parent)
    except MissingDependency as error:
        print(error, file=sys.stderr)
        return EXIT_MISSING
    except KeyboardInterrupt:
        return 1
    write(into, json.dumps(rows))
    return EXIT_OK


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
