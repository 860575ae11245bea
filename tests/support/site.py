"""The web app and the WebSocket server on loopback ports, over a real Redis, for tests that look at pages."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from knossos.accounts import Accounts, Role
from knossos.accounts.first_start import prepare
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import free_port

API_KEY = "key-of-the-tests"
PASSWORD = "correct horse"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """The app logs its requests itself."""


class Site:
    """Use as a context manager. ``sockets`` False leaves the WebSocket server out."""

    def __init__(self, folder: Path, redis_url: str, *, sockets: bool = True, **more: Any) -> None:
        self._folder = folder
        self._with_sockets = sockets
        self.settings = Settings(
            data_path=folder / "data",
            redis=redis_url,
            api_keys=(API_KEY,),
            ws_listen=("127.0.0.1", free_port()),
            admin_password=PASSWORD,
            **{"allowed_private_networks": ("127.0.0.0/8",), **more},
        )
        self.engine = Engine(self.settings)
        self.socket_process: Process | None = None
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.port}"

    def __enter__(self) -> Self:
        third_party.install()
        database = Database(self.settings)
        prepare(self.settings, database)
        Accounts(database).add("dora", PASSWORD)
        Accounts(database).add("olga", PASSWORD, [Role.OPERATOR])
        database.close()
        app = create_app(self.settings, self.engine)
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        if self._with_sockets:
            try:
                self.start_sockets()
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def start_sockets(self) -> None:
        """Start the WebSocket server, and wait until it listens."""
        file = write_settings(self._folder / "settings.py", self.settings)
        log = self._folder / "websocket.log"
        self.socket_process = Process(["websocket_server.py"], log, {"KNOSSOS_SETTINGS": str(file)})
        process = self.socket_process
        wait_for(lambda: " listens on " in process.log or process.popen.poll() is not None, "the WebSocket server")
        assert process.popen.poll() is None, process.log

    def stop_sockets(self) -> None:
        if self.socket_process is not None:
            self.socket_process.stop()
            self.socket_process = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_sockets()
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._thread.join(20)
        self._server.server_close()
        self.engine.redis.close()
