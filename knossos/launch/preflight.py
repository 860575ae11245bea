"""What must be right before anything is started: a free data folder, free ports, 7-Zip, a Redis that answers.

Each check says in one line what is wrong and which setting mends it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from knossos.errors import MissingDependency, SettingsError
from knossos.packaging.archives.sevenzip import SevenZip
from knossos.settings import Settings


@contextmanager
def data_folder_locked(settings: Settings) -> Iterator[None]:
    """Hold the data folder: two launch.sh in one folder would share a Redis and its files.

    Raises:
        MissingDependency: another one holds it.
        SettingsError: the folder cannot be written.
    """
    path = settings.data_path / "launch.lock"
    try:
        settings.data_path.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise SettingsError(
            f"DATA_PATH: {settings.data_path} cannot be written: {error.strerror}", setting="DATA_PATH"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise MissingDependency(
                f"another Knossos (process {file.read().strip() or 'unknown'}) runs in the data folder "
                f"{settings.data_path}; stop it, or set KNOSSOS_DATA to another folder",
                needed="data folder",
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def check(settings: Settings) -> None:
    """Raises MissingDependency or SettingsError, with the setting's name in it."""
    SevenZip.locate(settings)
    if settings.api_listen == settings.ws_listen:
        raise SettingsError("WS_LISTEN: expected another port than API_LISTEN's", setting="WS_LISTEN")
    for name in ("API_LISTEN", "WS_LISTEN"):
        _check_port(name, *getattr(settings, name.lower()))


def _check_port(setting: str, host: str, port: int) -> None:
    if port == 0:
        raise SettingsError(f"{setting}: expected a port from 1 to 65535", setting=setting)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "the port is taken by another program",
            errno.EACCES: "this user may not use that port",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(error.errno or 0, error.strerror or str(error))
        raise MissingDependency(
            f"{setting}: cannot listen on {host}:{port}: {reason}; set {setting} to another one in conf/settings.py",
            needed=setting,
        ) from error
