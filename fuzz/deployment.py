"""A whole server for the targets that need one: HTTP server, WebSocket server, worker, Redis and database, on free
ports of this machine, all in one folder that goes with them; and what of it has to hold after each input.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from fuzz.canaries import CANARIES, SECRET, Watch, plant
from fuzz.crashes import Broken, CrashKind
from fuzz.furniture import RUNNERS, SCRIPTS, Furnisher, furnish, logins, who_is_logged_in
from fuzz.interruption import held
from fuzz.wire import Words
from knossos.settings import ROOT
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import RedisServer
from tests.support.script_scenes import write_script
from tests.support.site import Site

#: Bytes of memory that a process of the product may have at most.
MEMORY_BYTES = 700 * 1024 * 1024
#: Seconds in which a worker has to be there.
START_SECONDS = 120
#: Inputs after which it is seen whether all is there that inputs ask for: some log out, or take files away.
RENEWED_AFTER = 100
#: Seconds in which a process that seems to be gone may turn out to be there, and in which a log goes on.
GRACE_SECONDS = 0.2
#: Where the server may write in its folder of data: not to its keys, and to no home but those of the accounts that ask,
#: which are the person (2) and the operator (3).
WRITTEN = (
    "knossos.sqlite3",
    "knossos.sqlite3-journal",
    "knossos.sqlite3-shm",
    "knossos.sqlite3-wal",
    "homes/2",
    "homes/3",
    "homes/.incoming",
    "homes/.removed",
    "calculations",
    "incoming",
    "inspections",
    "links",
    "mirror",
    "mirrored",
    "repository",
    "script-helper",
    "storage",
    "work",
)
#: What a log has where something happened that nobody had foreseen.
_TROUBLE = re.compile(
    r"Traceback \(most recent call last\)|\bDAMN\b|segmentation fault|HARAKIRI ON|Work-horse terminated|"
    r"Uncaught exception|Fatal Python error|MemoryError|\"exc_info\"|never retrieved"
)
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)

Take = Callable[[bytes], None]


class Deployment:
    """Use as a context manager. What breaks it makes a new one. ``new_database`` answers the address of an empty
    database each time; without it, it is SQLite in a file."""

    def __init__(self, new_database: Callable[[], str] | None = None) -> None:
        self._new_database = new_database
        self._stack, self._ends = ExitStack(), ExitStack()
        self.words: Words = {}
        #: What no answer may hold, with what it is.
        self.secrets: Mapping[bytes, str] = CANARIES

    def __enter__(self) -> Self:
        try:
            with held():
                self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._ends:
            self._stack.close()

    def _start(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="knossos-fuzz-"))).resolve()
        self.folder = folder
        for name in ("redis", "bin", "runners", "logs", "data"):
            (folder / name).mkdir()
        plant(folder)
        plant(folder / "bin-beside", "secret.py")
        plant(folder / "data")
        for name, code in SCRIPTS.items():
            write_script(folder / "bin", name, code)
        for name, runner in RUNNERS.items():
            (folder / "runners" / f"{name}.json").write_text(json.dumps(runner))
        redis = RedisServer(folder / "redis")
        self._stack.callback(redis.stop)
        redis.start()
        database = {"database": self._new_database()} if self._new_database else {}
        site = Site(folder, redis.url, **settings_of(folder), **database)
        self.site = self._stack.enter_context(site)
        file = write_settings(folder / "settings.py", site.settings)
        file.write_text(f"{file.read_text()}# {SECRET.decode()}\n")
        self._worker = Process(["worker.py"], folder / "worker.log", {"KNOSSOS_SETTINGS": str(file)})
        self._stack.callback(self._worker.stop)
        wait_for(lambda: "waits for tasks" in self._worker.log, "the worker", START_SECONDS)
        self.words = furnish(site)
        plant(folder / "data" / "homes" / "1", "secret.txt")
        self.secrets = secrets_of(folder)
        free = [folder / name for name in ("redis", "web.log", "websocket.log", "worker.log")]
        free += [folder / "data" / name for name in WRITTEN]
        self._watch = Watch(folder, free)
        self._tree = _named(ROOT)
        self._read = {process: process.log_file.stat().st_size for process in self.processes}

    # --- what targets use -------------------------------------------------------------------------

    @property
    def http(self) -> tuple[str, int]:
        return self.site.settings.api_listen

    @property
    def sockets(self) -> tuple[str, int]:
        return self.site.settings.ws_listen

    @property
    def processes(self) -> list[Process]:
        assert self.site.socket_process is not None
        return [self._web, self.site.socket_process, self._worker]

    @property
    def _web(self) -> Process:
        assert self.site.web_process is not None
        return self.site.web_process

    def renew(self) -> None:
        """Log in again where an input has logged out, and put the files of the person's home back; begin anew where an
        input has taken an account away."""
        try:
            if not who_is_logged_in(self.site, self.words):
                self.words.update(logins(self.site))
            Furnisher(self.site, self.words).home()
        except (requests.RequestException, KeyError, AssertionError):
            self.restart()

    def at_end(self, close: Callable[[], object]) -> None:
        """Call it when all targets are done."""
        self._ends.callback(close)

    def taker(self, take: Take) -> Taker:
        return Taker(self, take)

    # --- what has to hold -------------------------------------------------------------------------

    def check(self) -> None:
        """See that all processes live, within their memory, with nothing in their logs, and that no file is where it
        should not be.

        Raises:
            Broken
        """
        self._look_at_logs()
        for process in self.processes:
            if process.popen.poll() is not None:
                raise Broken(CrashKind.DEAD, f"{process.log[-3000:]}\n{process.log_file.stem} ended")
        self._look_at_memory()
        self._watch.check()
        if (tree := _named(ROOT)) != self._tree:
            changed, self._tree = sorted(tree ^ self._tree), tree
            raise Broken(CrashKind.OUTSIDE, f"in the server's own folder: {changed}")

    def _look_at_logs(self) -> None:
        for process in self.processes:
            read = self._read[process]
            if process.log_file.stat().st_size == read:
                continue
            with open(process.log_file, "rb") as file:
                file.seek(read)
                new = file.read()
            if _TROUBLE.search(new.decode("utf-8", "replace")):
                time.sleep(GRACE_SECONDS)  # the rest of it
                new = process.log_file.read_bytes()[read:]
                self._read[process] = read + len(new)
                raise Broken(_kind_of(new), new.decode("utf-8", "replace")[-4000:])
            self._read[process] = read + len(new.rpartition(b"\n")[0])

    def _look_at_memory(self) -> None:
        for process in self.processes:
            for pid in (process.popen.pid, *_children(process.popen.pid)):
                with contextlib.suppress(OSError):
                    peak = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
                    if peak and int(peak[1]) * 1024 > MEMORY_BYTES:
                        name = process.log_file.stem
                        raise Broken(CrashKind.MEMORY, f"{name} has had {int(peak[1]) // 1024} MiB")

    def rest(self) -> str:
        """What the logs tell of an input that has broken something: it counts once."""
        time.sleep(GRACE_SECONDS)
        try:
            self.check()
        except Broken as broken:
            return broken.detail
        return ""

    def restart(self) -> None:
        """Begin anew: the one that is there has lost a process, or hangs, or has grown."""
        for process in self.processes:  # one that hangs would take a minute to be given up
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()
        self._stack.close()
        self._stack = ExitStack()
        self.__enter__()


class Taker:
    """Gives a target's inputs to a deployment, and looks at it after each."""

    def __init__(self, deployment: Deployment, take: Take) -> None:
        self._deployment, self._take = deployment, take
        self._count = 0

    def take(self, data: bytes) -> None:
        """Run one input.

        Raises:
            Broken: it broke something; a deployment that cannot go on is a new one then.
        """
        if self._count % RENEWED_AFTER == 0:
            self._deployment.renew()
        self._count += 1
        try:
            self._try(data)
            self._deployment.check()
        except Broken as broken:
            said = self._deployment.rest()
            if broken.kind in (CrashKind.DEAD, CrashKind.HANG, CrashKind.MEMORY):
                self._deployment.restart()
            raise Broken(broken.kind, f"{broken.detail}\n{said}".strip()) from broken

    def _try(self, data: bytes) -> None:
        try:
            self._take(data)
        except OSError as error:
            # No connection, or no answer that is one: a process that is gone says more.
            time.sleep(GRACE_SECONDS)
            self._deployment.check()
            raise Broken(CrashKind.ERROR, f"{type(error).__name__}: {error}") from error


def settings_of(folder: Path) -> dict[str, Any]:
    """Everything that can be switched on is, with limits that make an input short."""
    return {
        "upload_path": "drops",
        "calculation_command": ("/bin/cp", "input.xml", "info.xml"),
        "calculation_open": True,
        "command": "/bin/sh",
        "args": ("-s",),
        "server_side_scripting_bin_dirs": (str(folder / "bin"),),
        "script_read_paths": (sys.prefix, sys.base_prefix),  # the interpreter of the scripts
        "runners_dir": folder / "runners",
        "role_permissions": {"anonymous": ("*",)},
        "log_level": "INFO",
        "workers": 1,
        "script_timeout_seconds": 5,
        "script_cpu_seconds": 5,
        "script_kill_grace_seconds": 1,
        "script_output_bytes": 65536,
        "conversion_timeout_seconds": 20,
        "release_timeout_seconds": 20,
        "question_timeout_seconds": 1,
        "read_timeout_seconds": 3,
        "connect_timeout_seconds": 3,
        "download_tries": 1,
        "login_failures_per_account": 1_000_000,
        "login_failures_per_address": 1_000_000,
        "script_owner_runs": 100_000,
        "max_content_length": 8 * 1024 * 1024,
    }


def secrets_of(folder: Path) -> dict[bytes, str]:
    """What no answer may hold, as it stands in the files that paths lead to from outside of their roots."""
    settings = folder / "settings.py"
    return {
        **CANARIES,
        (folder / "data" / "secret_key").read_bytes().strip(): "the key that signs sessions",
        (folder / "data" / "repository_key").read_bytes().strip(): "the key that signs the repository",
        b"SQLite format 3\0": "the database",
        b"KNOSSOS_SETTINGS=" + str(settings).encode(): "the environment of a process",
        Path("/etc/passwd").read_bytes().partition(b"\n")[0]: "/etc/passwd",
    }


def _kind_of(log: bytes) -> CrashKind:
    if b"MemoryError" in log:
        return CrashKind.MEMORY
    dead = (b"DAMN", b"egmentation fault", b"Work-horse terminated", b"Fatal Python error")
    return CrashKind.DEAD if any(word in log for word in dead) else CrashKind.ERROR


def _children(pid: int) -> list[int]:
    """The processes that one has started, and theirs."""
    try:
        found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*found, *(below for one in found for below in _children(one))]


def _named(folder: Path) -> set[str]:
    """The names in the server's own folder; caches and data come and go."""
    return {path.name for path in folder.iterdir() if path.name != "var" and not path.name.startswith(".")}
