"""How packaging tells what it does: the one interface between the work and whoever watches it.

A job's context fits it, the command line has its own, and tests use a recording one. Packaging never knows
which of them listens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Reporter(Protocol):
    """Takes log lines, progress and questions; says when the work is no longer wanted."""

    def debug(self, text: str) -> None: ...

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...

    def progress(self, fraction: float, text: str) -> None:
        """The whole work's progress, 0 to 1, and what is being done now."""

    def files(self, files: Sequence[Any]) -> None:
        """The progress of each file; items are ``knossos.jobs.FileProgress``."""

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        """Ask the user and wait for the answer."""

    def check(self) -> None:
        """Raise where the work was cancelled."""
