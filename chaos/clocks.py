"""The clocks of single processes: each is off by the seconds in a file, through a library that it is started with.

Only the time of day jumps. What counts the seconds since a machine was started goes on, as where an operator, or NTP,
sets a clock. The library (``clock.c``) is ours: Debian's libfaketime changes ways of waiting as well, and Python's
``time.sleep`` broke with it.
"""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
#: Bytes of the number in the file, a C long.
SIZE = 8


def build(compiler: str, target: Path) -> Path:
    """Compile the library."""
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(target), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{compiler}: {done.stderr}")
    return target


class Clock:
    """The clock of one unit."""

    def __init__(self, file: Path, library: Path) -> None:
        self._file = file
        self._library = library
        file.write_bytes(bytes(mmap.PAGESIZE))

    def environment(self) -> dict[str, str]:
        """What a process is started with so that it goes by this clock."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Have it be off by so many seconds, from now on."""
        with self._file.open("r+b", buffering=0) as file:
            file.write(seconds.to_bytes(SIZE, "little", signed=True))
