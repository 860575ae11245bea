"""One more release in repositories of different sizes, and how quickly a client hears that nothing is new.

The update is measured from the call that stores the release to the moment at which ``repo.json`` has it, through Redis
and the product's worker, signatures and all. The peer is the same in the smallest repository: the ratio says how much
of the cost grows with the repository. The other figure is the slowest percent of requests for ``repo_minimal.json``
with If-None-Match, from nginx and from the server (uWSGI, reached as it is without nginx), beside a static file of 4 kB
from the same nginx.

    python -m benchmarks.repository [releases ...]
"""

from __future__ import annotations

import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.engine import redis_for_benchmarks
from benchmarks.many_releases import VERSIONS, document, fill
from benchmarks.rows import Row, row
from knossos.database import Database
from knossos.errors import MissingDependency
from knossos.jobs import Engine
from knossos.publishing.publisher import Publisher
from knossos.settings import ROOT, Settings
from tests.acceptance.test_production import Production
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import free_port
from tests.support.releases import add_user, publish

#: Releases in the repositories that are compared.
SIZES = (100, 2_000, 20_000)
#: Updates that are measured in each, after one that is not.
UPDATES = 7
#: Requests of which the slowest percent is told, after some that are not measured.
REQUESTS, WARM_UP = 3_000, 300
#: Goals: seconds of an update, and what a client waits as a multiple of a static file.
UPDATE_LIMIT_SECONDS, REQUEST_LIMIT = 1.0, 5.0

#: A process that does nothing but one update, and says how much memory it had at its peak.
_ONE_UPDATE = """
from pathlib import Path
from knossos.database import Database
from knossos.publishing.repository.repository import Repository
from knossos.settings_file import load_settings
from knossos.storage import Storage
settings = load_settings()
repository = Repository(settings, Database(settings), Storage(settings))
repository.bring_up(repository.missing_change())
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(peak.split()[1])
"""


def run(_folder: Path | None = None, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Measure; one row for each figure."""
    rows: list[Row] = []
    smallest: tuple[float, float] | None = None
    for size in sizes:
        # Its path is short enough for a Unix socket below it.
        with tempfile.TemporaryDirectory(prefix="knossos-") as made, redis_for_benchmarks(Path(made)) as url:
            settings = Settings(data_path=Path(made) / "data", redis=url)
            database = Database(settings)
            database.migrate()
            fill(database, size)
            add_user(database, "dora")
            seconds = seconds_of_updates(Path(made), settings, database, size)
            memory = _memory_of_update(Path(made), settings, database, size)
            database.close()
            smallest = smallest or (seconds, memory)
            name = f"{size:,} releases: one more, stored to visible"
            rows.append(row(name, seconds * 1000, smallest[0] * 1000, f"{sizes[0]} releases", "ms", None))
            name = f"{size:,} releases: memory of the update"
            rows.append(row(name, memory, smallest[1], f"{sizes[0]} releases", "MB", None))
            if size == sizes[-1]:
                rows.append(
                    row(f"{size:,} releases: one more, beside the goal", seconds, UPDATE_LIMIT_SECONDS, "goal", "s", 1)
                )
                rows += _requests(Path(made), settings)
    return rows


# --- an update --------------------------------------------------------------------------------------


def seconds_of_updates(folder: Path, settings: Settings, database: Database, size: int) -> float:
    """Median seconds of one more release."""
    engine = Engine(settings)
    publisher = Publisher(settings, database, engine)
    begin = time.perf_counter()
    publisher.repository.bring_up(size)
    print(f"{size} releases: the first build took {time.perf_counter() - begin:.1f} s", file=sys.stderr)
    shown = settings.data_path / "storage" / "public" / "repo.json"
    print(f"{size} releases: repo.json has {shown.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    with _worker(folder, settings):
        times = [_seconds_of_one(publisher, shown, size, number) for number in range(UPDATES + 1)]
    engine.redis.close()
    return statistics.median(times[1:])


def _seconds_of_one(publisher: Publisher, shown: Path, size: int, number: int) -> float:
    new = document(size + (number + 1) * VERSIONS)
    before = shown.stat().st_ino
    begin = time.perf_counter()
    publish(publisher, new, 1)
    while shown.stat().st_ino == before:
        time.sleep(0.002)
    return time.perf_counter() - begin


@contextmanager
def _worker(folder: Path, settings: Settings) -> Iterator[None]:
    file = write_settings(folder / "worker-settings.py", settings)
    process = Process(["worker.py"], folder / "worker.log", {"KNOSSOS_SETTINGS": str(file)})
    try:
        wait_for(lambda: "waits for tasks" in process.log, "the worker")
        yield
    finally:
        process.stop()


def _memory_of_update(folder: Path, settings: Settings, database: Database, size: int) -> float:
    """Megabytes that a process has at its peak which does nothing but one more update."""

    class NoEngine:
        """The update is made here."""

    publisher = Publisher(settings, database, NoEngine())  # type: ignore[arg-type]
    publisher.announce = lambda change: None  # type: ignore[method-assign]
    publish(publisher, document(size + (UPDATES + 2) * VERSIONS), 1)
    file = write_settings(folder / "update-settings.py", settings)
    environment = {**os.environ, "KNOSSOS_SETTINGS": str(file)}
    said = subprocess.run(
        [sys.executable, "-c", _ONE_UPDATE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, timeout=600
    ).stdout
    return float(said) / 1024


# --- requests ---------------------------------------------------------------------------------------


def _requests(folder: Path, settings: Settings) -> list[Row]:
    """The slowest percent of requests, from nginx and from the server."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if nginx is None:
        raise MissingDependency("nginx is not installed (scripts/system-packages.sh installs it)", needed="nginx")
    production = Production(folder, settings.redis)  # on the data that are there already
    (production.settings.mirror_folder / "static").write_bytes(b"x" * 4096)
    try:
        production.start(nginx)
        with _server_alone(folder, settings) as server:
            times = _slowest(
                {
                    "static": (f"{production.url}/mirror/static", False),
                    "nginx": (f"{production.url}/storage/repo_minimal.json", True),
                    "server": (f"{server}/storage/repo_minimal.json", True),
                }
            )
    finally:
        production.stop()
    what, peer = "repo_minimal.json, nothing new, p99: from", "static file, nginx"
    return [
        row(f"{what} {side}", times[side] * 1000, times["static"] * 1000, peer, "ms", REQUEST_LIMIT)
        for side in ("nginx", "server")
    ]


@contextmanager
def _server_alone(folder: Path, settings: Settings) -> Iterator[str]:
    """The server on a port of its own, without nginx."""
    port = free_port()
    alone = settings.model_copy(update={"api_listen": ("127.0.0.1", port), "public_url": settings.base_url})
    file = folder / "server-settings.py"
    file.write_text(f"{write_settings(file, settings).read_text()}API_LISTEN = {alone.api_listen!r}\n"
                    f"PUBLIC_URL = {alone.public_url!r}\n")  # fmt: skip
    process = Process(["server.py"], folder / "server-alone.log", {"KNOSSOS_SETTINGS": str(file)})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(url), "the server")
        yield url
    finally:
        process.stop()


def _answers(url: str) -> bool:
    with suppress(OSError):
        return _status(url + "/api/health", {})[0] == 200
    return False


def _slowest(addresses: dict[str, tuple[str, bool]]) -> dict[str, float]:
    """Seconds that 99 of 100 requests take at most, asked in turn, each over a connection of its own."""
    headers: dict[str, dict[str, str]] = {}
    times: dict[str, list[float]] = {name: [] for name in addresses}
    for name, (url, conditional) in addresses.items():
        status, etag = _status(url, {})
        assert status == 200
        headers[name] = {"If-None-Match": etag} if conditional else {}
    for number in range(WARM_UP + REQUESTS):
        for name, (url, conditional) in addresses.items():
            begin = time.perf_counter()
            status, _ = _status(url, headers[name])
            seconds = time.perf_counter() - begin
            assert status == (304 if conditional else 200)
            if number >= WARM_UP:
                times[name].append(seconds)
    return {name: statistics.quantiles(values, n=100)[98] for name, values in times.items()}


def _status(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and validator of the answer, read to its end."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("ETag", "")
    finally:
        connection.close()


def main(arguments: list[str]) -> None:
    for line in run(sizes=tuple(map(int, arguments)) or SIZES):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
