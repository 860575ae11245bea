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
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from benchmarks.archives import TEN, ten
from benchmarks.conversion import description, submit, tiny_mods
from benchmarks.engine import our_worker, redis_for_benchmarks
from benchmarks.pace import rounds
from benchmarks.rows import Row, row
from knossos.jobs import Engine
from knossos.settings import Settings
from tests.support.file_server import FileServer

#: Timed rounds of the mods that have a limit.
ROUNDS = 3
#: Tiny mods before each measurement, so that whoever has just been started has loaded all that it needs.
WARM_UP = 20
#: The most that two workers may take of one worker's time: 1.8 times the throughput is asked for.
LIMITS = {"PPMd": round(1 / 1.8, 3), "LZMA": None}


def run(folder: Path) -> list[Row]:
    """Measure, in about three quarters of a minute once the archives are made."""
    archives = {method: ten(folder, method) for method in LIMITS}
    data = folder / "two-workers-data"
    shutil.rmtree(data, ignore_errors=True)
    times: dict[tuple[str, int], list[float]] = {(method, workers): [] for method in LIMITS for workers in (1, 2)}
    with redis_for_benchmarks(folder) as url, FileServer() as server:
        settings = Settings(data_path=data, redis=url, allowed_private_networks=("127.0.0.0/8",))
        engine = Engine(settings)
        tiny = tiny_mods(server, WARM_UP * 2 * ROUNDS)

        def measure(workers: int, turn: int) -> None:
            _until_done(engine, list(islice(tiny, WARM_UP)))
            for method, made in archives.items():
                if turn and LIMITS[method] is None:
                    continue
                times[method, workers].append(_ten(engine, server, settings, made, f"{method}-{workers}-{turn}"))

        with closing(engine.redis), our_worker(folder, settings, "worker-1"):
            for turn in range(rounds(ROUNDS)):
                measure(1, turn)
                with our_worker(folder, settings, f"worker-2-{turn}"):
                    measure(2, turn)
    shutil.rmtree(data, ignore_errors=True)
    return [
        row(
            f"ten mods of {TEN[method][1] // 10**6} MB at once ({method}), two workers",
            statistics.median(times[method, 2]),
            statistics.median(times[method, 1]),
            "one worker",
            "s",
            limit,
        )
        for method, limit in LIMITS.items()
    ]


def _ten(engine: Engine, server: FileServer, settings: Settings, archives: list[Path], name: str) -> float:
    """Seconds from the first submission until all are done, with a mirror and caches that know nothing of them."""
    for known in ("mirror", "inspections", "links", "mirrored"):
        shutil.rmtree(settings.data_path / known, ignore_errors=True)
    texts = [
        description(f"ten-{number}", server.file(f"/{name}/{number}.7z", archive, etag=f'"{name}-{number}"'))
        for number, archive in enumerate(archives)
    ]
    return _until_done(engine, texts)


def _until_done(engine: Engine, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    for wait in [submit(engine, text) for text in texts]:
        wait()
    return time.perf_counter() - began
