"""What packaging may remove: knowledge that nobody has used for long, and files that a power cut left half written.

Safe to run twice at once and while workers work: everything here is a cache, or older than any task may live.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from knossos.packaging.archives import Inspections
from knossos.packaging.downloads import KnownLinks
from knossos.packaging.mirror_index import MirrorIndex
from knossos.settings import Settings

#: Names of files in the mirror that are still being written (`mirror.py` and the web server's uploads).
UNFINISHED = (".*.part", ".incoming-*")


def tidy(settings: Settings) -> list[tuple[str, int]]:
    """Remove what is stale, and answer in words what it was and how much."""
    lifetime = settings.cache_lifetime_seconds
    return [
        ("inspections of archives that were not used any more", Inspections(settings).expire(lifetime)),
        ("links that were not used any more", KnownLinks(settings).expire(lifetime)),
        ("records of mirrored files that are gone", MirrorIndex(settings).expire()),
        ("files that were never finished", remove_unfinished(settings.mirror_folder, settings.task_lifetime)),
    ]


def remove_unfinished(folder: Path, older_than_seconds: float) -> int:
    """Remove files below a folder that nobody has written to for so long. What vanishes meanwhile is passed over."""
    limit, removed = time.time() - older_than_seconds, 0
    for path in _unfinished(folder):
        # One file that is gone already, or that another user has put there, does not keep the others.
        with contextlib.suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime < limit:
                path.unlink()
                removed += 1
    return removed


def _unfinished(folder: Path) -> Iterator[Path]:
    # Unlike Path.rglob, os.walk goes on when a folder is gone before it has been looked into.
    for parent, _, names in os.walk(folder):
        for name in names:
            if any(fnmatchcase(name, pattern) for pattern in UNFINISHED):
                yield Path(parent, name)
