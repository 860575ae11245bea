"""The command line against real servers: the HTTP app, the WebSocket server; only the worker is played."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests

from knossos.jobs import Engine, FilePhase, FileProgress, JobFailure, JobRecord, JobState, keys
from knossos.settings import ROOT, Settings
from knossos.web import create_app
from tests.support.processes import Process, write_settings
from tests.support.redis_server import RedisServer, free_port
from tests.support.scenes import PlayedJob

KEY = "key-of-the-tests"
MOD = {"id": "tiny", "title": "Tiny", "version": "3.7", "packages": []}
RESULT = {"generated": 1, "mods": [MOD]}
PATIENCE = 45.0


class TakenJob(PlayedJob):
    """A job that somebody else has submitted."""

    def __init__(self, engine: Engine, record: JobRecord) -> None:
        self.engine = engine
        self.ticket, self.token = record.ticket, record.token
        self._fence, self._seq = f"fence-{self.ticket}", 0


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Websocket:
    """The WebSocket server as a process, for all tests of this file: it takes a second to load."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.listen = ("127.0.0.1", free_port())
        self.settings = Settings(
            data_path=folder / "data", redis=redis_url, ws_listen=self.listen, api_keys=(KEY,), log_level="DEBUG"
        )
        self.process: Process | None = None

    @property
    def health(self) -> str:
        return f"http://127.0.0.1:{self.listen[1]}/health"

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers."""
        if self.process is None:
            file = write_settings(self.folder / "settings.py", self.settings)
            self.process = Process(["websocket_server.py"], self.folder / "ws.log", {"KNOSSOS_SETTINGS": str(file)})
            wait_for(lambda: answers(self.health))

    def stop(self) -> None:
        if self.process is not None:
            assert self.process.stop() == 0
            assert "Traceback" not in self.process.log
            self.process = None

    def watchers(self) -> int:
        return int(requests.get(self.health, timeout=PATIENCE).json()["watchers"])


@pytest.fixture(scope="module")
def websocket(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Websocket]:
    made = Websocket(tmp_path_factory.mktemp("websocket"), redis_server.url)
    yield made
    made.stop()


class Servers:
    """The HTTP server in a thread, and the WebSocket server as a process."""

    def __init__(self, settings: Settings, engine: Engine, folder: Path, websocket: Websocket) -> None:
        self.settings = settings.model_copy(update={"ws_listen": websocket.listen})
        self.folder = folder
        self.engine = engine
        self.websocket = websocket
        app = create_app(self.settings, engine)
        self._http = make_server("127.0.0.1", 0, app, handler_class=QuietHandler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop_http(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=5).ok
    return False


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def servers(
    settings: Settings, engine: Engine, tmp_path: Path, websocket: Websocket, sqlite_template: Path
) -> Iterator[Servers]:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path)
    websocket.start()
    wait_for(lambda: websocket.watchers() == 0)  # those of the last test have left
    made = Servers(settings, engine, tmp_path, websocket)
    yield made
    made.stop_http()


class Client:
    """A run of the command line."""

    def __init__(self, *arguments: str, stdin: str | None = None, **options: Any) -> None:
        environment = {**os.environ, "KNOSSOS_API_KEY": KEY, **options.pop("environment", {})}
        options.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "knossos.client", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE if stdin is not None else options.pop("stdin_file", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self._stdin = stdin

    def end(self) -> tuple[int, str, str]:
        try:
            output, errors = self.process.communicate(self._stdin, timeout=PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, output, errors or ""


def run(*arguments: str, **options: Any) -> tuple[int, str, str]:
    return Client(*arguments, **options).end()


def submitted(engine: Engine) -> TakenJob:
    """The job that the client has submitted, begun."""
    (record,) = wait_for(engine.list_jobs)
    job = TakenJob(engine, record)
    job.start()
    return job


@pytest.fixture
def mod(tmp_path: Path) -> str:
    path = tmp_path / "mod.json"
    path.write_text(json.dumps(MOD))
    return str(path)


def test_a_mod_is_packaged_and_the_result_written_whole(servers: Servers, engine: Engine, mod: str) -> None:
    target = servers.folder / "out.json"
    client = Client("convert", mod, str(target), "--server", servers.url)
    job = submitted(engine)
    job.log("reading a.7z")
    job.progress(0.5, "half of it")
    job.files([FileProgress("a.7z", FilePhase.DOWNLOADING, 1, 2)])
    job.log("\x1b[31mred\x07")
    job.succeed(RESULT)
    code, output, errors = client.end()
    assert code == 0, errors
    assert output == ""
    assert json.loads(target.read_text()) == RESULT
    assert [path.name for path in servers.folder.glob("*out.json*")] == ["out.json"]
    lines = errors.splitlines()
    assert lines.count("INFO: reading a.7z") == 1
    assert "[ 50%] half of it" in lines
    assert "a.7z: downloading" in lines
    assert "\x1b" not in errors
    assert "\x07" not in errors


def test_the_result_goes_to_stdout_and_the_description_comes_from_stdin(servers: Servers, engine: Engine) -> None:
    client = Client("convert", "-", "-", "--server", servers.url, "--key", KEY, stdin=json.dumps(MOD))
    assert client.process.stdin is not None
    client.process.stdin.write(json.dumps(MOD))
    client.process.stdin.close()
    client.process.stdin, client._stdin = None, None
    submitted(engine).succeed(RESULT)
    code, output, errors = client.end()
    assert code == 0, errors
    assert json.loads(output) == RESULT


def test_a_task_that_fails_says_why_and_leaves_what_was_there(servers: Servers, engine: Engine, mod: str) -> None:
    target = servers.folder / "out.json"
    target.write_text("before")
    client = Client("convert", mod, str(target), "--server", servers.url)
    submitted(engine).fail(JobFailure(code="encrypted", message="a.7z is encrypted"))
    code, _, errors = client.end()
    assert code == 1
    assert errors.splitlines()[-1].endswith("failed: a.7z is encrypted")
    assert target.read_text() == "before"


def test_standard_output_that_is_full_is_one_line(servers: Servers, engine: Engine, mod: str) -> None:
    command = [sys.executable, "-m", "knossos.client", "convert", mod, "-", "--server", servers.url, "--key", KEY]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    submitted(engine).succeed(RESULT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "standard output cannot be written: No space left on device"
    assert "Traceback" not in errors


def test_events_that_cannot_be_written_end_it_with_one_line(servers: Servers, engine: Engine, mod: str) -> None:
    command = [sys.executable, "-m", "knossos.client", "convert", mod, str(servers.folder / "out.json"), "--json"]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [*command, "--server", servers.url, "--key", KEY], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert errors == "what happens cannot be written down: No space left on device\n"


def test_events_and_the_result_are_not_mixed_on_standard_output(mod: str) -> None:
    code, output, errors = run("convert", mod, "-", "--json", "--server", "http://127.0.0.1:1")
    assert (code, errors) == (2, "")
    assert json.loads(output)["message"].startswith("--json: the events go to standard output; name a file")


def test_a_hang_up_leaves_the_task_alone(servers: Servers, engine: Engine, mod: str) -> None:
    client = Client("convert", mod, str(servers.folder / "out.json"), "--server", servers.url)
    job = submitted(engine)
    wait_for(servers.websocket.watchers)
    client.process.send_signal(signal.SIGHUP)
    code, _, errors = client.end()
    assert code == 130
    assert f"Task {job.ticket} goes on without us" in errors


def test_events_are_json_for_programs(servers: Servers, engine: Engine, mod: str) -> None:
    client = Client("convert", mod, str(servers.folder / "out.json"), "--server", servers.url, "--json")
    job = submitted(engine)
    job.log("hello")
    job.fail(JobFailure(code="broken", message="a.7z is broken", details={"archive": "a.7z"}))
    code, output, _ = client.end()
    assert code == 1
    entries = [json.loads(line) for line in output.splitlines()]
    assert {"event": "log_message", "arguments": ["INFO: hello"]} in entries
    assert entries[-1]["event"] == "error"
    assert entries[-1]["failure"]["details"] == {"archive": "a.7z"}


def test_errors_of_the_description_are_printed_at_their_paths(servers: Servers, engine: Engine, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**MOD, "version": "seven"}))
    code, _, errors = run("convert", str(bad), str(tmp_path / "out.json"), "--server", servers.url)
    assert code == 2
    assert "version: " in errors
    assert engine.list_jobs() == []


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused_before_anything_is_sent(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(content)
    code, _, errors = run("convert", str(bad), str(tmp_path / "o.json"), "--server", "http://127.0.0.1:1")
    assert code == 2
    assert errors.startswith(str(bad))
    assert len(errors.splitlines()) == 1


def test_a_call_that_is_wrong_is_told_so(tmp_path: Path, mod: str) -> None:
    for arguments in (
        [],
        ["convert", mod],
        ["convert", str(tmp_path / "none.json"), str(tmp_path / "o.json")],
        ["convert", mod, str(tmp_path)],
        ["convert", mod, str(tmp_path / "no" / "folder" / "o.json")],
        ["convert", mod, str(tmp_path / "o.json"), "--server", "ftp://example.org"],
        ["watch", "nonsense"],
        ["convert", mod, str(tmp_path / "o.json"), "--key", os.fsdecode(b"\xff")],
    ):
        assert run(*arguments)[0] == 2, arguments


def test_a_server_that_cannot_be_reached_has_its_own_exit_code(tmp_path: Path, mod: str) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    code, _, errors = run("convert", mod, str(tmp_path / "o.json"), "--server", server)
    assert code == 3
    assert server in errors
    assert len(errors.splitlines()) == 1


def test_a_wrong_key_or_token_has_its_own_exit_code(servers: Servers, engine: Engine, mod: str) -> None:
    target = str(servers.folder / "out.json")
    assert run("convert", mod, target, "--server", servers.url, "--key", "wrong-key")[0] == 4
    code, _, errors = run("convert", mod, target, "--server", servers.url, environment={"KNOSSOS_API_KEY": ""})
    assert (code, "KNOSSOS_API_KEY" in errors) == (4, True), errors
    job = PlayedJob(engine)
    for command in ("watch", "cancel"):
        assert run(command, str(job.ticket), "--token", "wrong", "--server", servers.url)[0] == 4
        assert run(command, "999", "--token", job.token, "--server", servers.url)[0] == 4


def test_after_a_restart_of_the_websocket_server_no_line_is_missing_or_double(
    servers: Servers, engine: Engine, mod: str
) -> None:
    client = Client("convert", mod, str(servers.folder / "out.json"), "--server", servers.url)
    job = submitted(engine)
    wait_for(lambda: servers.websocket.watchers() == 1)
    for number in range(5):
        job.log(f"line {number}")
    servers.websocket.stop()
    for number in range(5, 10):
        job.log(f"line {number}")
    servers.websocket.start()
    wait_for(lambda: servers.websocket.watchers() == 1)
    for number in range(10, 15):
        job.log(f"line {number}")
    job.succeed(RESULT)
    code, _, errors = client.end()
    assert code == 0
    assert [line for line in errors.splitlines() if ": line" in line] == [
        f"INFO: line {number}" for number in range(15)
    ]


def test_without_a_websocket_server_the_result_comes_by_asking(servers: Servers, engine: Engine, mod: str) -> None:
    servers.websocket.stop()
    target = servers.folder / "out.json"
    client = Client("convert", mod, str(target), "--server", servers.url)
    submitted(engine).succeed(RESULT)
    code, _, errors = client.end()
    assert code == 0, errors
    assert json.loads(target.read_text()) == RESULT


def test_ctrl_c_leaves_the_task_alone_and_tells_how_to_watch_it_again(
    servers: Servers, engine: Engine, mod: str
) -> None:
    target = servers.folder / "out.json"
    client = Client("convert", mod, str(target), "--server", servers.url)
    job = submitted(engine)
    wait_for(lambda: servers.websocket.watchers() == 1)
    client.process.send_signal(signal.SIGINT)
    code, _, errors = client.end()
    assert code == 130
    assert "Traceback" not in errors
    assert engine.find(job.ticket).state is JobState.RUNNING
    (command,) = [line for line in errors.splitlines() if "-m knossos.client watch" in line]
    again = Client(*command.split()[3:])
    job.succeed(RESULT)
    code, _, errors = again.end()
    assert code == 0, errors
    assert json.loads(target.read_text()) == RESULT


def test_cancel_ends_the_task(servers: Servers, engine: Engine) -> None:
    job = PlayedJob(engine)
    code, _, errors = run("cancel", str(job.ticket), "--token", job.token, "--server", servers.url)
    assert code == 0, errors
    assert engine.find(job.ticket).state is JobState.CANCELLED
    code, _, errors = run("watch", str(job.ticket), "--token", job.token, "--server", servers.url)
    assert code == 1
    assert "was cancelled" in errors


class Terminal:
    """A terminal of which we see what is written to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.text = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.text += os.read(self.ours, 4096).decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def close(self) -> None:
        os.close(self.theirs)
        os.close(self.ours)


def test_on_a_terminal_there_are_bars_and_a_captcha_can_be_answered(servers: Servers, engine: Engine, mod: str) -> None:
    terminal = Terminal()
    client = Client(
        *("convert", mod, str(servers.folder / "out.json"), "--server", servers.url),
        stdin_file=terminal.theirs,
        stderr=terminal.theirs,
        environment={"COLUMNS": "100", "LINES": "24"},
    )
    job = submitted(engine)
    job.progress(0.25, "a quarter")
    job.files([FileProgress("a.7z", FilePhase.DOWNLOADING, 3 * 2**20, 6 * 2**20, 2**20, 3)])
    wait_for(lambda: " 50%  a.7z: downloading 3.0 MiB of 6.0 MiB 1.0 MiB/s 3 s left" in terminal.text)
    wait_for(lambda: "▕██████                  ▏  25%  a quarter" in terminal.text)
    job.ask("q1", "http://hoster/captcha.png")
    wait_for(lambda: "Code: " in terminal.text)
    terminal.type("fjord\n")
    wait_for(lambda: engine.redis.lrange(keys.answer(job.ticket, "q1"), 0, -1) == [b"fjord"])
    job.take_back("q1")
    job.ask("q2", "http://hoster/captcha2.png")
    wait_for(lambda: terminal.text.count("Code: ") == 2)
    # Somebody else answers it: the bars come back.
    job.take_back("q2")
    job.progress(0.5, "one half")
    wait_for(lambda: " 50%  one half" in terminal.text)
    job.succeed(RESULT)
    code, _, _ = client.end()
    assert code == 0, terminal.text
    terminal.close()
