"""Live progress in a terminal: one line for each file that is being worked on, the log above, the whole below.

Knows nothing of where the news comes from. Draws only on a terminal; whoever writes to a file or a pipe prints lines.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from knossos.jobs import FilePhase, FileProgress

#: Most files that get a line of their own at the same time.
MAX_LINES = 8

_STYLES = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "bold red"}
_VERBS = {FilePhase.DOWNLOADING: "downloading", FilePhase.INSPECTING: "reading"}


class TerminalView:
    """A context manager that owns the bottom of the terminal while it is open."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[figures]}", markup=False, style="cyan"),
            console=self._console,
            transient=True,
        )
        self._whole = self._progress.add_task("", total=None, visible=False, figures="")
        self._lines: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def log(self, level: str, text: str) -> None:
        """Print a line above the bars."""
        line = text if level == "INFO" else f"{level.lower()}: {text}"
        self._console.print(Text(harmless(line), style=_STYLES.get(level, "")), soft_wrap=True)

    def progress(self, fraction: float, text: str) -> None:
        """Show how far the whole is."""
        self._progress.update(
            self._whole, description=_printable(text), completed=fraction * 1000, total=1000, visible=True
        )

    def files(self, files: Sequence[FileProgress]) -> None:
        """Show the files that are being worked on."""
        with self._lock:
            busy = [file for file in files if file.phase in _VERBS][:MAX_LINES]
            for name in self._lines.keys() - {file.name for file in busy}:
                self._progress.remove_task(self._lines.pop(name))
            for file in busy:
                if file.name not in self._lines:
                    self._lines[file.name] = self._progress.add_task("", total=None, figures="")
                self._progress.update(
                    self._lines[file.name],
                    description=_printable(f"{_VERBS[file.phase]} {file.name}"),
                    completed=file.done_bytes,
                    total=file.total_bytes,
                    figures=figures(file),
                )

    def ask(self, question: str) -> str:
        """Put a question to whoever sits at the terminal; the bars wait meanwhile."""
        self._progress.stop()
        try:
            return self._console.input(Text(f"{question} "))
        finally:
            self._progress.start()


def figures(file: FileProgress) -> str:
    """Size, speed and time left in words, as far as they are known."""
    known = [f"{file.done_bytes / 1e6:.1f} of {file.total_bytes / 1e6:.1f} MB" if file.total_bytes else ""]
    known.append(f"{file.bytes_per_second / 1e6:.1f} MB/s" if file.bytes_per_second else "")
    known.append(f"{file.seconds_left:.0f} s left" if file.seconds_left else "")
    return ", ".join(text for text in known if text)


def harmless(text: str) -> str:
    """Text from outside without control sequences, which could rewrite what the terminal shows."""
    return "".join(character if character.isprintable() or character in "\n\t" else "?" for character in text)


def _printable(text: str) -> str:
    clean = harmless(text).replace("\n", " ")
    return clean if len(clean) <= 50 else f"{clean[:24]}...{clean[-23:]}"
