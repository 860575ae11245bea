"""launch.sh: the ready line, the stop that leaves nothing, and one clear line for each thing that is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from knossos.settings import ROOT
from tests.support.processes import wait_for
from tests.support.redis_server import RedisServer, free_port

#: Variables of whoever runs the tests that must not reach what is tested.
OURS = ("KNOSSOS_SETTINGS", "KNOSSOS_DATA", "REDIS", "WORKERS", "LOG_FORMAT", "KNOSSOS_ADMIN_PASSWORD")


class Launch:
    """A running launcher, with what it has written."""

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], cwd: Path = ROOT, before: Any = None
    ) -> None:
        # One of its own: another one that runs in the same folder goes on writing to its log.
        self.log_file = folder / f"launch-{len(list(folder.glob('launch-*.log')))}.log"
        clean = {name: value for name, value in os.environ.items() if name not in OURS}
        with self.log_file.open("wb") as log:
            self.popen = subprocess.Popen(
                command, cwd=cwd, stdout=log, stderr=log, env={**clean, **environment}, preexec_fn=before
            )

    @property
    def lines(self) -> list[str]:
        return self.log_file.read_text(errors="replace").splitlines()

    def wait_until_ready(self, seconds: float = 120) -> str:
        """The ready line."""

        def look() -> str | None:
            if self.popen.poll() is not None:
                raise AssertionError("it ended:\n" + "\n".join(self.lines))
            return next((line for line in self.lines if line.startswith("Knossos is ready: ")), None)

        return wait_for(look, "the ready line", seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(60)


class Place:
    """A data folder and free ports of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = folder / "settings.py"
        self.port, self.ws_port = free_port(), free_port()
        self.write()

    def write(self, *lines: str) -> None:
        listen = [f'API_LISTEN = ("127.0.0.1", {self.port})', f'WS_LISTEN = ("127.0.0.1", {self.ws_port})']
        self.settings.write_text("\n".join([*listen, *lines]) + "\n")

    def environment(self, **more: str) -> dict[str, str]:
        return {"KNOSSOS_SETTINGS": str(self.settings), "KNOSSOS_DATA": str(self.data), **more}

    @property
    def processes(self) -> list[int]:
        """All processes on this machine that were started for this place."""
        found = []
        marker = f"KNOSSOS_DATA={self.data}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                state = (environ.parent / "stat").read_text().rpartition(")")[2].split()[0]
                if marker in environ.read_bytes().split(b"\0") and state != "Z":
                    found.append(int(environ.parent.name))
        return found


@pytest.fixture
def place() -> Iterator[Place]:
    # Not in pytest's own folder, whose long names leave no room for a Unix socket.
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder:
        place = Place(Path(folder))
        yield place
        for pid in place.processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


Start = Callable[..., Launch]


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    started: list[Launch] = []

    def launch(*arguments: str, **environment: str) -> Launch:
        command = [sys.executable, "-m", "knossos.launch", *arguments]
        started.append(Launch(command, place.folder, place.environment(**environment)))
        return started[-1]

    yield launch
    for one in started:
        one.popen.kill()
        one.popen.wait()


def ends_with(launch: Launch, code: int, *words: str) -> None:
    """It ended by itself with that code, and said one line with these words, and no stack trace."""
    assert launch.popen.wait(60) == code, launch.lines
    assert len(launch.lines) == 1, launch.lines
    for word in words:
        assert word in launch.lines[0]


@pytest.mark.slow
def test_everything_starts_answers_and_stops_and_nothing_is_left(place: Place, start: Start) -> None:
    launch = start(WORKERS="2")
    assert launch.wait_until_ready() == f"Knossos is ready: http://127.0.0.1:{place.port}/"
    for address in (f"http://127.0.0.1:{place.port}/converter", f"http://127.0.0.1:{place.ws_port}/health"):
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
    assert len([line for line in launch.lines if "made the account admin with the password" in line]) == 1
    assert len([line for line in launch.lines if "made an API key" in line]) == 1
    assert any(line.startswith("worker-2") for line in launch.lines)
    assert len([line for line in launch.lines if "/api/health" in line]) < 20
    assert launch.stop(signal.SIGINT) == 0
    assert place.processes == []

    again = start(LOG_FORMAT="json")
    again.wait_until_ready()
    assert not [line for line in again.lines if "password" in line or "API key" in line]
    for line in again.lines:
        assert line.startswith("Knossos is ready: ") or json.loads(line)["message"]
    assert again.stop() == 0
    assert place.processes == []


@pytest.mark.slow
def test_a_part_that_dies_is_started_again_and_nothing_outlives_the_launcher(place: Place, start: Start) -> None:
    launch = start()
    launch.wait_until_ready()
    redis = int((place.data / "redis" / "redis.pid").read_text())
    os.kill(redis, signal.SIGKILL)
    wait_for(lambda: any("redis was ended by SIGKILL" in line for line in launch.lines), "word of Redis's death")

    def answers() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{place.port}/api/health") as answer:
            return bool(answer.status == 200)
        return False

    wait_for(answers, "the server, with Redis back")
    launch.popen.kill()
    launch.popen.wait()
    wait_for(lambda: not place.processes, "the children's end")


@pytest.mark.slow
def test_a_second_launch_in_the_same_data_folder_is_refused(place: Place, start: Start) -> None:
    start().wait_until_ready()
    ends_with(start(), 3, "another Knossos", str(place.data))


@pytest.mark.slow
def test_an_operators_redis_is_used_and_none_is_started(place: Place, start: Start, redis_server: RedisServer) -> None:
    launch = start(REDIS=redis_server.url)
    launch.wait_until_ready()
    assert not (place.data / "redis").exists()
    assert launch.stop() == 0
    assert place.processes == []


def test_a_port_that_is_taken_is_named(place: Place, start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", place.ws_port))
        other.listen()
        ends_with(start(), 3, "WS_LISTEN", str(place.ws_port), "taken")
    assert place.processes == []


def test_a_redis_that_does_not_answer_is_named_without_its_password(place: Place, start: Start) -> None:
    port = free_port()
    launch = start(REDIS=f"redis://:hunter2@127.0.0.1:{port}/0")
    ends_with(launch, 3, "Redis", str(port), "does not answer")
    assert "hunter2" not in launch.lines[0]
    assert place.processes == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('API_LISTN = ("127.0.0.1", 1)', ("API_LISTN", "there is no such setting")),
        ("WORKERS = 0", ("WORKERS", "a whole number from 1")),
        ("API_LISTEN = WS_LISTEN", ("WS_LISTEN", "another port")),
        ('WS_LISTEN = ("0.0.0.0", API_LISTEN[1])', ("WS_LISTEN", "another port")),
        ('SEVENZIP = "/nonexistent/7zz"', ("SEVENZIP",)),
        ('SEVENZIP = "/bin/true"', ("SEVENZIP", "expected the path of 7zz")),
        ('DATABASE = "foo"', ("DATABASE", "expected an SQLAlchemy URL")),
        ('REDIS = "redis://127.0.0.1:abc/0"', ("REDIS", "a port from 1 to 65535")),
        ('MIRROR_PATH = "/etc/passwd"', ("MIRROR_PATH", "expected a folder")),
        ('AUTHTOKEN_CONFIG = "LICENSE"', ("AUTHTOKEN_CONFIG", "LICENSE", "this is no YAML")),
        ("import sys; sys.exit(7)", ("SystemExit", "expected a Python file")),
    ],
)
def test_a_wrong_setting_is_named(place: Place, start: Start, line: str, words: tuple[str, ...]) -> None:
    place.write(line)
    ends_with(start(), 3 if "nonexistent" in line else 2, *words)
    assert place.processes == []
    assert not (place.data / "knossos.sqlite3").exists()


def test_setup_prepares_and_starts_nothing(place: Place, start: Start) -> None:
    launch = start("setup", KNOSSOS_ADMIN_PASSWORD="given by the operator")
    assert launch.popen.wait(60) == 0, launch.lines
    assert any("made the account admin with the password that was given" in line for line in launch.lines)
    assert (place.data / "knossos.sqlite3").is_file()
    assert (place.data / "secret_key").stat().st_mode & 0o777 == 0o600
    assert "given by the operator" not in "".join(launch.lines)
    assert any(f"(kept in {place.data / 'api_key'})" in line for line in launch.lines)


def test_a_data_folder_that_cannot_be_written_is_named(place: Place, start: Start) -> None:
    place.data.write_text("in the way")
    ends_with(start(), 2, "DATA_PATH", str(place.data), "cannot be written")


def hold_signals() -> None:
    """What launch.sh does before Python starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))


@pytest.mark.parametrize("what", ["run", "demo"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_before_anything_runs_is_a_clean_one(place: Place, what: str, number: signal.Signals) -> None:
    launch = Launch(
        [sys.executable, "-m", "knossos.launch", what], place.folder, place.environment(), before=hold_signals
    )
    assert launch.stop(number) == 0
    assert launch.lines == []
    assert place.processes == []


def test_a_stop_while_redis_starts_starts_nothing_else(place: Place, start: Start) -> None:
    launch = start()
    wait_for(lambda: any(line.startswith("redis ") for line in launch.lines), "Redis's first line")
    assert launch.stop() == 0
    assert not [line for line in launch.lines if "Traceback" in line or line.startswith("Knossos is ready")]
    assert place.processes == []


def test_a_stop_while_the_password_is_made_waits_until_it_is_shown(place: Place, start: Start) -> None:
    launch = start("setup")
    wait_for(lambda: (place.data / "knossos.sqlite3").exists() or None, "the database")
    assert launch.stop() == 0
    assert any("made the account admin with the password" in line for line in launch.lines)
    assert any("made an API key" in line for line in launch.lines)


def test_a_stop_while_python_is_looked_for_is_a_clean_one(place: Place) -> None:
    path = place.folder / "python3.13"
    path.write_text(f"#!/bin/sh\ntouch {place.folder}/asked\nsleep 1\nexit 1\n")
    path.chmod(0o755)
    environment = place.environment(PATH=f"{place.folder}:{os.environ['PATH']}")
    launch = Launch(["/bin/bash", str(ROOT / "launch.sh")], place.folder, environment)
    wait_for(lambda: (place.folder / "asked").exists() or None, "the first question")
    assert launch.stop() == 0
    assert launch.lines == []
    assert place.processes == []


def test_launch_sh_hands_over_with_signals_held(place: Place) -> None:
    """A Python that starts would die of one; scripts/environment.py takes them when it can."""
    fake_python(place.folder, "python3.13", (3, 13))
    script = (place.folder / "python3.13").read_text().replace("/bin/sh", "/bin/bash")  # sh takes signals by itself
    script += 'case "$1" in scripts/*) grep SigBlk /proc/self/status ;; esac\n'
    (place.folder / "python3.13").write_text(script)
    environment = place.environment(PATH=f"{place.folder}:{os.environ['PATH']}")
    launch = Launch(["/bin/bash", str(ROOT / "launch.sh")], place.folder, environment)
    assert launch.popen.wait(60) == 0
    blocked = int(launch.lines[-1].split()[1], 16)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        assert blocked & 1 << (number - 1)


#: A package whose installation never ends, in a process that pip starts.
ENDLESS = {
    "requirements.txt": "./endless\n",
    "requirements-redis.txt": "",
    "constraints.txt": "",
    "endless/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "endless/backend.py": "import pathlib, time\npathlib.Path(__file__).with_name('started').touch()\ntime.sleep(99)\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stop_during_the_first_installation_leaves_no_process_and_the_next_start_begins_anew(
    place: Place, number: signal.Signals
) -> None:
    clone = place.folder / "my clone"
    (clone / "scripts").mkdir(parents=True)
    (clone / "endless").mkdir()
    for name in ("launch.sh", "scripts/environment.py"):
        shutil.copy2(ROOT / name, clone / name)
    for name, text in ENDLESS.items():
        (clone / name).write_text(text)
    started = clone / "endless" / "started"
    for _ in range(2):
        launch = Launch([str(clone / "launch.sh")], place.folder, place.environment(), cwd=place.folder)
        wait_for(started.exists, "pip's child", 200)
        assert len(place.processes) > 1, launch.lines
        assert launch.stop(number) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        wait_for(lambda: not place.processes, "the end of all that it had started")
        assert any("making py-env" in line for line in launch.lines)
        assert not [line for line in launch.lines if "Traceback" in line]
        started.unlink()


def fake_python(folder: Path, name: str, version: tuple[int, int], modules: bool = True) -> None:
    """A program that answers as launch.sh asks a Python of that version."""
    is_new = version >= (3, 11)
    script = f"""#!/bin/sh
case "$2" in
    *version_info\\[:2\\]*) echo {version[0]}.{version[1]} ;;
    *"version_info <"*) exit {0 if is_new else 1} ;;
    *ensurepip*) exit {0 if modules else 1} ;;
esac
"""
    path = folder / name
    path.write_text(script)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("pythons", "words"),
    [
        ([("python3", (3, 9), True)], ("3.11 or newer", "3.9")),
        ([], ("3.11 or newer", "no python3")),
        ([("python3.12", (3, 12), False), ("python3", (3, 8), True)], ("3.12", "python3.12-venv")),
    ],
)
def test_a_python_that_does_not_do_is_told_in_one_line(
    tmp_path: Path, pythons: list[tuple[str, tuple[int, int], bool]], words: tuple[str, ...]
) -> None:
    for name, version, modules in pythons:
        fake_python(tmp_path, name, version, modules)
    answer = subprocess.run(
        ["/bin/bash", str(ROOT / "launch.sh")], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 3
    (line,) = answer.stderr.splitlines()
    for word in words:
        assert word in line


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_launch_sh_makes_its_environment_in_a_fresh_folder_and_is_quick_afterwards(place: Place) -> None:
    """Also when its first try was interrupted half-way, and where paths have a space in them."""
    clone, place.data = place.folder / "my clone", place.folder / "my data"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    half_made = clone / "py-env" / "bin"
    half_made.mkdir(parents=True)
    (half_made / "python").symlink_to("/nonexistent/python3")
    command = [str(clone / "launch.sh")]
    for _ in range(2):
        launch = Launch(command, place.folder, place.environment(), cwd=place.folder)
        assert launch.wait_until_ready(500) == f"Knossos is ready: http://127.0.0.1:{place.port}/"
        assert launch.stop() == 0
        assert place.processes == []
    assert not [line for line in launch.lines if "installing" in line or "making" in line]
