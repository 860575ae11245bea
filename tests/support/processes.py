"""The project's own processes, started for a test on free ports and always ended with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from knossos.settings import ROOT, Settings

Found = TypeVar("Found")


def write_settings(path: Path, settings: Settings) -> Path:
    """Write a settings file that says what these settings say."""
    lines = []
    for name, value in settings.model_dump(exclude_unset=True).items():
        lines.append(f"{name.upper()} = {(str(value) if isinstance(value, Path) else value)!r}")
    path.write_text("\n".join(lines) + "\n")
    return path


class Process:
    """A process of the project with its log. ``log_file`` keeps what it wrote."""

    def __init__(self, arguments: list[str], log_file: Path, environment: Mapping[str, str]) -> None:
        self.log_file = log_file
        with open(log_file, "ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL to the process alone: what it has started must end by itself."""
        self.popen.kill()
        self.popen.wait(20)

    def end(self) -> None:
        """Kill it, and see what it has started end by itself. A copy of a worker that has not got round to it yet holds
        the connection on which the worker waited, and Redis would give it the first task of the next test."""
        self.kill()
        wait_for(lambda: not _of_session(self.popen.pid), "the end of what it has started")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Ask it to stop, and answer its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(20)
            raise AssertionError(f"did not stop; it said:\n{self.log}") from None


def wait_for(look: Callable[[], Found | None], what: str, seconds: float = 90) -> Found:
    """Look again and again until there is something to see; a generous limit, for hanging only."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} seconds for {what}")


def _of_session(leader: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == leader and is_alive(pid):
                found.append(pid)
    return found


def worker_process(log_file: Path, settings_file: Path) -> Process:
    """The product's worker, once it takes tasks: what it does at its start may take a while on a busy machine."""
    process = Process(["worker.py"], log_file, {"KNOSSOS_SETTINGS": str(settings_file)})
    wait_for(lambda: "waits for tasks" in process.log or process.popen.poll() is not None, "the worker")
    return process


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
