"""The faults: what is done to the deployment at moments, and in an order, that a seed decides."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos import hosts
from chaos.deployment import FAR_WORKER, FILLER, WORKERS, Deployment
from chaos.storage_door import Door
from chaos.units import descendants_of, kill, programs

#: Seconds between two faults.
PAUSE_SECONDS = (2.5, 6.0)
#: Seconds for which the storage fails or stalls, and for which a disk is full or a clock is wrong.
STORAGE_SECONDS, DISK_SECONDS, CLOCK_SECONDS = (2.0, 8.0), (3.0, 8.0), (5.0, 15.0)
#: By how many seconds a clock jumps, forward or back; that of a whole host not by a day, for which Redis keeps tasks
#: that have ended (TASK_LIFETIME). Whose clocks are that of the first host.
JUMPS, HOST_JUMPS = (61, 600, 3_600, 86_400), (61, 600, 3_600)
NEAR_CLOCKS = ("redis", "postgres", "server", "websocket", *(name for name in WORKERS if name != FAR_WORKER))
#: Seconds for which a host is cut off: longer than WORKER_LOST_SECONDS, and for which it is there in between.
CUT_SECONDS, BACK_SECONDS = (16.0, 24.0), 8.0
#: Seconds that one waits for the far worker to be in the middle of a job.
BUSY_SECONDS = 10.0
#: What runs a script.
SHELL = programs("sh")
#: Bytes that are written in one piece to fill a disk.
PIECE_BYTES = 1024 * 1024


@dataclass
class Lasting:
    """A fault that ends at a monotonic time."""

    until: float
    undo: Callable[[], None]


class Faults:
    """Does harm in its own thread, from `start` to `stop`, and counts what it did by kind."""

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        #: What was done when, for the log.
        self.log: list[str] = []
        #: Faults that could not be done, or undone, and why; each is a finding.
        self.broken: list[str] = []
        self._deployment = deployment
        self._rng = random.Random(f"{seed} faults")
        self._stopping = threading.Event()
        self._lasting: list[Lasting] = []
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        keeper = deployment.keeper
        self._kinds: dict[str, Callable[[], bool]] = {
            "SIGKILL: server, master": lambda: keeper.kill("server"),
            "SIGKILL: server, process": lambda: self._kill_child("server"),
            "SIGKILL: WebSocket server": lambda: keeper.kill("websocket"),
            "SIGKILL: worker": lambda: keeper.kill(self._rng.choice(WORKERS)),
            "SIGKILL: job": lambda: self._kill_below(self._rng.choice(WORKERS)),
            "SIGKILL: Redis": lambda: keeper.kill("redis"),
            "SIGKILL: PostgreSQL": lambda: keeper.kill("postgres"),
            "SIGKILL: PostgreSQL, connection": lambda: self._kill_child("postgres"),
            "SIGKILL: S3 server": lambda: keeper.kill("s3"),
            "restart: Redis": lambda: keeper.restart("redis"),
            "restart: PostgreSQL": lambda: keeper.restart("postgres"),
            "restart: S3 server": lambda: keeper.restart("s3"),
            "storage: answers 500": lambda: self._storage(Door.FAILING),
            "storage: stalls": lambda: self._storage(Door.STALLED),
            "disk full: worker": lambda: self._fill(self._deployment.disk(self._rng.choice(WORKERS))),
            "disk full: mirror": lambda: self._fill(self._deployment.folder / "mirror"),
            "clock of a process jumps": lambda: self._jump(
                [self._rng.choice(["server", "websocket", *WORKERS])], JUMPS
            ),
            "clock of the first host jumps": lambda: self._jump(NEAR_CLOCKS, HOST_JUMPS),
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Do nothing more, and undo what lasts."""
        self._stopping.set()
        self._thread.join()
        self._undo(everything=True)

    def _run(self) -> None:
        bag: list[str] = []
        while not self._stopping.wait(self._rng.uniform(*PAUSE_SECONDS)):
            if not bag:
                # Every kind comes, before any comes again.
                bag = list(self._kinds)
                self._rng.shuffle(bag)
            self._do(bag.pop())

    def _do(self, kind: str) -> None:
        try:
            self._undo()
            if self._kinds[kind]():
                self.note(kind)
        except Exception as error:  # a fault that breaks is a finding, and must not be the last one
            self.broken.append(f"{kind}: {error!r}"[:300])

    def note(self, kind: str) -> None:
        """Count a fault."""
        self.counts[kind] += 1
        self.log.append(f"{time.strftime('%H:%M:%S')} {kind}")

    def _undo(self, everything: bool = False) -> None:
        now = time.monotonic()
        for one in [one for one in self._lasting if everything or one.until <= now]:
            one.undo()
            self._lasting.remove(one)

    def _last(self, seconds: tuple[float, float], undo: Callable[[], None]) -> None:
        self._lasting.append(Lasting(time.monotonic() + self._rng.uniform(*seconds), undo))

    def _kill_child(self, name: str) -> bool:
        return self._kill_one_of(self._deployment.keeper.units[name].children())

    def _kill_below(self, worker: str) -> bool:
        """Any process of a job, or of what waits for one; but none that a script starts: that may go on without it, and
        does not say what it should then."""
        pid = self._deployment.keeper.units[worker].pid
        return self._kill_one_of(descendants_of(pid, SHELL) if pid else [])

    def _kill_one_of(self, pids: Sequence[int]) -> bool:
        number = self._rng.random()
        return bool(pids) and kill(pids[int(number * len(pids))])

    def _storage(self, state: Door) -> bool:
        door = self._deployment.door
        door.state = state

        def open_it() -> None:
            door.state = Door.OPEN

        self._last(STORAGE_SECONDS, open_it)
        return True

    def _fill(self, disk: Path) -> bool:
        """Write until nothing more fits."""
        filler = disk / FILLER
        self._last(DISK_SECONDS, lambda: filler.unlink(missing_ok=True))
        with open(filler, "wb", buffering=0) as file:
            piece = b"\0" * PIECE_BYTES
            while True:
                try:
                    if file.write(piece) < len(piece):
                        break
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break
        return os.statvfs(disk).f_bavail == 0

    def _jump(self, units: Sequence[str], jumps: Sequence[int]) -> bool:
        clocks = [self._deployment.clocks[name] for name in units]
        seconds = self._rng.choice(jumps) * self._rng.choice((1, -1))

        def set_all(value: int) -> None:
            for clock in clocks:
                clock.set(value)

        set_all(seconds)
        self._last(CLOCK_SECONDS, lambda: set_all(0))
        return True

    # --- the second host ----------------------------------------------------------------------------

    def cut_off(self, until: float) -> list[str]:
        """Pull the second host's cable in the middle of its jobs, and plug it in again, until a monotonic time; at
        least once. Answers the tickets of the jobs that it was at."""
        tickets: list[str] = []
        while not tickets or time.monotonic() < until:
            jobs = self._busy(time.monotonic() + BUSY_SECONDS)
            if not jobs and time.monotonic() > until:
                break
            hosts.pull()
            self.note("host cut off")
            tickets += jobs
            time.sleep(self._rng.uniform(*CUT_SECONDS))
            hosts.plug()
            self.note("host back")
            time.sleep(BACK_SECONDS)
        return tickets

    def _busy(self, until: float) -> list[str]:
        """The jobs that the far worker is at, once it is at one."""
        disk = self._deployment.disk(FAR_WORKER)
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if jobs := [lock.name.partition("-")[0] for lock in disk.glob("*.lock")]:
                    return jobs
            time.sleep(0.05)
        return []
