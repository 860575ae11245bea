"""``./launch.sh demo``: a real server, a real worker and the command line client package a small mod end to end.

Everything runs on free loopback ports with data of its own in ``<data folder>/demo``, beside whatever else runs.
"""

from __future__ import annotations

import functools
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from knossos.errors import EXIT_CRASH, EXIT_OK, MissingDependency
from knossos.launch import demo_mod
from knossos.launch.processes import end_with_parent
from knossos.launch.readiness import address
from knossos.launch.signals import STOPPING
from knossos.packaging.archives.sevenzip import SevenZip
from knossos.settings import ROOT, Settings
from knossos.settings_file import child_environment

#: Seconds for the demonstration's server to get ready and to stop.
READY_SECONDS, STOP_SECONDS = 120, 60


def demo(settings: Settings) -> int:
    """Package the mod; answer the exit code.

    Raises:
        MissingDependency: there is no 7-Zip, or the server did not start.
    """
    for number in STOPPING:
        signal.signal(number, _end)
    folder = settings.data_path / "demo"
    downloads = folder / "downloads"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    _say("making a small mod")
    archives = demo_mod.write_archives(downloads, SevenZip.locate(settings))
    key = secrets.token_urlsafe()
    listen = ("127.0.0.1", _free_port())
    with _serving(downloads) as source, _server(folder, listen, key):
        description, result = folder / "mod.json", folder / "repo.json"
        description.write_text(json.dumps(demo_mod.describe(archives, source), indent=2) + "\n")
        command = [sys.executable, "-m", "knossos.client", "convert", str(description), str(result)]
        command += ["--server", address(listen).rstrip("/")]
        _say("packaging it, as a site would have it done:")
        client = subprocess.run(command, cwd=ROOT, env=child_environment(KNOSSOS_API_KEY=key), check=False)
    if client.returncode:
        _say(f"the client ended with code {client.returncode}; the server's log is {folder / 'launch.log'}")
        return EXIT_CRASH
    _say(f"its archives are mirrored in {folder / 'mirror'}")
    print(f"Repository JSON: {result}", flush=True)
    return EXIT_OK


@contextmanager
def _server(folder: Path, listen: tuple[str, int], key: str) -> Iterator[None]:
    """A launch.sh of the demonstration's own."""
    _say("starting a server, a WebSocket server, a worker and Redis")
    settings, log = folder / "settings.py", folder / "launch.log"
    lines = [
        f"API_LISTEN = {listen!r}",
        f"WS_LISTEN = {('127.0.0.1', _free_port())!r}",
        f"API_KEYS = ({key!r},)",
        'ALLOWED_PRIVATE_NETWORKS = ("127.0.0.0/8",)',
    ]
    settings.write_text("\n".join(lines) + "\n")
    environment = child_environment(KNOSSOS_SETTINGS=str(settings), KNOSSOS_DATA=str(folder), REDIS="", WORKERS="1")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "knossos.launch"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )
    try:
        _wait_until_ready(process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while "Knossos is ready" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > until:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise MissingDependency(f"the demonstration's server did not start: {''.join(last)}", needed="server")
        time.sleep(0.1)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Downloads are seen in the client's progress."""


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback, as a file hoster would; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield address(("127.0.0.1", server.server_address[1]))
    finally:
        server.shutdown()
        server.server_close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(f"demo       | {text}", flush=True)
