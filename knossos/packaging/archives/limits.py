"""What reading one archive may cost: bytes, entries, ratio and seconds, and the clock that holds the last.

Checked against what the archive states before anything is read, and again against what really comes out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from knossos.packaging.archives.errors import ArchiveTimeout, ArchiveTooBig
from knossos.setting_kinds import GIB, MIB
from knossos.settings import Settings

#: The ratio says nothing about small archives: a few spaces compress well.
RATIO_FLOOR_BYTES = 64 * MIB
#: Characters that names may have on average, those of their folders counted as well.
NAME_CHARACTERS = 150
#: Seconds between two looks at whether the work is still wanted.
CHECK_SECONDS = 0.2


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one archive."""

    max_bytes: int = 100 * GIB
    max_entries: int = 100_000
    #: Unpacked bytes for each packed byte, applied above RATIO_FLOOR_BYTES.
    max_ratio: float = 250
    #: Seconds for the whole archive, and seconds of silence.
    seconds: float = 7200
    stall_seconds: float = 120
    #: Told how many entries there are so far; raises where other archives have used up what is left.
    on_entries: Callable[[int, str], None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        return cls(
            max_bytes=settings.archive_max_bytes,
            max_entries=settings.archive_max_entries,
            max_ratio=settings.archive_max_ratio,
            seconds=settings.archive_timeout_seconds,
            stall_seconds=settings.archive_stall_seconds,
        )

    def check_entries(self, count: int, archive: str, characters: int = 0) -> None:
        """Hold so many entries, whose names have so many characters together, against the limits."""
        if count > self.max_entries:
            raise ArchiveTooBig(
                f"{archive} has more than {self.max_entries:,} entries, the most that is allowed here",
                archive=archive,
                limit="entries",
            )
        if characters > self.max_entries * NAME_CHARACTERS:
            raise ArchiveTooBig(
                f"The names in {archive} are longer together than {self.max_entries * NAME_CHARACTERS:,} characters, "
                "the most that is allowed here",
                archive=archive,
                limit="entries",
            )
        if self.on_entries is not None:
            self.on_entries(max(count, characters // NAME_CHARACTERS), archive)

    def check_bytes(self, unpacked: int, packed: int, archive: str) -> None:
        """Hold ``unpacked`` bytes, stated or real, against the limits; ``packed`` is the archive's own size."""
        if unpacked > self.max_bytes:
            raise ArchiveTooBig(
                f"{archive} unpacks to more than {self.max_bytes:,} bytes, the most that is allowed here",
                archive=archive,
                limit="bytes",
            )
        if unpacked > RATIO_FLOOR_BYTES and unpacked > packed * self.max_ratio:
            raise ArchiveTooBig(
                f"{archive} unpacks to more than {self.max_ratio:g} times its own {packed:,} bytes: "
                "it looks like a bomb, and is not unpacked",
                archive=archive,
                limit="ratio",
            )


class EntryBudget:
    """What all archives of one task may hold together: as many entries as one may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used = 0

    def limits_for_one(self, limits: Limits) -> Limits:
        """The limits for one more archive. It takes its share while it is read, and keeps it."""
        taken = 0

        def take(count: int, archive: str) -> None:
            nonlocal taken
            if count <= taken:
                return
            with self._lock:
                self._used += count - taken
                taken = count
                if self._used > limits.max_entries:
                    raise ArchiveTooBig(
                        f"{archive} and the other archives have more than {limits.max_entries:,} entries together, "
                        "the most that is allowed here",
                        archive=archive,
                        limit="entries",
                    )

        return replace(limits, on_entries=take)


@dataclass
class Clock:
    """The time that one archive has left, and the regular question whether its reading is still wanted."""

    limits: Limits
    archive: str
    #: Raises where the work was cancelled.
    check: Callable[[], None] | None = None
    started: float = field(default_factory=time.monotonic)
    _checked: float = field(default=0.0, init=False)

    def tick(self) -> None:
        """Call often: raises when the time is up or the work was cancelled."""
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        if now - self.started > self.limits.seconds:
            raise ArchiveTimeout(
                f"Reading {self.archive} took longer than {self.limits.seconds:g} s and was ended",
                archive=self.archive,
                limit="seconds",
            )
        if self.check is not None:
            self.check()

    def silent(self, seconds: float) -> None:
        """Call while nothing comes: raises when it was silent for too long."""
        self.tick()
        if seconds > self.limits.stall_seconds:
            raise ArchiveTimeout(
                f"7-Zip gave no sign of life for {self.limits.stall_seconds:g} s while reading {self.archive} "
                "and was ended; the archive is probably broken: pack it again",
                archive=self.archive,
                limit="silence",
            )
