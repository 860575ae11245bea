"""What packaging may remove: knowledge that nobody has used for long, and files that a power cut left half written.

Safe to run twice at once and while workers work: everything here is a cache, or older than any task may live.
"""

from __future__ import annotations

import time
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
    """Remove files below a folder that nobody has written to for so long."""
    limit, removed = time.time() - older_than_seconds, 0
    for pattern in UNFINISHED:
        for path in folder.rglob(pattern):
            try:
                if path.is_file() and not path.is_symlink() and path.stat().st_mtime < limit:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # somebody else tidies at the same time
    return removed
