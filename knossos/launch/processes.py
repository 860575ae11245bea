"""A small supervisor: starts children, prints what they say, starts them again, and leaves none behind.

What always holds: one thread, so that nothing is forked beside a lock; each child leads its own process group,
so that Ctrl-C in the terminal reaches only the supervisor, which stops them in order; and a child ends when the
supervisor ends, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, cast

#: Crashes of one child within so many seconds after which starting it again is given up.
CRASH_LIMIT = 5
CRASH_WINDOW_SECONDS = 60.0

#: First and longest pause in seconds before a child is started again.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0

#: Seconds between two requests to stop to a child that may not have heard the first one.
ASK_AGAIN_SECONDS = 0.5

#: Longest line of a child that is kept together, in bytes.
MAX_LINE_BYTES = 64 * 1024

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


class GivenUp(Exception):
    """A child cannot be kept running. ``exit_code`` is what the whole program should end with."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def restart_pause(crashes: Sequence[float], now: float) -> float | None:
    """Seconds to wait after the latest of these crashes (times in seconds), or None: it has crashed too often."""
    recent = [crash for crash in crashes if now - crash < CRASH_WINDOW_SECONDS]
    if len(recent) >= CRASH_LIMIT:
        return None
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(1 << max(0, len(recent) - 1)))


def end_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """What a forked child does before it becomes another program: ask the kernel to end it when we are gone."""
    parent = os.getpid()

    def before_exec() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec


@dataclass
class Child:
    name: str
    arguments: list[str]
    #: Seconds that it may take to stop.
    stop_seconds: float
    #: Sent to it by the kernel when the supervisor is gone.
    death_signal: signal.Signals
    process: subprocess.Popen[bytes] | None = None
    crashes: list[float] = field(default_factory=list)
    #: Monotonic time at which it is to be started again.
    start_at: float | None = None
    rest: bytes = b""
    #: Ignores SIGTERM during a part of its start, and takes it twice without harm.
    deaf_at_first: bool = False
    #: Lines with this in them are not shown. "": all are.
    unsaid: str = ""

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None


class Supervisor:
    """Starts and keeps children.

    ``show(name, line)`` prints one line of a child; ``final_exits`` are exit codes that starting again does not mend.
    """

    def __init__(self, show: Callable[[str, str], None], folder: Path, final_exits: Sequence[int] = ()) -> None:
        self._show = show
        self._folder = folder
        self.final_exits = final_exits
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        #: Signals to stop so far: the second one stops without patience.
        self.stop_requests = 0
        self._wake, waker = socket.socketpair()
        for end in (self._wake, waker):
            end.setblocking(False)
        self._waker = waker
        self._selector.register(self._wake, selectors.EVENT_READ)

    def __enter__(self) -> Supervisor:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        arguments: list[str],
        stop_seconds: float = 10,
        death_signal: signal.Signals = signal.SIGKILL,
        deaf_at_first: bool = False,
        unsaid: str = "",
    ) -> Child:
        """Start a child. Children are stopped in the opposite order of their start, those of one name at once."""
        child = Child(name, arguments, stop_seconds, death_signal, deaf_at_first=deaf_at_first, unsaid=unsaid)
        self._children.append(child)
        self._spawn(child)
        return child

    def run(self, until: Callable[[], bool], poll_seconds: float = 0.1) -> bool:
        """Supervise until the condition holds (then True) or a signal asks to stop (False).

        Raises:
            GivenUp: a child crashes again and again, or ended with a code that starting again does not mend.
        """
        while not self.stop_requests:
            if until():
                return True
            self._step(poll_seconds)
            for child in self._children:
                if child.start_at is not None and child.start_at <= time.monotonic():
                    self._spawn(child)
        return False

    def stop(self) -> None:
        """Stop all children in order and wait for them; kill what does not stop, and what they left behind."""
        patience = self.stop_requests
        groups: dict[str, list[Child]] = {}
        for child in reversed(self._children):
            child.start_at = None
            groups.setdefault(child.name.split("-")[0], []).append(child)
        for group in groups.values():
            running = [child for child in group if child.process]
            for child in running:
                _signal(child, signal.SIGTERM)
            deadline = time.monotonic() + max((child.stop_seconds for child in running), default=0)
            ask_again = time.monotonic() + ASK_AGAIN_SECONDS
            while any(child.process for child in running):
                if time.monotonic() > deadline or self.stop_requests > max(1, patience):
                    for child in running:
                        _signal(child, signal.SIGKILL)
                elif time.monotonic() > ask_again:
                    ask_again = time.monotonic() + ASK_AGAIN_SECONDS
                    for child in running:
                        if child.deaf_at_first:
                            _signal(child, signal.SIGTERM)
                self._step(0.05, stopping=True)
        self._kill_orphans()

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requests += 1

    def _spawn(self, child: Child) -> None:
        child.start_at = None
        child.process = subprocess.Popen(
            child.arguments,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=end_with_parent(child.death_signal),  # safe: there is only one thread
        )
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _step(self, seconds: float, stopping: bool = False) -> None:
        """Wait for output, signals or ended children, and deal with all that there is."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Child):
                self._read(key.data, cast("IO[bytes]", key.fileobj))
            else:
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
        for pid, status in _ended():
            for child in self._children:
                if child.process and child.process.pid == pid:
                    self._bury(child, os.waitstatus_to_exitcode(status), stopping)

    def _read(self, child: Child, stream: IO[bytes]) -> bool:
        """Show what a child has written; False when there is nothing more for now, or ever."""
        try:
            data = os.read(stream.fileno(), MAX_LINE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(stream)
            stream.close()
        *lines, child.rest = (child.rest + data).split(b"\n")
        if child.rest and (not data or len(child.rest) > MAX_LINE_BYTES):
            lines.append(child.rest)
            child.rest = b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if not child.unsaid or child.unsaid not in text:
                self._show(child.name, text)
        return bool(data)

    def _bury(self, child: Child, code: int, stopping: bool) -> None:
        assert child.process is not None
        child.process.returncode = code
        # What it left in its group goes with it: a new one must not meet the old one's children.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        # Its last words may have come after the last look, and say why it ended.
        output = child.process.stdout
        while output is not None and not output.closed and self._read(child, output):
            pass
        child.process = None
        if stopping or self.stop_requests:
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if code in self.final_exits:
            raise GivenUp(f"{child.name} {how}", code)
        now = time.monotonic()
        child.crashes.append(now)
        pause = restart_pause(child.crashes, now)
        if pause is None:
            raise GivenUp(f"{child.name} {how}, for the {len(child.crashes)}th time: giving up", 1)
        self._show("launch", f"{child.name} {how}; starting it again")
        child.start_at = now + pause

    def _kill_orphans(self) -> None:
        """End what our children had started and left: as subreaper we have inherited it."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            left = _children_of(os.getpid())
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._step(0.02, stopping=True)


def _signal(child: Child, number: signal.Signals) -> None:
    """SIGTERM goes to the child itself, which knows how to stop its own; SIGKILL to its whole group."""
    if child.process is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == signal.SIGKILL:
            os.killpg(child.process.pid, number)
        else:
            os.kill(child.process.pid, number)


def _ended() -> list[tuple[int, int]]:
    """All children, known or inherited, that have ended: process id and wait status."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(ended)
    return found


def _children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything: the fields that follow it begin after the last one.
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(entry.parent.name))
    return found


def print_line(name: str, line: str) -> None:
    """One line of a child, after its name, for people."""
    _write(f"{name:<11}| {line}\n")


def print_json_line(name: str, line: str) -> None:
    """One line for programs: as it is where it is JSON already, else (uWSGI, Redis) as a JSON object's message."""
    if not line.startswith("{"):
        line = json.dumps({"time": datetime.now(UTC).isoformat(), "level": "INFO", "process": name, "message": line})
    _write(f"{line}\n")


def _write(text: str) -> None:
    # A terminal that is gone must not keep us from stopping in order.
    with contextlib.suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()
