"""What packaging says while a tool uses it, shown on the client's screen: lines, bars for files, one for the whole."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from knossos.client.screens import Screen
from knossos.errors import KnossosError


class NobodyAnswers(KnossosError):
    """A file hoster asks something; these tools run without anybody at the keyboard."""

    code = "nobody_answers"


class ScreenReporter:
    """A ``Reporter`` of packaging. May be told things from several threads.

    ``share`` says which part of the whole is being worked on, as two fractions: what packaging takes for the whole.
    """

    def __init__(self, screen: Screen) -> None:
        self.share = (0.0, 1.0)
        self._screen = screen
        self._lock = threading.Lock()

    def debug(self, text: str) -> None:
        """Details are for nobody here."""

    def info(self, text: str) -> None:
        self._show("log_message", [text])

    def warning(self, text: str) -> None:
        self._show("log_message", [f"warning: {text}"])

    def error(self, text: str) -> None:
        self._show("log_message", [f"error: {text}"])

    def progress(self, fraction: float, text: str) -> None:
        start, end = self.share
        self._show("progress", [start + (end - start) * fraction, text])

    def files(self, files: Sequence[Any]) -> None:
        self._show("files", [[file.as_dict() for file in files]])

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        raise NobodyAnswers(f"the hoster asks a question ({kind}), and nobody is here to answer it")

    def check(self) -> None:
        """Signals end the tools; there is nothing else to heed."""

    def _show(self, event: str, arguments: list[Any]) -> None:
        with self._lock:
            self._screen.show(event, arguments)
