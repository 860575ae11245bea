"""Where a target runs that needs no server: a process of its own, so that what breaks it breaks nothing else.

The parent sends an input, and waits for a line about it. The process has a limit of its address space; one that does
not answer in time is ended with all that it has started, and the next input gets a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from fuzz.canaries import Watch, plant
from fuzz.crashes import Broken, CrashKind
from fuzz.interruption import held
from knossos.settings import ROOT

#: Seconds that one input may take, and that a process may take to be ready.
INPUT_SECONDS, START_SECONDS = 20.0, 120.0
#: Bytes of address space above what it has when it begins.
MEMORY_BYTES = 768 * 1024 * 1024
#: Bytes of real memory that inputs may take.
RESIDENT_BYTES = 256 * 1024 * 1024


class Arena:
    """Use as a context manager. ``folder/room`` is the target's, everything beside it is none of its business."""

    def __init__(
        self, target: str, *, seconds: float = INPUT_SECONDS, memory: int = MEMORY_BYTES, resident: int = RESIDENT_BYTES
    ) -> None:
        self._target, self._seconds = target, seconds
        self._limits = (str(memory), str(resident))
        self._folder = tempfile.TemporaryDirectory(prefix="knossos-fuzz-")
        self._process: subprocess.Popen[bytes] | None = None
        base = Path(self._folder.name).resolve()
        self._room, self._errors = base / "room", base / "stderr"
        self._room.mkdir()
        plant(base)
        plant(base / "beside", "room.txt")
        self._watch = Watch(base, {self._room, self._errors})

    def __enter__(self) -> Arena:
        # Here, and not with the first input, whose time it would take.
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def take(self, data: bytes) -> None:
        """Run one input.

        Raises:
            Broken: it broke something.
        """
        process = self._process or self._start()
        with contextlib.suppress(BrokenPipeError):  # its end says more, below
            _pipe(process.stdin).write(struct.pack("<I", len(data)) + data)
            _pipe(process.stdin).flush()
        line = self._line(process, self._seconds)
        self._watch.check()
        said = json.loads(line)
        if said is not None:
            raise Broken(CrashKind(said["kind"]), said["detail"])

    def _start(self) -> subprocess.Popen[bytes]:
        with held(), open(self._errors, "wb") as errors:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.child", self._target, str(self._room), *self._limits],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # Each arena of the allocator would take 64 MiB of the address space.
                env={**os.environ, "MALLOC_ARENA_MAX": "2"},
                start_new_session=True,
            )
        self._line(process, START_SECONDS)
        return process

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """The next line; the process is ended where none comes."""
        line, output = b"", _pipe(process.stdout)
        until = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not select.select([output], [], [], max(0.0, until - time.monotonic()))[0]:
                self._end()
                raise Broken(CrashKind.HANG, f"no answer within {seconds:g} seconds")
            piece = os.read(output.fileno(), 65536)
            if not piece:
                raise self._gone(process)
            line += piece
        return line

    def _gone(self, process: subprocess.Popen[bytes]) -> Broken:
        self._end()
        said = self._errors.read_text(errors="replace")[-3000:]
        return Broken(CrashKind.DEAD, f"{said}\nthe process ended with {process.returncode}".strip())

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
