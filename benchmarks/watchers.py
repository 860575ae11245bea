"""How quickly an event reaches many watchers, and what a watcher costs, against a bare Tornado broadcast.

The peer does the least that could be called a live server: it hears the message itself on a Redis channel and calls
``write_message`` for everyone, without a log, without resuming, without access rules. Both run as a process of their
own, in turn, with the same clients. The delay is the time from before the worker's call (``JobContext.info`` of the
product; a publish for the peer) until the client's socket has the message; both sides read the same monotonic clock.

    python -m benchmarks.watchers [watchers]
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import redis
import requests

from benchmarks.engine import redis_for_benchmarks
from benchmarks.pace import rounds
from benchmarks.percentile import percentile
from benchmarks.rows import Row, row
from knossos.jobs import Engine, JobSpec, JobState, keys
from knossos.jobs.context import JobContext
from knossos.settings import Settings

ROOT = Path(__file__).resolve().parents[1]

#: Watchers of the one process.
WATCHERS = 5000
#: Messages that go to all watchers of one job, and seconds between them: the peer needs some 0.4 s for each, and must
#: not be measured by what has piled up.
BROADCASTS, PAUSE_SECONDS = 8, 0.8
#: Rounds, of which the best counts, with one job and with many; the sides are measured in turn.
ROUNDS, ROUNDS_OF_MANY = 2, 1
#: Messages a second to watchers of different jobs, one to each.
RATE = 1000
#: What is allowed of the delay, as a multiple of the peer's.
DELAY_LIMIT = 1.2
PEER = "bare Tornado broadcast"

PEER_CHANNEL = "benchmark:peer"
#: Id of the execution that speaks for the watched jobs.
FENCE = "benchmark"
_STAMP = re.compile(rb"@(\d+\.\d+)@")


def run(folder: Path | None = None, watchers: int = WATCHERS) -> list[Row]:
    """Measure; return one row for each figure. ``folder`` is not needed: everything is made anew and removed."""
    _raise_file_limit()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=folder) as made, redis_for_benchmarks(Path(made)) as url:
        for jobs, what in ((1, f"{watchers:,} watchers of one job"), (watchers, f"{watchers:,} watchers of as many")):
            ours, peer = _best_of_both(url, Path(made), jobs, watchers)
            for name in ("p50", "p99"):
                rows.append(
                    row(f"{what}: delay, {name}", ours[name] * 1000, peer[name] * 1000, PEER, "ms", DELAY_LIMIT)
                )
            rows.append(row(f"{what}: CPU for each message", ours["cpu"] * 1e6, peer["cpu"] * 1e6, PEER, "µs", None))
            if jobs == 1:
                name = f"{what}: memory for each"
                rows.append(row(name, ours["memory"] / 1024, peer["memory"] / 1024, PEER, "KiB", None))
    return rows


def _best_of_both(url: str, folder: Path, jobs: int, watchers: int) -> tuple[dict[str, float], dict[str, float]]:
    """The best of the rounds for ours and for the peer, figure by figure: what else the machine does only ever adds."""
    turns: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for _ in range(rounds(ROUNDS if jobs == 1 else ROUNDS_OF_MANY)):
        for side, found in turns.items():
            found.append(_measure(side, url, folder, jobs, watchers))
    ours, peer = ({name: min(one[name] for one in found) for name in found[0]} for found in turns.values())
    return ours, peer


def _measure(side: str, url: str, folder: Path, jobs: int, watchers: int) -> dict[str, float]:
    port = _free_port()
    with redis.Redis.from_url(url) as client, _server(side, url, folder, port) as pid:
        client.flushall()
        paths = _paths(side, url, folder, jobs)
        before = _memory(pid)
        command = [sys.executable, "-m", "benchmarks.watchers", "--clients", str(port), str(watchers)]
        clients = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert clients.stdin
            assert clients.stdout
            clients.stdin.write(json.dumps(paths) + "\n")
            clients.stdin.flush()
            clients.stdout.readline()  # all are connected
            time.sleep(1)
            memory = (_memory(pid) - before) / watchers
            cpu = _cpu_seconds(pid)
            expected = _send(side, url, folder, jobs, watchers)
            clients.stdin.write(f"{expected}\n")
            clients.stdin.flush()
            delays = json.loads(clients.stdout.readline())
            cpu = _cpu_seconds(pid) - cpu
        finally:
            clients.kill()
            clients.communicate()
    if len(delays) != expected:
        raise RuntimeError(f"{side}: {len(delays)} of {expected} messages arrived")
    return {
        "p50": statistics.median(delays),
        "p99": percentile(delays, 99),
        "memory": max(memory, 1.0),
        "cpu": cpu / expected,
    }


def _paths(side: str, url: str, folder: Path, jobs: int) -> list[str]:
    """Addresses that the watchers connect to, in turn."""
    if side == "peer":
        return [f"/ws/{ticket}" for ticket in range(1, jobs + 1)]
    engine = Engine(Settings(data_path=folder, redis=url))
    spec = JobSpec(function="a.b", kind="conversion", title="a mod", owner="key:benchmark")
    records = [engine.submit(spec) for _ in range(jobs)]
    with engine.redis.pipeline() as pipeline:
        for record in records:
            pipeline.hset(keys.task(record.ticket), mapping={"state": JobState.RUNNING, "fence": FENCE})
        pipeline.execute()
    engine.redis.close()
    return [f"/ws/watcher/{record.ticket}?token={record.token}" for record in records]


@contextmanager
def _speaking(side: str, url: str, folder: Path) -> Iterator[Callable[[int, str], object]]:
    """What a worker calls to tell the watchers of a job something."""
    if side == "ours":
        engine = Engine(Settings(data_path=folder, redis=url))
        contexts: dict[int, JobContext] = {}

        def say(ticket: int, text: str) -> None:
            contexts[ticket].info(text)

        try:
            with ExitStack() as stack:
                for ticket in range(1, int(engine.redis.get(keys.TICKET) or 0) + 1):
                    contexts[ticket] = stack.enter_context(closing(JobContext(engine, ticket, FENCE, 1, 1)))
                yield say
        finally:
            engine.redis.close()
        return
    with redis.Redis.from_url(url) as client:
        yield lambda ticket, text: client.publish(
            PEER_CHANNEL, json.dumps([ticket, ["log_message", [f"INFO: {text}"]]])
        )


def _send(side: str, url: str, folder: Path, jobs: int, watchers: int) -> int:
    """Write the messages and return how many shall arrive."""
    with _speaking(side, url, folder) as say:

        def tell(ticket: int) -> None:
            say(ticket, f"@{time.monotonic():.6f}@ reading data/maps/nebula.dds of the archive")

        if jobs == 1:
            for _ in range(BROADCASTS):
                tell(1)
                time.sleep(PAUSE_SECONDS)
            return BROADCASTS * watchers
        begin = time.monotonic()
        for number in range(jobs):
            tell(number + 1)
            time.sleep(max(0.0, begin + (number + 1) / RATE - time.monotonic()))
        return jobs


# --- the servers ------------------------------------------------------------------------------------


@contextmanager
def _server(side: str, url: str, folder: Path, port: int) -> Iterator[int]:
    environment = dict(os.environ)
    command = [sys.executable, "-m", "benchmarks.watchers", "--peer", url, str(port)]
    if side == "ours":
        settings = folder / "settings.py"
        settings.write_text(f"WS_LISTEN = ('127.0.0.1', {port})\n")
        environment |= {"KNOSSOS_SETTINGS": str(settings), "KNOSSOS_DATA": str(folder / "data"), "REDIS": url}
        command = [sys.executable, "websocket_server.py"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        _until_open(port)
        requests.get(f"http://127.0.0.1:{port}/health", timeout=10)
        yield process.pid
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _peer(url: str, port: int) -> None:
    """Tornado's chat example, fed by Redis."""
    import redis.asyncio
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    watchers: dict[int, set[Any]] = {}

    class Handler(WebSocketHandler):
        def open(self, ticket: str) -> None:
            self.ticket = int(ticket)
            self.set_nodelay(True)
            watchers.setdefault(self.ticket, set()).add(self)

        def on_close(self) -> None:
            watchers[self.ticket].discard(self)

    application = Application([(r"/ws/(\d+)", Handler)], websocket_ping_interval=5, log_function=lambda _: None)
    HTTPServer(application).add_sockets(bind_sockets(port, "127.0.0.1", backlog=4096))
    async with redis.asyncio.Redis.from_url(url).pubsub() as announcements:
        await announcements.subscribe(PEER_CHANNEL)
        async for announcement in announcements.listen():
            if announcement["type"] == "message":
                ticket, message = json.loads(announcement["data"])
                text = json.dumps(message)
                for watcher in watchers.get(ticket, ()):
                    watcher.write_message(text)


# --- the clients ------------------------------------------------------------------------------------


class _Client(asyncio.Protocol):
    """Connects, answers pings, and notes when stamped messages arrive; everything else costs too much here."""

    def __init__(self, path: str, delays: list[float]) -> None:
        self.path = path
        self.delays = delays
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.connected.done():
            self.connected.set_exception(error or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        for stamp in _STAMP.findall(data):
            self.delays.append(now - float(stamp))
        if b"\x89\x00" in data:
            self.transport.write(b"\x8a\x80\x00\x00\x00\x00")
        if not self.connected.done() and b"\r\n\r\n" in data:
            self.connected.set_result(None)


async def _clients(port: int, watchers: int) -> None:
    loop = asyncio.get_running_loop()
    paths = json.loads(sys.stdin.readline())
    delays: list[float] = []
    clients: list[_Client] = []
    for number in range(watchers):
        _, client = await loop.create_connection(
            functools.partial(_Client, paths[number % len(paths)], delays), "127.0.0.1", port
        )
        clients.append(client)
        if number % 100 == 99:
            await asyncio.gather(*(client.connected for client in clients))
    await asyncio.gather(*(client.connected for client in clients))
    print("connected", flush=True)
    expected = int(await loop.run_in_executor(None, sys.stdin.readline))
    until = time.monotonic() + 20
    while len(delays) < expected and time.monotonic() < until:
        await asyncio.sleep(0.05)
    print(json.dumps(delays), flush=True)


# --- small things -----------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_open(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(arguments: list[str]) -> None:
    match arguments:
        case ["--peer", url, port]:
            asyncio.run(_peer(url, int(port)))
        case ["--clients", port, watchers]:
            asyncio.run(_clients(int(port), int(watchers)))
        case _:
            for row in run(watchers=int(arguments[0]) if arguments else WATCHERS):
                print(row)


if __name__ == "__main__":
    main(sys.argv[1:])
