"""A reporter that remembers everything, in place of a job or a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RecordingReporter:
    """Fits knossos.packaging.reporting.Reporter. Questions are answered from ``answers``, in order."""

    #: (level, text)
    lines: list[tuple[str, str]] = field(default_factory=list)
    fractions: list[tuple[float, str]] = field(default_factory=list)
    file_states: list[list[Any]] = field(default_factory=list)
    questions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    #: Raised by check() once it is set.
    cancelled: Exception | None = None

    def debug(self, text: str) -> None:
        self.lines.append(("debug", text))

    def info(self, text: str) -> None:
        self.lines.append(("info", text))

    def warning(self, text: str) -> None:
        self.lines.append(("warning", text))

    def error(self, text: str) -> None:
        self.lines.append(("error", text))

    def progress(self, fraction: float, text: str) -> None:
        self.fractions.append((fraction, text))

    def files(self, files: Sequence[Any]) -> None:
        self.file_states.append(list(files))

    def ask(self, kind: str, data: Mapping[str, Any], timeout_seconds: float | None = None) -> str:
        self.questions.append((kind, dict(data)))
        return self.answers.pop(0)

    def check(self) -> None:
        if self.cancelled is not None:
            raise self.cancelled

    def texts(self, level: str) -> list[str]:
        """The lines of one level."""
        return [text for kind, text in self.lines if kind == level]
