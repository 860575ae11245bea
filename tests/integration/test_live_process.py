"""The WebSocket server as a process: how it starts, what it says, how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from tornado.websocket import websocket_connect

from knossos.jobs import Engine
from knossos.settings import ROOT
from tests.support.live import PATIENCE, WatchingClient
from tests.support.redis_server import free_port
from tests.support.scenes import PlayedJob


def start(tmp_path: Path, redis_url: str, port: int, **settings: object) -> subprocess.Popen[str]:
    lines = [f"WS_LISTEN = ('127.0.0.1', {port})", *(f"{name} = {value!r}" for name, value in settings.items())]
    (tmp_path / "settings.py").write_text("\n".join(lines))
    environment = {
        **os.environ,
        "KNOSSOS_SETTINGS": str(tmp_path / "settings.py"),
        "KNOSSOS_DATA": str(tmp_path / "data"),
        "REDIS": redis_url,
    }
    command = [sys.executable, "websocket_server.py"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def until_healthy(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
            assert answer.json() == {"status": "ok", "watchers": 0}
            return
        except (requests.ConnectionError, requests.Timeout):
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_sends_its_watchers_away_and_ends_cleanly(
    tmp_path: Path, redis_url: str, engine: Engine, number: signal.Signals
) -> None:
    port = free_port()
    job = PlayedJob(engine).start()
    job.log("hello")
    process = start(tmp_path, redis_url, port, LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    try:
        until_healthy(port)

        async def work() -> None:
            url = f"ws://127.0.0.1:{port}/ws/watcher/{job.ticket}?token={job.token}"
            client = WatchingClient(await websocket_connect(url))
            await client.until_line("hello")
            process.send_signal(number)
            assert await client.until_closed() == 1001
            client.close()

        asyncio.run(work())
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    entries = [json.loads(line) for line in errors.splitlines()]
    assert {"a watcher connects", "a watcher has left"} <= {entry["message"] for entry in entries}
    assert any(entry.get("ticket") == job.ticket for entry in entries)
    assert job.token not in errors
    assert all(entry["process"] == "ws" for entry in entries)


def test_a_watcher_keeps_its_place_while_the_process_is_replaced(
    tmp_path: Path, redis_url: str, engine: Engine
) -> None:
    port = free_port()
    job = PlayedJob(engine).start()
    for number in range(50):
        job.log(f"line {number}")

    async def watch(after: str, last: str, *, stops: subprocess.Popen[str] | None = None) -> WatchingClient:
        url = f"ws://127.0.0.1:{port}/ws/watcher/{job.ticket}?token={job.token}&after={after}"
        client = WatchingClient(await websocket_connect(url))
        await client.until_line(last)
        if stops is not None:
            stops.send_signal(signal.SIGTERM)
            assert await client.until_closed() == 1001
        client.close()
        return client

    process = start(tmp_path, redis_url, port)
    try:
        until_healthy(port)
        first = asyncio.run(watch("0-0", "line 49", stops=process))
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
    for number in range(50, 100):
        job.log(f"line {number}")
    process = start(tmp_path, redis_url, port)
    try:
        until_healthy(port)
        second = asyncio.run(watch(first.messages[-1][2], "line 99"))
    finally:
        process.kill()
        process.communicate()
    assert first.lines + second.lines == [f"line {number}" for number in range(100)]


def test_a_port_that_is_taken_is_a_setting_that_is_wrong(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(tmp_path, redis_url, taken.getsockname()[1])
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert "WS_LISTEN" in errors


def test_a_redis_that_does_not_answer_is_something_missing(tmp_path: Path) -> None:
    process = start(tmp_path, f"redis://:hidden@127.0.0.1:{free_port()}/0", free_port())
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert len(errors.splitlines()) == 1
    assert "Redis" in errors
    assert "hidden" not in errors


def test_a_setting_that_is_unknown_is_named(tmp_path: Path) -> None:
    process = start(tmp_path, "redis://127.0.0.1:1/0", free_port(), NONSENSE=1)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "NONSENSE" in errors
