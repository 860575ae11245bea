"""What the command line shows of a conversion: bars on a terminal, lines elsewhere, JSON lines for programs.

Each kind of output is a reporter, as a job's context is one. Only a terminal with somebody at it can answer questions.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from knossos.errors import KnossosError
from knossos.jobs import FileProgress
from knossos.packaging.terminal import TerminalView, harmless

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class NobodyAnswers(KnossosError):
    """A question came up, and nobody is there."""

    code = "nobody_answers"


class Output:
    """Lines on a stream; the base of the other kinds.

    Args:
        least: the lowest level that is shown.
    """

    def __init__(self, stream: TextIO, least: str) -> None:
        self._stream = stream
        self._least = _LEVELS.index(least)
        self._lock = threading.Lock()

    def debug(self, text: str) -> None:
        self._log("DEBUG", text)

    def info(self, text: str) -> None:
        self._log("INFO", text)

    def warning(self, text: str) -> None:
        self._log("WARNING", text)

    def error(self, text: str) -> None:
        self._log("ERROR", text)

    def progress(self, fraction: float, text: str) -> None:
        """Lines do not show progress."""

    def files(self, files: Sequence[FileProgress]) -> None:
        """Lines do not show progress."""

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        raise NobodyAnswers(f"the hoster asks a question ({kind}); run this in a terminal to answer it", question=data)

    def check(self) -> None:
        """Signals end the command line; there is nothing else to heed."""

    def done(self, code: int) -> None:
        """The last thing that is said; ``code`` is the exit code."""

    def _log(self, level: str, text: str) -> None:
        if _LEVELS.index(level) >= self._least:
            self._say(level, text)

    def _say(self, level: str, text: str) -> None:
        self._write(harmless(text if level == "INFO" else f"{level.lower()}: {text}"))

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


class JsonOutput(Output):
    """One JSON object a line: ``{"type": "log" | "progress" | "files" | "done", "time", ...}``."""

    def __init__(self, stream: TextIO, least: str) -> None:
        super().__init__(stream, least)
        self._shown: dict[str, float] = {}

    def progress(self, fraction: float, text: str) -> None:
        if self._is_time("progress", last=fraction >= 1):
            self._event("progress", fraction=round(fraction, 4), text=text)

    def files(self, files: Sequence[FileProgress]) -> None:
        if self._is_time("files"):
            self._event("files", files=[file.as_dict() for file in files])

    def done(self, code: int) -> None:
        self._event("done", success=code == 0, exit_code=code)

    def _say(self, level: str, text: str) -> None:
        self._event("log", level=level, text=text)

    def _is_time(self, kind: str, *, last: bool = False) -> bool:
        now = time.monotonic()
        if not last and now - self._shown.get(kind, -1e9) < 1:
            return False
        self._shown[kind] = now
        return True

    def _event(self, kind: str, **data: Any) -> None:
        self._write(json.dumps({"type": kind, "time": round(time.time(), 3), **data}))


class TerminalOutput(Output):
    """Bars and coloured lines."""

    def __init__(self, stream: TextIO, least: str, view: TerminalView) -> None:
        super().__init__(stream, least)
        self._view = view
        self.progress = view.progress  # type: ignore[method-assign]
        self.files = view.files  # type: ignore[method-assign]

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        if not sys.stdin.isatty():
            return super().ask(kind, data, timeout_seconds)
        return self._view.ask(f"{kind}: what does {harmless(str(data.get('image', data)))} say?")

    def _say(self, level: str, text: str) -> None:
        self._view.log(level, text)


@contextmanager
def open_output(stream: TextIO, *, quiet: bool, verbose: bool, json_log: bool) -> Iterator[Output]:
    """The output that fits the stream and the options."""
    least = "WARNING" if quiet else "DEBUG" if verbose else "INFO"
    if json_log:
        yield JsonOutput(stream, least)
    elif quiet or not stream.isatty():
        yield Output(stream, least)
    else:
        with TerminalView(stream) as view:
            yield TerminalOutput(stream, least, view)
