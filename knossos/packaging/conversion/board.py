"""How far a conversion is: the state of each file, its speed and the time it will take, and the whole as one number.

May be told things from several threads. What it tells goes to the reporter, which thins it out further.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knossos.jobs import FilePhase, FileProgress
from knossos.packaging.conversion.items import Item, Key
from knossos.packaging.reporting import Reporter

#: The part of a conversion that getting and reading the files is; the rest is putting together and mirroring.
FILES_SHARE = 0.95
#: How much of a file is done once it is downloaded.
DOWNLOAD_SHARE = 0.5
#: Seconds over which speed is averaged.
SPEED_SECONDS = 3.0
#: Seconds between two reports, and how many more for each file that has to be listed.
REPORT_PAUSE = 0.1
REPORT_PAUSE_PER_FILE = 0.002


@dataclass
class _State:
    label: str
    phase: FilePhase = FilePhase.WAITING
    done: int = 0
    total: int | None = None
    speed: float | None = None
    note: str = ""
    measured: float = 0.0
    measured_done: int = 0

    def to(self, phase: FilePhase, done: int, total: int | None, now: float) -> None:
        if phase is not self.phase:
            self.phase, self.speed, self.measured, self.measured_done = phase, None, now, 0
        self.done, self.total = done, total
        passed = now - self.measured
        if passed >= REPORT_PAUSE and done > self.measured_done:
            speed = (done - self.measured_done) / passed
            weight = min(1.0, passed / SPEED_SECONDS)
            self.speed = speed if self.speed is None else self.speed * (1 - weight) + speed * weight
            self.measured, self.measured_done = now, done

    @property
    def fraction(self) -> float:
        if self.phase in (FilePhase.DONE, FilePhase.FAILED):
            return 1.0
        part = min(1.0, self.done / self.total) if self.total else 0.0
        if self.phase is FilePhase.DOWNLOADING:
            return DOWNLOAD_SHARE * part
        return DOWNLOAD_SHARE + (1 - DOWNLOAD_SHARE) * part if self.phase is FilePhase.INSPECTING else 0.0

    def as_progress(self) -> FileProgress:
        left = None
        if self.speed and self.total is not None and self.phase in (FilePhase.DOWNLOADING, FilePhase.INSPECTING):
            left = round(max(0, self.total - self.done) / self.speed, 1)
        speed = None if self.speed is None else round(self.speed)
        return FileProgress(self.label, self.phase, self.done, self.total, speed, left, self.note)


class Board:
    def __init__(self, items: Sequence[Item], reporter: Reporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._states: dict[Key, _State] = {item.key: _State(item.label) for item in items}
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._reported = -1e9
        self._fraction = 0.0

    def downloading(self, item: Item, done: int, total: int | None) -> None:
        self._set(item, FilePhase.DOWNLOADING, done, total)

    def waiting(self, item: Item, for_what: str) -> None:
        """Nothing of it comes at the moment; its speed would say nothing."""
        state = self._states[item.key]
        state.speed = None
        self._set(item, FilePhase.DOWNLOADING, state.done, state.total, for_what)

    def inspecting(self, item: Item, done: int, total: int | None) -> None:
        self._set(item, FilePhase.INSPECTING, done, total)

    def done(self, item: Item, size: int, note: str = "") -> None:
        self._set(item, FilePhase.DONE, size, size, note)

    def failed(self, item: Item, note: str) -> None:
        state = self._states[item.key]
        self._set(item, FilePhase.FAILED, state.done, state.total, note)

    def stage(self, fraction: float, text: str) -> None:
        """What is done after all files are read; ``fraction`` of that."""
        self._reporter.progress(FILES_SHARE + (1 - FILES_SHARE) * fraction, text)

    def report(self) -> None:
        """Tell the newest state, whenever the last time was."""
        with self._lock:
            files, fraction, text = self._snapshot()
        self._reporter.files(files)
        self._reporter.progress(fraction, text)

    def _set(self, item: Item, phase: FilePhase, done: int, total: int | None, note: str = "") -> None:
        now = self._clock()
        with self._lock:
            state = self._states[item.key]
            changed = phase is not state.phase
            state.to(phase, done, total, now)
            state.note = note
            pause = REPORT_PAUSE + REPORT_PAUSE_PER_FILE * len(self._states)
            if now - self._reported < (REPORT_PAUSE_PER_FILE * len(self._states) if changed else pause):
                return
            self._reported = now
        self.report()

    def _snapshot(self) -> tuple[list[FileProgress], float, str]:
        states = list(self._states.values())
        known = [state.total for state in states if state.total]
        usual = sum(known) / len(known) if known else 1.0
        weights = [state.total or usual for state in states]
        done = sum(weight * state.fraction for weight, state in zip(weights, states, strict=True))
        self._fraction = max(self._fraction, FILES_SHARE * done / (sum(weights) or 1.0))
        return [state.as_progress() for state in states], self._fraction, _sentence(states)


def _sentence(states: Sequence[_State]) -> str:
    busy = [state for state in states if state.phase in (FilePhase.DOWNLOADING, FilePhase.INSPECTING)]
    if len(busy) == 1:
        verb = "Downloading" if busy[0].phase is FilePhase.DOWNLOADING else "Reading"
        return f"{verb} {busy[0].label}" + (f" - {busy[0].note}" if busy[0].note else "")
    read = sum(1 for state in states if state.phase is FilePhase.DONE)
    failed = sum(1 for state in states if state.phase is FilePhase.FAILED)
    if len(states) == 1:
        return f"{states[0].label} failed" if failed else f"{states[0].label} is read"
    return f"{read} of {len(states)} files are read" + (f", {failed} failed" if failed else "")
