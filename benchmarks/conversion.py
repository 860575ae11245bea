"""Whole conversions, submit to result: a big mod beside ``7zz t``, and tiny ones beside bare RQ's no-op.

The archives come from a web server on loopback and end in the mirror, as in the product; the worker is the product's.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import statistics
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from rq import Queue

from benchmarks.archives import big_archive
from benchmarks.engine import (
    bare_worker,
    compare,
    in_milliseconds,
    our_worker,
    redis_for_benchmarks,
    seconds_until_done,
    submit_bare,
)
from benchmarks.engine import submit_ours as submit_job
from benchmarks.pace import rounds
from benchmarks.rows import Row
from knossos.jobs import Engine, JobSpec
from knossos.packaging.archives import SevenZip
from knossos.packaging.description import parse_request
from knossos.settings import Settings
from tests.support.file_server import FileServer

#: Timed conversions of the big mod, each beside one ``7zz t``.
BIG_ROUNDS = 2
#: Timed conversions of a tiny mod, and of twenty tiny mods at once.
TINY_ROUNDS, TWENTY_ROUNDS = 30, 3


def tiny_mods(server: FileServer, count: int) -> Iterator[str]:
    """Descriptions of mods with one small zip each, no two of them alike."""
    chance = random.Random(1)
    for number in range(count):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("mod.ini", f"[launcher]\nmodname = Tiny {number}\n")
            archive.writestr("data/tables/a.tbl", chance.randbytes(2000))
        yield description(f"tiny-{number}", server.file(f"/tiny-{number}.zip", packed.getvalue()))


def description(mod_id: str, url: str) -> str:
    """A mod of one package of one archive."""
    name = url.rpartition("/")[2]
    package = {"name": "Core", "status": "required", "files": [{"filename": name, "dest": "", "urls": [url]}]}
    return json.dumps({"mods": [{"id": mod_id, "title": mod_id, "version": "1.0.0", "packages": [package]}]})


def submit(engine: Engine, text: str) -> Callable[[], None]:
    """Check a description and submit its conversion, as a request over HTTP does."""
    payload = {"request": parse_request(text).as_payload(), "mirror_url": "http://127.0.0.1:1/mirror"}
    spec = JobSpec(
        function="knossos.packaging.conversion.convert", kind="conversion", title="x", owner="key:b", payload=payload
    )
    return submit_job(engine, spec)


def run(folder: Path) -> list[Row]:
    """Measure, in about two minutes once the archive is made."""
    archive = big_archive(folder)
    data = folder / "conversion-data"
    shutil.rmtree(data, ignore_errors=True)
    with redis_for_benchmarks(folder) as url, FileServer() as server:
        settings = Settings(data_path=data, redis=url, allowed_private_networks=("127.0.0.0/8",))
        engine, queue = Engine(settings), Queue("bare", connection=redis.Redis.from_url(url))
        with our_worker(folder, settings), bare_worker(url, "bare"):
            rows = tiny(engine, queue, server) + big(engine, server, settings, archive)
        engine.redis.close()
    shutil.rmtree(data, ignore_errors=True)
    return rows


def tiny(engine: Engine, queue: Queue, server: FileServer) -> list[Row]:
    """One tiny mod, and twenty at once."""
    texts = tiny_mods(server, TINY_ROUNDS + 20 * TWENTY_ROUNDS + 100)
    seconds_until_done(lambda: submit_bare(queue))
    one = compare(lambda: submit(engine, next(texts)), lambda: submit_bare(queue), 1, TINY_ROUNDS)
    many = compare(lambda: submit(engine, next(texts)), lambda: submit_bare(queue), 20, TWENTY_ROUNDS, warm_up=1)
    return [
        in_milliseconds("a tiny mod, submit to done", *one, "no-op of bare RQ", 3),
        in_milliseconds("20 tiny mods at once, one worker", *many, "20 no-ops of bare RQ", 3),
    ]


def big(engine: Engine, server: FileServer, settings: Settings, archive: Path) -> list[Row]:
    """The big mod: new, with a mirror and caches that know nothing of it, and again."""
    sevenzip = SevenZip.locate(settings)
    first, again, peer = [], [], []
    for number in range(rounds(BIG_ROUNDS)):
        for known in ("mirror", "inspections", "links", "mirrored"):
            shutil.rmtree(settings.data_path / known, ignore_errors=True)
        text = description("big", server.file(f"/{number}/big.7z", archive, etag=f'"{number}"'))
        first.append(seconds_until_done(lambda text=text: submit(engine, text)))
        again.append(seconds_until_done(lambda text=text: submit(engine, text)))
        started = time.perf_counter()
        subprocess.run([str(sevenzip.program), "t", "-bso0", "-p", "--", str(archive)], check=True)
        peer.append(time.perf_counter() - started)
    test = statistics.median(peer)
    return [
        in_milliseconds(
            "a 1 GB mod, submit to done, downloaded and mirrored", statistics.median(first), test, "7zz t", 1.15
        ),
        in_milliseconds("the same mod again, unchanged", statistics.median(again), test, "7zz t", 0.05),
    ]
