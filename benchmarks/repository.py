"""How quickly a client hears that nothing is new in a repository with many releases.

The slowest percent of requests for ``repo_minimal.json`` with If-None-Match, from nginx and from the server (uWSGI,
reached as it is without nginx), beside a static file of 4 kB from the same nginx. What an update costs is in
``growth.py``.

    python -m benchmarks.repository [RELEASES]
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import installed
from benchmarks.engine import redis_for_benchmarks
from benchmarks.many_releases import fill
from benchmarks.percentile import percentile
from benchmarks.rows import Row, row
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.publisher import Publisher
from knossos.settings import Settings
from tests.acceptance.test_production import Production
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import free_port

#: Releases in the repository.
SIZE = 20_000
#: Requests of which the slowest percent is told, after some that are not measured.
REQUESTS, WARM_UP = 3_000, 300
#: What a client may wait, as a multiple of a static file.
REQUEST_LIMIT = 5.0


def run(_folder: Path | None = None, size: int = SIZE) -> list[Row]:
    """Measure; one row for each figure."""
    # Its path is short enough for a Unix socket below it.
    with tempfile.TemporaryDirectory(prefix="knossos-") as made, redis_for_benchmarks(Path(made)) as url:
        production = Production(Path(made), url)
        settings = production.settings
        database, engine = Database(settings), Engine(settings)
        database.migrate()
        fill(database, size)
        Publisher(settings, database, engine).repository.bring_up(size)
        engine.redis.close()
        database.close()
        return _requests(production)


# --- requests ---------------------------------------------------------------------------------------


def _requests(production: Production) -> list[Row]:
    """The slowest percent of requests, from nginx and from the server."""
    nginx = installed.nginx()
    (production.settings.mirror_folder / "static").write_bytes(b"x" * 4096)
    try:
        production.start(nginx)
        with _server_alone(production.folder, production.settings) as server:
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
    return {name: percentile(values, 99) for name, values in times.items()}


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
    for line in run(size=int(arguments[0]) if arguments else SIZE):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
