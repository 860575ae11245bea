"""The processes of the deployment, kept running as systemd keeps its units: what ends is started a second later."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knossos.settings import ROOT

#: Seconds after which a unit that has ended is started again (conf/systemd: RestartSec).
RESTART_SECONDS = 1.0
#: Seconds between two looks at all units.
LOOK_SECONDS = 0.1
#: Seconds that a unit may take to stop when it is asked to.
STOP_SECONDS = 60


@dataclass
class Unit:
    """One long-lived process. ``stop_signal`` asks it to end in order."""

    name: str
    command: list[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    stop_signal: signal.Signals = signal.SIGTERM
    #: For subprocess.Popen: the user it runs as.
    user: Mapping[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    #: Whether it is to run.
    wanted: bool = False
    ended_at: float = 0.0
    starts: int = 0

    @property
    def pid(self) -> int:
        """Its process id; 0 where it does not run."""
        process = self.process
        return process.pid if process is not None and process.poll() is None else 0

    def children(self) -> list[int]:
        """The processes that it has started itself, oldest first."""
        return children_of(self.pid) if self.pid else []


class Keeper:
    """Starts units, and starts them again; its thread also buries what nobody else waits for, as process 1 must."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def start(self, unit: Unit) -> None:
        """Start a unit, and keep it running from now on."""
        with self._lock:
            self.units[unit.name] = unit
            unit.wanted = True
            self._spawn(unit)

    def kill(self, name: str) -> bool:
        """SIGKILL to its main process. False where it does not run at this moment."""
        pid = self.units[name].pid
        return bool(pid) and kill(pid)

    def restart(self, name: str) -> bool:
        """Have it end in order, and start it again. False where it does not run at this moment."""
        unit = self.units[name]
        process = unit.process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(unit.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        return True

    def stop(self, *names: str, seconds: float = STOP_SECONDS) -> list[str]:
        """Have units end in order, for good; which of them had to be killed after so many seconds."""
        killed: list[str] = []
        until = time.monotonic() + seconds
        units = [self.units[name] for name in names]
        for unit in units:
            unit.wanted = False
            if unit.process is not None and unit.process.poll() is None:
                unit.process.send_signal(unit.stop_signal)
        for unit in units:
            if unit.process is not None:
                try:
                    unit.process.wait(max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    unit.process.kill()
                    killed.append(unit.name)
        return killed

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            with self._lock:
                for unit in self.units.values():
                    self._look_after(unit)
                self._bury()

    def _look_after(self, unit: Unit) -> None:
        if not unit.wanted or unit.process is None or unit.process.poll() is None:
            return
        now = time.monotonic()
        if not unit.ended_at:
            unit.ended_at = now
            # systemd ends what is left of a unit together with its main process.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(unit.process.pid, signal.SIGKILL)
        elif now - unit.ended_at >= RESTART_SECONDS:
            self._spawn(unit)

    def _spawn(self, unit: Unit) -> None:
        unit.ended_at = 0.0
        unit.starts += 1
        with open(unit.log, "ab") as log:
            unit.process = subprocess.Popen(
                unit.command,
                cwd=unit.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **unit.environment},
                start_new_session=True,
                **unit.user,
            )

    def _bury(self) -> None:
        """Wait for orphans that have ended. Those that somebody here has started are waited for by whoever did."""
        ours = {unit.process.pid for unit in self.units.values() if unit.process is not None}
        for pid in children_of(os.getpid()):
            if pid not in ours and state_of(pid) == "Z" and session_of(pid) != os.getsid(0):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def kill(pid: int) -> bool:
    """SIGKILL to a process. False where there is none."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def descendants_of(pid: int, childless: Collection[str] = ()) -> list[int]:
    """All processes below one, but for those that these programs have started."""
    found = []
    for child in children_of(pid):
        found.append(child)
        if program_of(child) not in childless:
            found += descendants_of(child, childless)
    return found


def program_of(pid: int) -> str:
    """The name of the file that a process runs; "" where there is no such process."""
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return ""


def programs(*names: str) -> frozenset[str]:
    """These programs as `program_of` names them: where one is a link it is what that leads to that runs."""
    found = (shutil.which(name) for name in names)
    return frozenset(names) | {os.path.basename(os.path.realpath(path)) for path in found if path}


def state_of(pid: int) -> str:
    """The kernel's letter; "" where there is no such process."""
    return _stat(pid, 0)


def session_of(pid: int) -> int:
    return int(_stat(pid, 3) or 0)


def _stat(pid: int, field_number: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[field_number]
    except (OSError, IndexError):
        return ""


def wait_until(look: Callable[[], bool], what: str, seconds: float) -> None:
    """Look again and again. Raises RuntimeError after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if look():
            return
        time.sleep(0.1)
    raise RuntimeError(f"waited {seconds:.0f} seconds for {what}")
