"""A run's standard output and standard error: live to the watchers, whole to a file each, within a limit.

What always holds: what is shown is what was written, in the order in which it arrived, and a character is never cut in
two; beyond the limit bytes are read, counted and dropped, so that a script which floods its output neither stops nor
fills anything.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from knossos.scripting.plan import FileRole

#: Seconds for which output is gathered before it is shown. The more has been shown, the longer: a program that prints
#: a little for days must not make millions of events.
PAUSES = ((2_000, 0.05), (10_000, 0.25), (1 << 60, 1.0))
#: Characters that are shown at once, without waiting any longer.
FULL_CHARS = 32 * 1024

STREAMS = (FileRole.STDOUT, FileRole.STDERR)


class Output:
    """Use as a context manager. ``show`` is told of each piece: its stream and its text."""

    def __init__(self, folder: Path, limit: int, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._left = limit
        self._pieces: list[tuple[str, str]] = []
        self._chars = 0
        self._shown = 0
        self._last = 0.0
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in STREAMS}
        self._files: dict[FileRole, BinaryIO] = {}
        #: Where the bytes of each stream are kept.
        self.paths = {stream: folder / stream for stream in STREAMS}
        #: Bytes that were dropped.
        self.dropped = 0

    def __enter__(self) -> Output:
        self._files = {stream: path.open("wb", buffering=0) for stream, path in self.paths.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def add(self, stream: FileRole, data: bytes) -> None:
        """Take what a stream has brought."""
        kept = data[: self._left]
        self.dropped += len(data) - len(kept)
        self._left -= len(kept)
        if kept:
            self._files[stream].write(kept)
            self._gather(stream, self._decoders[stream].decode(kept))

    def finish(self) -> None:
        """Show what is left: the streams have ended."""
        for stream, decoder in self._decoders.items():
            self._gather(stream, decoder.decode(b"", final=True))
        self.flush()

    def seconds_left(self) -> float | None:
        """Seconds after which what was gathered is to be shown; None where nothing was."""
        if not self._pieces:
            return None
        if self._chars >= FULL_CHARS:
            return 0.0
        pause = next(seconds for most, seconds in PAUSES if self._shown < most)
        return max(0.0, self._last + pause - time.monotonic())

    def flush(self) -> None:
        """Show what was gathered."""
        pieces, self._pieces, self._chars = self._pieces, [], 0
        self._last = time.monotonic()
        for stream, text in pieces:
            self._shown += 1
            self._show(stream, text)

    def _gather(self, stream: str, text: str) -> None:
        if not text:
            return
        self._chars += len(text)
        if self._pieces and self._pieces[-1][0] == stream:
            self._pieces[-1] = (stream, self._pieces[-1][1] + text)
        else:
            self._pieces.append((stream, text))
