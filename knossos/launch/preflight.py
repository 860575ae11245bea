"""What must be right before anything is started: folders, a database driver, free ports, 7-Zip, a Redis that answers.

Each check says in one line what is wrong and which setting mends it.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy

from knossos.errors import MissingDependency, SettingsError
from knossos.launch.processes import end_with_parent
from knossos.packaging.archives.sevenzip import SevenZip
from knossos.scripting.authtokens import AuthTokens
from knossos.settings import Settings
from knossos.storage import Storage

#: Seconds in which 7-Zip must have said who it is.
SEVENZIP_SECONDS = 30.0

#: Packages whose modules are called otherwise, or that need a compiler unless one asks for the built one.
PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}


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
    check_folders(settings)
    check_database(settings)
    Storage(settings).check()
    AuthTokens(settings).check()
    check_sevenzip(settings)
    for name in ("API_LISTEN", "WS_LISTEN"):
        _check_port(name, *getattr(settings, name.lower()))
    if overlap(settings.api_listen, settings.ws_listen):
        raise SettingsError(
            f"WS_LISTEN: expected another port than API_LISTEN's (both are {settings.ws_listen[1]})",
            setting="WS_LISTEN",
        )


def check_folders(settings: Settings) -> None:
    """Make the folders that are not there yet, and write to each of them."""
    folders = {
        "DATA_PATH": settings.data_path,
        "MIRROR_PATH": settings.mirror_folder,
        "WORK_PATH": settings.work_folder,
    }
    for name, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise SettingsError(
                f"{name}: {folder} cannot be written: {error.strerror}; expected a folder that this user may write to",
                setting=name,
            ) from error


def check_database(settings: Settings) -> None:
    """Whether there is a driver for DATABASE, and it can be understood. Nothing is connected."""
    try:
        url = sqlalchemy.make_url(settings.database_url)
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError, ValueError) as error:
        raise SettingsError(
            "DATABASE: expected an SQLAlchemy URL such as postgresql+psycopg://user:password@host/name, or ''",
            setting="DATABASE",
        ) from error
    except ImportError as error:
        package = PACKAGES.get(error.name or "", error.name or "of its driver")
        raise MissingDependency(
            f"DATABASE: {url.drivername} needs the Python package {package}: py-env/bin/pip install '{package}'",
            needed=package,
        ) from error


def check_sevenzip(settings: Settings) -> None:
    """Let it say once who it is."""
    program = SevenZip.locate(settings).program
    try:
        answer = subprocess.run(
            [str(program)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SEVENZIP_SECONDS,
            check=False,
            preexec_fn=end_with_parent(signal.SIGKILL),
        ).stdout
    except subprocess.TimeoutExpired:
        answer = b""
    except OSError as error:
        answer = str(error).encode()
    if b"7-Zip" in answer:
        return
    if settings.sevenzip:
        raise SettingsError(
            f"SEVENZIP: {program} does not answer as 7-Zip does; expected the path of 7zz or 7z, or ''",
            setting="SEVENZIP",
        )
    raise MissingDependency(
        f"{program} does not answer as 7-Zip does; install 7zip from your system and set SEVENZIP to its path",
        needed="7-Zip",
    )


def overlap(first: tuple[str, int], second: tuple[str, int]) -> bool:
    """Whether two servers would meet on one port: the same address, or one of them listens on all."""
    if first[1] != second[1]:
        return False
    here, there = _addresses(*first), _addresses(*second)
    return bool(here & there) or any(ipaddress.ip_address(address).is_unspecified for address in here | there)


def _addresses(host: str, port: int) -> set[str]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return {str(address[0]) for *_, address in found}


def _check_port(setting: str, host: str, port: int) -> None:
    if port == 0:
        raise SettingsError(f"{setting}: expected a port from 1 to 65535", setting=setting)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
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
