"""Ten mods at once with two workers, beside the same ten with one: what a second ``worker.py`` brings.

7-Zip decompresses a solid block on one processor, and our process hashes what it writes on another meanwhile. So it
depends on the archives how much of two processors one worker leaves idle: nearly all of the second with PPMd, which is
slow to read, and less with LZMA. The limit is for the first; the second is shown, from one round. One worker and two
take turns.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.archives import Data, pack
from benchmarks.conversion import description, submit
from benchmarks.engine import our_worker, redis_for_benchmarks
from benchmarks.rows import Row, row
from knossos.jobs import Engine
from knossos.settings import Settings
from tests.support.file_server import FileServer

#: Mods at once, and timed rounds of those that have a limit.
MODS, ROUNDS = 10, 3


class Packed(NamedTuple):
    """How the mods' archives are packed, how many bytes each holds, and the most that two workers may take of one
    worker's time."""

    switches: tuple[str, ...]
    size: int
    limit: float | None


#: 1.8 times the throughput is asked for.
PACKED = {
    "PPMd": Packed(("-m0=PPMd", "-mmt=1"), 4_000_000, round(1 / 1.8, 3)),
    "LZMA": Packed(("-mx=1", "-m0=LZMA", "-mmt=1"), 10_000_000, None),
}


def run(folder: Path) -> list[Row]:
    """Measure, in about three quarters of a minute once the archives are made."""
    archives = {method: archives_of(folder, method, packed) for method, packed in PACKED.items()}
    data = folder / "two-workers-data"
    shutil.rmtree(data, ignore_errors=True)
    times: dict[tuple[str, int], list[float]] = {(method, workers): [] for method in PACKED for workers in (1, 2)}
    with redis_for_benchmarks(folder) as url, FileServer() as server:
        settings = Settings(data_path=data, redis=url, allowed_private_networks=("127.0.0.0/8",))
        engine = Engine(settings)

        def measure(workers: int, turn: int) -> None:
            _ten(engine, server, settings, archives["LZMA"], f"warm-up-{workers}-{turn}")
            for method, made in archives.items():
                if turn and PACKED[method].limit is None:
                    continue
                times[method, workers].append(_ten(engine, server, settings, made, f"{method}-{workers}-{turn}"))

        with closing(engine.redis), our_worker(folder, settings, "worker-1"):
            for turn in range(ROUNDS):
                measure(1, turn)
                with our_worker(folder, settings, f"worker-2-{turn}"):
                    measure(2, turn)
    shutil.rmtree(data, ignore_errors=True)
    return [
        row(
            f"ten mods of {packed.size // 10**6} MB at once ({method}), two workers",
            statistics.median(times[method, 2]),
            statistics.median(times[method, 1]),
            "one worker",
            "s",
            packed.limit,
        )
        for method, packed in PACKED.items()
    ]


def archives_of(folder: Path, method: str, packed: Packed) -> list[Path]:
    """Archives of one file each, no two of them alike. Made once."""
    made = []
    for number in range(MODS):
        archive = folder / f"ten-{method}-{packed.size}-{number}.7z"
        if not archive.exists():
            source = folder / f"ten-{method}"
            source.mkdir(exist_ok=True)
            Data(10 + number).write(source / "data.vp", packed.size)
            pack(source, archive, *packed.switches)
        made.append(archive)
    return made


def _ten(engine: Engine, server: FileServer, settings: Settings, archives: list[Path], name: str) -> float:
    """Seconds from the first submission until all are done, with a mirror and caches that know nothing of them."""
    for known in ("mirror", "inspections", "links", "mirrored"):
        shutil.rmtree(settings.data_path / known, ignore_errors=True)
    texts = [
        description(f"ten-{number}", server.file(f"/{name}/{number}.7z", archive, etag=f'"{name}-{number}"'))
        for number, archive in enumerate(archives)
    ]
    began = time.perf_counter()
    done: list[Callable[[], None]] = [submit(engine, text) for text in texts]
    for wait in done:
        wait()
    return time.perf_counter() - began
