"""What a job function receives: its way to log, to show progress, to ask the user, and its private folder.

Everything it writes carries the fence of this execution. As soon as a write is refused, or the user has cancelled, it
raises a ``JobInterrupted``, so a job ends at the first word it says. All of it may be called from several threads.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knossos.jobs import counts, keys
from knossos.jobs.errors import JobCancelled, JobSuperseded, QuestionTimeout
from knossos.jobs.events import FileProgress
from knossos.jobs.states import JobState, Signal
from knossos.jobs.workspace import Workspace

if TYPE_CHECKING:
    from knossos.jobs.engine import Engine
    from knossos.settings import Settings

#: Seconds between two entries of the same kind of progress; the newest waiting one is always written in the end.
PROGRESS_PAUSE = 0.1
#: Seconds between two looks whether a silent job was cancelled.
CHECK_PAUSE = 0.5


class JobContext:
    """The engine as one running job sees it.

    Attributes: ``ticket``; ``attempt`` and ``attempts``, the number of this start and of all that are allowed;
    ``settings``; ``engine``, for jobs that act on other jobs.
    """

    def __init__(self, engine: Engine, ticket: int, fence: str, attempt: int, attempts: int) -> None:
        self.engine = engine
        self.settings: Settings = engine.settings
        self.ticket = ticket
        self.attempt = attempt
        self.attempts = attempts
        self._fence = fence
        self._seq = 0
        self._lock = threading.Lock()
        self._workspace = Workspace(self.settings.work_folder, ticket, fence)
        self._workspace.hold()
        self._written: dict[str, float] = {}
        self._waiting: dict[str, dict[str, Any]] = {}
        self._checked = time.monotonic()
        self._signals_asked = self._checked
        self._signals_seen: dict[Signal, int] = {}
        self._afterwards: list[Callable[[], None]] = []

    @property
    def workspace(self) -> Path:
        """A private folder, removed when the job ends, however it ends."""
        with self._lock:
            return self._workspace.open()

    def debug(self, text: str) -> None:
        """Log a detail."""
        self._log("DEBUG", text)

    def info(self, text: str) -> None:
        """Log what is being done."""
        self._log("INFO", text)

    def warning(self, text: str) -> None:
        """Log what the user should look at."""
        self._log("WARNING", text)

    def error(self, text: str) -> None:
        """Log what went wrong."""
        self._log("ERROR", text)

    def output(self, stream: str, text: str) -> None:
        """Pass on what a program has written to ``stream``. All of it is kept, so the caller sees to a limit."""
        with self._lock:
            answer = self._write("output", {"stream": stream, "text": text})
        self._heed(answer)

    def progress(self, fraction: float, text: str) -> None:
        """Say how far the job is, 0 to 1, and what it is at. Only the newest is kept."""
        text = self._shortened(text)
        self._newest("progress", {"fraction": round(min(1.0, max(0.0, fraction)), 4), "text": text})

    def files(self, files: Sequence[FileProgress]) -> None:
        """Say how far the job is with each of its files. Only the newest is kept."""
        self._newest("files", {"files": [file.as_dict() for file in files]})

    def confirm(self) -> None:
        """Raise JobSuperseded where the job was given to another worker, or given up, since. It asks each time.

        For what is written elsewhere, once, and must not differ from the job's own outcome.
        """
        found: Any = self.engine.redis.hmget(keys.task(self.ticket), ["fence", "state"])
        held = found == [self._fence.encode(), JobState.RUNNING.encode()]
        self._heed("ok" if held else "superseded")

    def check(self) -> None:
        """Raise a ``JobInterrupted`` where the job must end. Cheap: it asks Redis twice a second at the most."""
        now = time.monotonic()
        with self._lock:
            if now - self._checked < CHECK_PAUSE:
                return
            self._checked = now
            found: Any = self.engine.redis.hmget(keys.task(self.ticket), ["fence", "cancel"])
        self._heed("superseded" if found[0] != self._fence.encode() else "cancelled" if found[1] else "ok")

    def signals(self) -> list[Signal]:
        """What the job's program shall be sent: each wish is told once, a gentle one first.

        It asks Redis twice a second at the most, and only jobs that start programs ask.
        """
        now = time.monotonic()
        with self._lock:
            if now - self._signals_asked < CHECK_PAUSE:
                return []
            self._signals_asked = now
            wished: Any = self.engine.redis.hmget(keys.task(self.ticket), list(Signal))
            counts = dict(zip(Signal, (int(count or 0) for count in wished), strict=True))
            new = [which for which in Signal if counts[which] > self._signals_seen.get(which, 0)]
            self._signals_seen = counts
        return new

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        """Put a question to whoever watches, and wait for the answer.

        Raises:
            QuestionTimeout: nobody answered within ``timeout_seconds`` (default: QUESTION_TIMEOUT_SECONDS).
        """
        seconds = self.settings.question_timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + seconds
        question = uuid.uuid4().hex
        self._heed(self.engine.ledger.ask(self.ticket, self._fence, question, kind, data))
        try:
            while (left := deadline - time.monotonic()) > 0:
                answer: Any = self.engine.redis.blpop([keys.answer(self.ticket, question)], min(1.0, max(0.01, left)))
                if answer:
                    return str(answer[1].decode("utf-8", "replace"))
                self.check()
        finally:
            self.engine.ledger.take_back(self.ticket, self._fence, question)
        raise QuestionTimeout(
            f"Nobody answered within {seconds:.0f} seconds. Start again and keep the page open.", seconds=seconds
        )

    def finish(self) -> None:
        """Write the progress that still waits. The engine calls it when the function has come back."""
        with self._lock:
            for kind in list(self._waiting):
                self._write(kind, self._waiting.pop(kind), only_last=True)

    def afterwards(self, do: Callable[[], None]) -> None:
        """Have something done once the outcome stands: nobody waits for it. It is not, where the process is killed."""
        self._afterwards.append(do)

    def close(self) -> None:
        """Remove the folder. The engine calls it when the outcome stands: nobody has to wait for that."""
        self._workspace.close()
        for do in self._afterwards:
            do()
        counts.deliver(self.engine.redis)

    def _log(self, level: str, text: str) -> None:
        with self._lock:
            answer = self._write("log", {"level": level, "text": self._shortened(text), "time": round(time.time(), 3)})
        self._heed(answer)

    def _shortened(self, text: str) -> str:
        longest = self.settings.log_max_line_chars
        return text if len(text) <= longest else f"{text[:longest]} ... ({len(text) - longest} more characters)"

    def _newest(self, kind: str, data: dict[str, Any]) -> None:
        with self._lock:
            if time.monotonic() - self._written.get(kind, -1e9) < PROGRESS_PAUSE:
                self._waiting[kind] = data
                return
            self._waiting.pop(kind, None)
            answer = self._write(kind, data, only_last=True)
            self._written[kind] = time.monotonic()
        self._heed(answer)

    def _write(self, kind: str, data: dict[str, Any], only_last: bool = False) -> str:
        self._seq += 1
        self._checked = time.monotonic()
        return self.engine.ledger.append(
            self.ticket,
            self._fence,
            self._seq,
            kind,
            data,
            only_last=only_last,
            max_lines=self.settings.log_max_lines,
            field="progress" if kind == "progress" else "",
        )

    def _heed(self, answer: str) -> None:
        if answer == "superseded":
            raise JobSuperseded(f"task {self.ticket} was given to another worker")
        if answer == "cancelled":
            raise JobCancelled(f"task {self.ticket} was cancelled")
