"""What the user sees of a task while it runs: bars on a terminal, plain lines elsewhere, or JSON for programs.

All of it goes to stderr, so that stdout stays free for the result; JSON goes to stdout. What always holds: nothing that
comes from the server reaches the terminal with its control characters.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from typing import Any, Protocol, TextIO

from knossos.client.bars import draw_bars, plain

#: Part of the whole after which a plain line says how far the task is.
STEP = 0.1


class Screen(Protocol):
    """Where events are shown."""

    def show(self, event: str, arguments: list[Any]) -> None:
        """Show an event of the task."""

    def note(self, text: str) -> None:
        """Show what the client itself has to say."""

    async def ask(self, image: str) -> str | None:
        """Let the user answer a captcha; None where nobody can."""

    def close(self) -> None:
        """Leave the terminal in order."""


class LineScreen:
    """Plain lines, for logs and pipes: what the task tells on ``stream``, and what a script writes to its standard
    output on ``output``."""

    def __init__(self, stream: TextIO, output: TextIO) -> None:
        self._stream = stream
        self._output = output
        self._told = -1.0
        self._phases: dict[str, str] = {}
        #: What a script has begun to write and not ended with a line's end, by its stream.
        self._begun: dict[str, str] = {}

    def show(self, event: str, arguments: list[Any]) -> None:
        match event:
            case "log_message":
                self.note(arguments[0])
            case "progress":
                fraction, text = float(arguments[0]), str(arguments[1])
                if fraction >= self._told + STEP or (fraction >= 1 > self._told) or fraction < self._told:
                    self._told = fraction
                    self.note(f"[{fraction:4.0%}] {text}")
            case "files":
                for file in arguments[0]:
                    name, phase = str(file["name"]), str(file["phase"])
                    if self._phases.get(name) != phase:
                        self._phases[name] = phase
                        self.note(f"{name}: {phase} {file.get('note') or ''}".rstrip())
            case "state" if arguments[0].get("text"):
                self.note(arguments[0]["text"])
            case "output":
                source, text = map(str, arguments)
                *lines, self._begun[source] = (self._begun.get(source, "") + text).split("\n")
                self._written(source, lines)
            case "done":
                self._rest()

    def note(self, text: str) -> None:
        self._put(self._stream, [text])

    async def ask(self, image: str) -> str | None:
        self.note(f"A captcha must be solved: {image}")
        if not sys.stdin.isatty():
            self.note("Run this on a terminal, or open the task's page, to answer it.")
            return None
        self._stream.write("Code: ")
        self._stream.flush()
        return (await read_line()).strip()

    def close(self) -> None:
        self._rest()

    def _written(self, source: str, lines: list[str]) -> None:
        self._put(self._output if source == "stdout" else self._stream, lines)

    def _rest(self) -> None:
        """Show the last lines of a script, though no end of a line came."""
        for source, text in self._begun.items():
            if text:
                self._written(source, [text])
        self._begun.clear()

    def _put(self, stream: TextIO, lines: list[str]) -> None:
        for line in lines:
            stream.write(plain(line.expandtabs()) + "\n")
        stream.flush()


class BarScreen(LineScreen):
    """Bars that are drawn anew below the lines of the log."""

    def __init__(self, stream: TextIO, output: TextIO) -> None:
        super().__init__(stream, output)
        self._drawn = 0
        self._asking = False
        self._ended = False
        self._progress: tuple[float, str] = (0.0, "")
        self._files: list[dict[str, Any]] = []

    def show(self, event: str, arguments: list[Any]) -> None:
        match event:
            case "progress":
                self._progress = float(arguments[0]), str(arguments[1])
                self._draw()
            case "files":
                self._files = list(arguments[0])
                self._draw()
            case "done":
                super().show(event, arguments)
                self._clear()
                self._ended = True
            case _:
                super().show(event, arguments)

    async def ask(self, image: str) -> str | None:
        self._clear()
        self._asking = True
        try:
            return await super().ask(image)
        finally:
            self._asking = False
            self._draw()

    def close(self) -> None:
        super().close()
        self._clear()

    def _put(self, stream: TextIO, lines: list[str]) -> None:
        self._clear()
        super()._put(stream, lines)
        self._draw()

    def _clear(self) -> None:
        if self._drawn:
            # Up to the first line of the bars, and everything from there on away.
            self._stream.write(f"\x1b[{self._drawn}F\x1b[J")
            self._stream.flush()
            self._drawn = 0

    def _draw(self) -> None:
        if self._asking or self._ended:
            return
        size = shutil.get_terminal_size()
        lines = draw_bars(self._progress, self._files, size.columns, size.lines)
        self._clear()
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)


class JsonScreen:
    """One JSON object a line: ``{"event": ..., "arguments": [...]}``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: str, arguments: list[Any]) -> None:
        self._stream.write(json.dumps({"event": event, "arguments": arguments}) + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        self.show("note", [text])

    async def ask(self, image: str) -> str | None:
        """The program reads the event and answers with a line, if it can."""
        return (await read_line()).strip()

    def close(self) -> None:
        """Nothing to put in order."""


def make_screen(as_json: bool) -> Screen:
    """Choose what fits where the output goes."""
    if as_json:
        return JsonScreen(sys.stdout)
    return (BarScreen if sys.stderr.isatty() else LineScreen)(sys.stderr, sys.stdout)


async def read_line() -> str:
    """Read a line of stdin without blocking, so that the waiting can be called off. "" at the end of it."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not line.done():
            line.set_result(sys.stdin.readline())

    try:
        loop.add_reader(sys.stdin, read)
    except (OSError, ValueError):  # a file, or closed: nobody answers
        return ""
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin)
