"""How full the disks are on which this machine keeps things, and how much of it is whose.

Free space is asked of the system, at once. What a folder holds must be counted file by file: that is done aside, once
in a while, and bounded; the last count is kept in Redis for all processes of the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from knossos.jobs import Engine, keys
from knossos.settings import Settings

#: Seconds for which a count is shown, for which it may go on, and entries after which it stops.
COUNT_LIFETIME_SECONDS = 900
COUNT_SECONDS = 120.0
COUNT_ENTRIES = 5_000_000


@dataclass(frozen=True)
class Disk:
    """A folder and the disk below it. ``used`` is None where it is not counted yet, and the least where not
    ``whole``."""

    name: str
    path: str
    free: int
    size: int
    used: int | None
    whole: bool


def folders(settings: Settings) -> list[tuple[str, Path]]:
    """What this machine keeps in folders, by name."""
    found = [
        ("data", settings.data_path),
        ("mirror", settings.mirror_folder),
        ("work", settings.work_folder),
        ("homes", settings.homes_folder),
    ]
    if "://" not in settings.storage_url:
        found.append(("storage", Path(settings.storage_url)))
    return found


def disks(engine: Engine, *, ask_redis: bool = True) -> list[Disk]:
    """All folders that are there. Where their contents were not counted lately, that begins now, aside; while Redis is
    away, or is not to be asked, that is not known."""
    counted = _counted(engine) if ask_redis else {}
    found = []
    for name, folder in folders(engine.settings):
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        used, whole = counted.get(name, (None, True))
        found.append(Disk(name, str(folder), usage.free, usage.total, used, whole))
    return found


def _counted(engine: Engine) -> dict[str, tuple[int | None, bool]]:
    key = keys.sizes_of(socket.gethostname())
    try:
        kept: Any = engine.redis.get(key)
        if kept:
            return {name: (used, whole) for name, (used, whole) in json.loads(kept).items()}
        lock = f"{key}:counting"
        begins = engine.redis.set(lock, 1, nx=True, ex=round(COUNT_SECONDS * len(folders(engine.settings))))
    except RedisError:
        return {}
    if begins:
        threading.Thread(target=_count, args=(engine, key), name="disks", daemon=True).start()
    return {}


def _count(engine: Engine, key: str) -> None:
    sizes = {name: tree_bytes(folder) for name, folder in folders(engine.settings)}
    try:
        engine.redis.set(key, json.dumps(sizes), ex=COUNT_LIFETIME_SECONDS)
        engine.redis.delete(f"{key}:counting")
    except RedisError:
        return  # it is counted again when somebody asks


def tree_bytes(folder: Path) -> tuple[int, bool]:
    """Bytes that a folder takes on disk, each file once, and whether all of it was counted. No link is followed."""
    until, left, total = time.monotonic() + COUNT_SECONDS, COUNT_ENTRIES, 0
    seen: set[tuple[int, int]] = set()
    for about in _entries(folder):
        left -= 1
        if left <= 0 or time.monotonic() > until:
            return total, False
        if about.st_nlink > 1:
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
        total += about.st_blocks * 512
    return total, True


def _entries(folder: Path) -> Iterator[os.stat_result]:
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        about = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                    except OSError:
                        continue
                    if not entry.is_dir(follow_symlinks=False):
                        yield about
        except OSError:
            continue
