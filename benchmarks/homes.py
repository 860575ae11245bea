"""Homes and people's scripts over HTTP, beside what the same costs without a server.

Ours is the real server (uWSGI with conf/app.ini) on loopback, with a client that costs as little as possible. A
listing is timed from the request to the first byte of the answer's body, beside ``os.scandir`` of the same folder to
its end; an upload from the request to the answer, beside a loop that reads the same file and writes it (neither waits
for the disk); the list of jobs to its last byte, for a person with many beside one with few. It has all of a person's
jobs, as the protocol has it, so what each of them takes is compared as well. All sides take turns; the best of an
upload and the medians of the others count.

    python -m benchmarks.homes [MIB]
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert

from benchmarks.engine import redis_for_benchmarks
from benchmarks.pace import rounds
from benchmarks.rows import Row, row
from knossos.accounts import Account, Accounts
from knossos.accounts.access import owner_of_account
from knossos.database import Database
from knossos.homes import Homes
from knossos.scripting.plan import RunKind, RunOutcome
from knossos.scripting.run_records import new_run_id
from knossos.scripting.tables import ScriptRun
from knossos.settings import ROOT
from tests.support.site import PASSWORD, Site
from tests.support.upload_client import MIB, Source, make_source

#: Files of the home that is listed.
FILES = 10_000
#: Jobs of the people whose lists are compared.
JOBS = {"emil": 10, "nina": 1_000, "dora": 10_000}
#: Turns of a listing, of an upload.
ROUNDS, UPLOADS = 21, 6
#: A listing's first byte in os.scandir's time; an upload's time in the loop's; a job's time among very many in
#: that among many.
LISTING_LIMIT, UPLOAD_LIMIT, JOB_LIMIT = 10, round(1 / 0.6, 2), 1.5
#: Bytes that the loop moves at once.
PIECE_BYTES = 256 * 1024


def run(folder: Path | None = None, mebibytes: int = 2048) -> list[Row]:
    """Measure, in about a minute; everything is made anew in ``folder`` and removed."""
    with tempfile.TemporaryDirectory(dir=folder or ROOT / "var") as made, redis_for_benchmarks(Path(made)) as url:
        more = {"home_quota_bytes": 4 * mebibytes * MIB, "command": "sh", "max_content_length": 4 * mebibytes * MIB}
        with Site(Path(made), url, sockets=False, **more) as site, _database(site) as database:
            # The site has dora; its other account is an operator's, who sees the jobs of all.
            for name in ("emil", "nina"):
                Accounts(database).add(name, PASSWORD)
            people = {name: _account(database, name) for name in JOBS}
            cookies = {name: _log_in(site, name) for name in people}
            home = Homes(site.settings).folder(people["dora"].user_id)
            return [
                _listing(site, cookies["dora"], home),
                _upload(site, cookies["dora"], home, make_source(Path(made, "source"), mebibytes * MIB)),
                *_jobs(site, cookies, people, database),
            ]


def _listing(site: Site, cookie: str, home: Path) -> Row:
    home.mkdir(parents=True, exist_ok=True)
    folder = home / "many"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"result-{number:05}.csv").touch()
    pairs = [(_first_byte(site, "/api/files/many", cookie), _scan(folder)) for _ in range(ROUNDS)]
    ours, peer = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
    return row(f"a folder of {FILES:,} files, first byte", ours, peer, "os.scandir to its end", "ms", LISTING_LIMIT)


def _scan(folder: Path) -> float:
    began = time.perf_counter()
    assert sum(1 for _ in os.scandir(folder)) == FILES
    return time.perf_counter() - began


def _upload(site: Site, cookie: str, home: Path, source: Source) -> Row:
    plain, arrived = home.parent / "plain", home / "upload"
    pairs = [(_put(site, cookie, source, arrived), _copy(source, plain)) for _ in range(rounds(UPLOADS))]
    ours, peer = (min(side) for side in zip(*pairs, strict=True))
    mebibytes = source.size // MIB
    return row(f"an upload of {mebibytes:,} MiB to a home", ours, peer, "plain loop", "s", UPLOAD_LIMIT)


def _put(site: Site, cookie: str, source: Source, arrived: Path) -> float:
    began = time.perf_counter()
    with _connection(site) as connection, source.path.open("rb") as file:
        connection.sendall(_head("PUT", "/api/files/upload", cookie, source.size), socket.MSG_MORE)
        place = 0
        while place < source.size:
            place += os.sendfile(connection.fileno(), file.fileno(), place, source.size - place)
        answer = _rest(connection)
    took = time.perf_counter() - began
    assert json.loads(answer) == {"size": source.size}, answer
    arrived.unlink()
    return took


def _copy(source: Source, target: Path) -> float:
    began = time.perf_counter()
    with source.path.open("rb", buffering=0) as file, target.open("wb", buffering=0) as out:
        while piece := file.read(PIECE_BYTES):
            out.write(piece)
    took = time.perf_counter() - began
    target.unlink()
    return took


def _jobs(site: Site, cookies: dict[str, str], people: dict[str, Account], database: Database) -> list[Row]:
    for name, count in JOBS.items():
        with database.session() as session:
            session.execute(insert(ScriptRun), list(_ended_runs(people[name], count)))

    def listed(name: str) -> float:
        began = time.perf_counter()
        with _connection(site) as connection:
            connection.sendall(_head("GET", "/api/jobs", cookies[name], 0))
            answer = _rest(connection)
        took = time.perf_counter() - began
        assert len(json.loads(answer)) == JOBS[name]
        return took

    turns = [[listed(name) for name in JOBS] for _ in range(ROUNDS)]
    return rows_of_lists(
        {count: statistics.median(times) for count, times in zip(JOBS.values(), zip(*turns, strict=True), strict=True)}
    )


def rows_of_lists(seconds: dict[int, float]) -> list[Row]:
    """What lists of few, many and very many jobs take: the whole, which grows with the answer, and each job of it."""
    few, many, most = sorted(seconds)
    whole = f"GET /api/jobs, which answers all jobs: {most:,} of them"
    each = f"GET /api/jobs, which answers all jobs: for each of {most:,}"
    per_job = {count: seconds[count] / count * 1e6 for count in (many, most)}
    return [
        row(whole, seconds[most] * 1000, seconds[few] * 1000, f"{few} of them", "ms", None),
        row(each, per_job[most], per_job[many], f"for each of {many:,}", "µs", JOB_LIMIT),
    ]


def _ended_runs(account: Account, count: int) -> Iterator[dict[str, object]]:
    now = time.time()
    for number in range(count):
        run_id = new_run_id()
        yield {
            "id": run_id,
            "ticket": account.user_id * 1_000_000 + number,
            "kind": RunKind.HOME,
            "name": "sh",
            "owner": owner_of_account(account.name),
            "arguments": "[]",
            "created_at": now - count + number,
            "started_at": now - count + number,
            "ended_at": now,
            "expires_at": now + 86400,
            "outcome": RunOutcome.EXITED,
            "exit_code": 0,
            "shared_name": run_id,
        }


# --- the client -------------------------------------------------------------------------------------


def _first_byte(site: Site, path: str, cookie: str) -> float:
    """Seconds from the request to the first byte of the answer's body. The rest is read as well."""
    began = time.perf_counter()
    with _connection(site) as connection:
        connection.sendall(_head("GET", path, cookie, 0))
        answer = b""
        while not answer.partition(b"\r\n\r\n")[2]:
            answer += connection.recv(65536)
        took = time.perf_counter() - began
        while connection.recv(65536):
            pass
    assert b" 200 " in answer.split(b"\r\n")[0], answer[:500]
    return took


def _log_in(site: Site, name: str) -> str:
    body = json.dumps({"username": name, "password": PASSWORD}).encode()
    with _connection(site) as connection:
        connection.sendall(_head("POST", "/api/login", "", len(body)) + body)
        head, _, _ = _all(connection).partition(b"\r\n\r\n")
    [line] = [line for line in head.decode().split("\r\n") if line.lower().startswith("set-cookie:")]
    return line.partition(":")[2].partition(";")[0].strip()


def _head(method: str, path: str, cookie: str, length: int) -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _connection(site: Site) -> socket.socket:
    # Without a time limit: with one, Python makes the socket one that never waits.
    return socket.create_connection(site.settings.api_listen)


def _rest(connection: socket.socket) -> bytes:
    """The body of the answer; the server closes the connection after it."""
    head, _, body = _all(connection).partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    return body


def _all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1024 * 1024):
        pieces.append(piece)
    return b"".join(pieces)


# --- small things -----------------------------------------------------------------------------------


@contextmanager
def _database(site: Site) -> Iterator[Database]:
    database = Database(site.settings)
    try:
        yield database
    finally:
        database.close()


def _account(database: Database, name: str) -> Account:
    found = Accounts(database).find(name)
    assert found is not None
    return found


def main() -> None:
    for line in run(None, int(sys.argv[1]) if len(sys.argv) > 1 else 2048):
        print(line)


if __name__ == "__main__":
    main()
