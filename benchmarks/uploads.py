"""How fast big files come in, beside a plain loop that hashes and writes the same bytes, and beside Flask's own way.

Ours is the real server (uWSGI with conf/app.ini) on loopback, with a client that costs as little as possible: it sends
the file from the disk's cache by ``sendfile``. What is measured is seconds from the first byte to the stored file:
through ``multiupload`` with three parts at once and with one, and as a drop. Each request goes over a connection of its
own, as uWSGI's plain HTTP has it. All of them wait for the disk at the end, and so does the plain loop; the first row
is also held against the loop without that wait. Flask's ``request.files`` runs in the same uWSGI and gets the same
request as the drop, by the same client. All sides are measured in turn. Memory is the most that any process of the
server ever had.

    python -m benchmarks.uploads [MIB]
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from sqlalchemy import delete

from benchmarks.pace import rounds
from benchmarks.rows import Row, row
from knossos.accounts import Accounts
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.publishing.tables import Blob
from knossos.storage import Storage, blob_key
from tests.support.big_bodies import drop_path
from tests.support.processes import Process, wait_for
from tests.support.redis_server import RedisServer, free_port
from tests.support.site import API_KEY, Site
from tests.support.upload_client import MIB, Source, UploadClient, family, make_source, memory_mib

ROOT = Path(__file__).resolve().parents[1]
#: Size of the file in MiB, and rounds, of which the best counts.
SIZE_MIB, ROUNDS = 1024, 3
#: The speed must be at least 0.6 of the loop's.
LIMIT = round(1 / 0.6, 2)
#: What any process of the server may take.
MEMORY_MIB = 150
PIECE_BYTES = 256 * 1024


def run(folder: Path | None = None, mebibytes: int = SIZE_MIB) -> list[Row]:
    """Measure; return one row for each figure. Everything is made anew in ``folder``, and removed."""
    with tempfile.TemporaryDirectory(dir=folder or ROOT / "var") as made, _flask(Path(made)) as flask:
        source = make_source(Path(made, "source"), mebibytes * MIB)
        os.sync()
        with _server(Path(made)) as server:
            took = _best(
                {
                    "loop": lambda: _plain(source, Path(made, "plain"), settle=True),
                    "loose loop": lambda: _plain(source, Path(made, "plain"), settle=False),
                    "three at once": lambda: server.multiupload(source, 3),
                    "one at once": lambda: server.multiupload(source, 1),
                    "drop": lambda: server.drop(source),
                    "Flask": lambda: _flask_upload(flask, source),
                }
            )
            memory = server.memory_mib()
    size, loop, loose = f"{mebibytes:,} MiB", "plain loop", "plain loop that does not wait for the disk"
    flask_way = "Flask's request.files"
    multiupload = f"multiupload, {size}, 3 at once"
    return [
        row(multiupload, took["three at once"], took["loop"], loop, "s", LIMIT),
        row(multiupload, took["three at once"], took["loose loop"], loose, "s", LIMIT),
        row(multiupload, took["three at once"], took["Flask"], flask_way, "s", 1.0),
        row(f"multiupload, {size}, 1 at once", took["one at once"], took["loop"], loop, "s", LIMIT),
        row(f"drop, {size}", took["drop"], took["loop"], loop, "s", LIMIT),
        row(f"drop, {size}", took["drop"], took["Flask"], flask_way, "s", 1.0),
        _memory_row(memory),
    ]


def _memory_row(most: float) -> Row:
    return row("most memory of a server process after all that", most, MEMORY_MIB, "what is allowed", "MiB", 1.0)


def _best(sides: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The best of the rounds for each side, in turn: what else the machine does only ever adds."""
    turns = [{name: measure() for name, measure in sides.items()} for _ in range(rounds(ROUNDS))]
    return {name: min(one[name] for one in turns) for name in sides}


def _plain(source: Source, target: Path, *, settle: bool) -> float:
    """Seconds to read the file, hash it and write it."""
    start = time.perf_counter()
    digest = hashlib.sha256()
    with source.path.open("rb", buffering=0) as file, target.open("wb", buffering=0) as out:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            out.write(piece)
        if settle:
            os.fsync(out.fileno())
    took = time.perf_counter() - start
    assert digest.hexdigest() == source.sha256
    target.unlink()
    return took


@contextmanager
def _flask(folder: Path) -> Iterator[int]:
    """The port of Flask's own way."""
    (folder / "flask").mkdir()
    port = free_port()
    command = ["-m", "benchmarks.flask_upload", str(port), str(folder / "flask")]
    process = Process(command, folder / "flask.log", {"TMPDIR": str(folder)})
    try:
        wait_for(lambda: _is_ready(port), "Flask's server")
        yield port
    finally:
        process.stop()


def _is_ready(port: int) -> bool:
    with suppress(OSError):
        return requests.get(f"http://127.0.0.1:{port}/", timeout=5).text == "ready"
    return False


def _flask_upload(port: int, source: Source) -> float:
    """Seconds to send the whole file, until it is stored and hashed."""
    began = time.perf_counter()
    answer = UploadClient(("127.0.0.1", port)).send_file("/upload", source, "mod.7z")
    took = time.perf_counter() - began
    assert answer.decode() == source.sha256, answer
    return took


class _Server:
    def __init__(self, site: Site, token: str) -> None:
        self._site = site
        self._client = UploadClient(site.settings.api_listen, token)

    def multiupload(self, source: Source, at_once: int) -> float:
        """Seconds from `start` to the answer of `finish`."""
        began = time.perf_counter()
        self._client.upload(source, at_once)
        took = time.perf_counter() - began
        self._forget(source)
        return took

    def drop(self, source: Source) -> float:
        """Seconds to drop the whole file."""
        began = time.perf_counter()
        answer = json.loads(self._client.send_file(drop_path(API_KEY), source, "mod.7z"))
        took = time.perf_counter() - began
        assert answer["error"] is False, answer
        (self._site.settings.mirror_folder / "uploads" / source.sha256).unlink()
        return took

    def memory_mib(self) -> float:
        """The most that one of the server's processes has ever taken."""
        assert self._site.web_process is not None
        return max(memory_mib(pid, "VmHWM") for pid in family(self._site.web_process.popen.pid))

    def _forget(self, source: Source) -> None:
        """Let the same file be uploaded again."""
        database = Database(self._site.settings)
        with database.session() as session:
            session.execute(delete(Blob).where(Blob.sha256 == source.sha256))
        database.close()
        path = Storage(self._site.settings).local_path(blob_key(source.sha256))
        assert path is not None
        path.unlink()


@contextmanager
def _server(folder: Path) -> Iterator[_Server]:
    (folder / "redis").mkdir()
    redis = RedisServer(folder / "redis")
    redis.start()
    try:
        with Site(folder, redis.url, sockets=False, processes=2, max_content_length=64 * 1024 * MIB) as site:
            database = Database(site.settings)
            account = Accounts(database).find("dora")
            assert account is not None
            token = Tokens(site.settings, database).issue_login(account.user_id)
            database.close()
            yield _Server(site, token)
    finally:
        redis.stop()


def main() -> None:
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE_MIB
    for line in run(None, mebibytes):
        print(f"{line['name']}: {line['ours']} {line['unit']}, {line['peer']} ({line['peer_name']}): {line['ratio']}")


if __name__ == "__main__":
    main()
