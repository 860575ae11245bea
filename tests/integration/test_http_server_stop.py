"""uWSGI under conf/app.ini: how it stops while its application is loaded, and with a request that runs."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.settings import ROOT
from tests.support.processes import Process, wait_for
from tests.support.redis_server import free_port

#: Loads, and answers, when files say so.
APPLICATION = """
import time
from pathlib import Path
folder = Path(__file__).parent
def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.02)
def make_app():
    (folder / "loading").touch()
    wait_for("load")
    def app(environ, start_response):
        (folder / "asked").touch()
        wait_for("answer")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    return app
"""


class Server:
    """conf/app.ini with another application."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        text = (ROOT / "conf" / "app.ini").read_text().replace("%d..", str(folder)).replace("server:", "application:")
        (folder / "app.ini").write_text(text)
        (folder / "application.py").write_text(APPLICATION)
        options = ["--ini", str(folder / "app.ini"), "--http-socket", f"127.0.0.1:{self.port}"]
        self.process = Process(["-c", f"import pyuwsgi; pyuwsgi.run({options})"], folder / "log", {})

    @property
    def workers(self) -> list[str]:
        pid = self.process.popen.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def wait_for(self, name: str) -> None:
        wait_for(lambda: (self.folder / name).exists() or None, name)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.process.kill()


def test_a_stop_while_the_application_is_loaded_is_quick_and_quiet(server: Server) -> None:
    server.wait_for("loading")
    assert server.process.stop() == 0
    assert "Traceback" not in server.process.log
    assert "unable to load app" not in server.process.log
    assert "NO MERCY" not in server.process.log  # said of those that do not stop by themselves


def test_a_request_that_runs_is_finished(server: Server) -> None:
    (server.folder / "load").touch()
    statuses: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/")
        statuses.append(connection.getresponse().status)
        connection.close()

    server.wait_for("loading")
    asking = threading.Thread(target=ask)
    asking.start()
    server.wait_for("asked")
    assert len(server.workers) == 2
    server.process.popen.terminate()
    wait_for(lambda: len(server.workers) == 1, "the end of the process that is idle")
    (server.folder / "answer").touch()
    asking.join()
    assert statuses == [200]
    assert server.process.popen.wait(60) == 0
