"""Run the measurements and print one table: ``python -m benchmarks [GROUP ...]``; all groups without a name.

Every line has its peer, measured in the same run. ``var/bench.json`` keeps the numbers, ``docs/images/bench-GROUP.svg``
shows them. What a benchmark makes lies in ``var/bench`` and is made once; the folder may be deleted at any time.

Each group runs in a process of its own, and all of them together for at most ``--seconds``. A run that is interrupted,
or whose time is over, stops all that it has started, and leaves the numbers and pictures of the last whole run alone.
Exit code 0: all is measured (the table says what is over its limit); 1: something broke or took too long; 3: a peer or
a program is missing, and the message says what to install.
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
from pathlib import Path
from types import FrameType

from benchmarks.chart import draw
from benchmarks.rows import Row
from knossos.errors import EXIT_MISSING, EXIT_OK, MissingDependency
from knossos.settings import ROOT

#: The groups in the order in which they run, and what their pictures are called.
GROUPS = {
    "engine": "The engine beside bare RQ",
    "queues": "The engine beside Celery, Dramatiq, Huey and RQ",
    "inspection": "Inspecting archives",
    "packaging": "Reading archives: 7-Zip, md5sum, libarchive",
    "conversion": "Packaging mods",
    "homes": "Homes and people's scripts",
    "watchers": "Live events",
    "scripts": "Scripts in the sandbox",
    "repository": "The repository",
    "uploads": "Uploads",
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
    if unknown := [name for name in chosen.group if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]!r}; expected {', '.join(GROUPS)}")
    # Both by name: whoever is started in the background of a shell begins with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if chosen.into:
        return measure_here(chosen.group[0], chosen.into)
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + chosen.seconds
    found: dict[str, list[Row]] = {}
    for group in chosen.group or GROUPS:
        print(f"measuring: {group}", file=sys.stderr)
        try:
            found[group] = measure(group, folder, until - time.monotonic())
        except Unmeasured as error:
            return error.code
        except KeyboardInterrupt:
            print("interrupted; nothing is kept", file=sys.stderr)
            return 1
    publish(found)
    return EXIT_OK


def measure(group: str, folder: Path, seconds: float) -> list[Row]:
    """The rows of one group, from a process of its own.

    Raises:
        Unmeasured: it took longer, broke, or something is missing; all that it had started is stopped.
    """
    into = folder / f"{group}.rows"
    command = [sys.executable, "-m", "benchmarks", group, "--into", str(into)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
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
    _write(into, json.dumps(rows))
    return EXIT_OK


def publish(found: dict[str, list[Row]]) -> None:
    """The table, the numbers, and a picture for each group."""
    print(table([row for rows in found.values() for row in rows]))
    for group, rows in found.items():
        _write(ROOT / "docs" / "images" / f"bench-{group}.svg", draw(GROUPS[group], rows))
    rows = [row for rows in found.values() for row in rows]
    _write(ROOT / "var" / "bench.json", json.dumps(rows, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | peer | unit | ratio | at most |", "|---|---:|---|---|---:|---:|"]
    for row in rows:
        peer = f"{row['peer']:,} ({row['peer_name']})"
        limit = "" if row["limit"] is None else row["limit"]
        over = " **over**" if row["limit"] is not None and row["ratio"] > row["limit"] else ""
        lines.append(f"| {row['name']} | {row['ours']:,} | {peer} | {row['unit']} | {row['ratio']}{over} | {limit} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
