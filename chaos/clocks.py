"""The clocks of single processes: each reads how far it is off from a file, through a library that it is started with.

Only the time of day jumps. What counts the seconds since a machine was started goes on, as where an operator, or NTP,
sets a clock.
"""

from __future__ import annotations

from pathlib import Path


class Clock:
    """The clock of one unit."""

    def __init__(self, file: Path, library: str) -> None:
        self._file = file
        self._library = library
        self.set(0)

    def environment(self) -> dict[str, str]:
        """What a process is started with so that it goes by this clock."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Have it be off by so many seconds, from now on."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}")
        temporary.replace(self._file)
