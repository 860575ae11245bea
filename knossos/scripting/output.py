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


class Cover:
    """Puts a mask over a secret in a stream of bytes, also where the secret comes in pieces."""

    MASK = b"***"

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be shown; the beginning of what may become the secret waits for what follows."""
        if not self._secret:
            return data
        data = (self._held + data).replace(self._secret, self.MASK)
        longest = min(len(self._secret) - 1, len(data))
        held = next((size for size in range(longest, 0, -1) if data.endswith(self._secret[:size])), 0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def close(self) -> bytes:
        """What was held: nothing follows any more."""
        held, self._held = self._held, b""
        return held


class Output:
    """Use as a context manager. ``show`` is told of each piece: its stream and its text."""

    def __init__(self, folder: Path, limit: int, show: Callable[[str, str], None]) -> None:
        self._covers = {stream: Cover(b"") for stream in STREAMS}
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
        #: Why bytes were dropped before there were too many: the disk takes no more.
        self.failed = ""
        self._channel = Cover(b"")

    def __enter__(self) -> Output:
        self._files = {stream: path.open("wb", buffering=0) for stream, path in self.paths.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def hide(self, secret: str) -> None:
        """From now on a text is neither kept nor shown: the token of a script that prints it."""
        self._covers = {stream: Cover(secret.encode()) for stream in STREAMS}
        self._channel = Cover(secret.encode())

    def covered(self, data: bytes) -> bytes:
        """What the channel has brought, without what is hidden; b"" is its end."""
        return self._channel.feed(data) if data else self._channel.close()

    def add(self, stream: FileRole, data: bytes) -> None:
        """Take what a stream has brought."""
        self._take(stream, self._covers[stream].feed(data))

    def _take(self, stream: FileRole, data: bytes) -> None:
        kept = data[: self._left]
        kept = kept[: self._write(stream, kept)]
        self.dropped += len(data) - len(kept)
        self._left -= len(kept)
        if kept:
            self._gather(stream, self._decoders[stream].decode(kept))

    def _write(self, stream: FileRole, data: bytes) -> int:
        """How many of the bytes the stream's file has taken; where its disk is full, none from now on."""
        try:
            return self._files[stream].write(data) if data else 0
        except OSError as error:
            self._left, self.failed = 0, error.strerror or str(error)
            return 0

    def finish(self) -> None:
        """Show what is left: the streams have ended."""
        for stream, decoder in self._decoders.items():
            self._take(stream, self._covers[stream].close())
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
