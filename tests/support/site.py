"""The HTTP and the WebSocket server as they are run, on loopback ports over a real Redis, for tests of the pages."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from knossos.accounts import Accounts, Role
from knossos.accounts.first_start import prepare
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import third_party
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import empty, free_port

API_KEY = "key-of-the-tests"
PASSWORD = "correct horse"


class Site:
    """Use as a context manager. ``sockets`` False leaves the WebSocket server out; ``processes`` are those of
    the HTTP server, each of which takes a second to load."""

    def __init__(
        self, folder: Path, redis_url: str, *, sockets: bool = True, processes: int = 1, **more: Any
    ) -> None:  # fmt: skip
        self._folder = folder
        self._processes = processes
        self._with_sockets = sockets
        self.settings = Settings(
            data_path=folder / "data",
            redis=redis_url,
            api_keys=(API_KEY,),
            api_listen=("127.0.0.1", free_port()),
            ws_listen=("127.0.0.1", free_port()),
            admin_password=PASSWORD,
            **{"allowed_private_networks": ("127.0.0.0/8",), **more},
        )
        self.engine = Engine(self.settings)
        self.web_process: Process | None = None
        self.socket_process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.api_listen[1]}"

    def __enter__(self) -> Self:
        third_party.install()
        empty(self.settings.redis)
        database = Database(self.settings)
        prepare(self.settings, database)
        Accounts(database).add("dora", PASSWORD)
        Accounts(database).add("olga", PASSWORD, [Role.OPERATOR])
        database.close()
        try:
            self.web_process = self._start_web()
            if self._with_sockets:
                self.start_sockets()
            wait_for(self._answers, "the HTTP server")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start_web(self) -> None:
        """Start the HTTP server, and wait until it answers."""
        self.web_process = self._start_web()
        wait_for(self._answers, "the HTTP server")

    def _start_web(self) -> Process:
        host, port = self.settings.api_listen
        http = ("--http-socket", f"{host}:{port}", "--add-header", "Connection: close")
        return self._start("server.py", "web.log", *http, "--processes", str(self._processes))

    def kill_web(self) -> None:
        """SIGKILL to all processes of the HTTP server at once, as when the machine loses its power."""
        assert self.web_process is not None
        master = self.web_process.popen.pid
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in (master, *map(int, workers)):
            os.kill(pid, signal.SIGKILL)
        self.web_process.popen.wait(20)

    def start_sockets(self) -> None:
        """Start the WebSocket server, and wait until it listens."""
        process = self.socket_process = self._start("websocket_server.py", "websocket.log")
        wait_for(lambda: " listens on " in process.log or process.popen.poll() is not None, "the WebSocket server")
        assert process.popen.poll() is None, process.log

    def stop_sockets(self) -> None:
        if self.socket_process is not None:
            self.socket_process.stop()
            self.socket_process.log_file.unlink()
            self.socket_process = None

    def _start(self, program: str, log: str, *arguments: str) -> Process:
        file = write_settings(self._folder / "settings.py", self.settings)
        return Process([program, *arguments], self._folder / log, {"KNOSSOS_SETTINGS": str(file)})

    def _answers(self) -> bool:
        assert self.web_process is not None
        assert self.web_process.popen.poll() is None, self.web_process.log
        try:
            with urllib.request.urlopen(f"{self.url}/api/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False  # not there yet, or there and still loading: it takes connections before it answers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_sockets()
        if self.web_process is not None:
            self.web_process.stop()
        self.engine.redis.close()
