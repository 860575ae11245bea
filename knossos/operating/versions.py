"""Which versions of what this machine runs. Programs are asked once an hour."""

from __future__ import annotations

import platform
import re
import subprocess
import time
from importlib.metadata import version
from typing import Any

import sqlalchemy
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from knossos import __version__
from knossos.database import Database
from knossos.errors import KnossosError
from knossos.jobs import Engine
from knossos.packaging.archives.sevenzip import SevenZip
from knossos.scripting.sandbox import bubblewrap
from knossos.settings import Settings

#: Seconds in which a program must have said its version, and for which that is remembered.
ANSWER_SECONDS = 5.0
REMEMBER_SECONDS = 3600.0
#: What is said of what is not there.
ABSENT = "not there"

_programs: tuple[float, dict[str, str]] | None = None


def versions(engine: Engine, database: Database, *, ask_redis: bool = True) -> dict[str, str]:
    """By name, in the order in which they are shown."""
    return {
        "Knossos": __version__,
        "Python": platform.python_version(),
        "RQ": version("rq"),
        "Redis": _redis(engine) if ask_redis else ABSENT,
        "Database": _database(database),
        **_of_programs(engine.settings),
    }


def _redis(engine: Engine) -> str:
    try:
        about: dict[str, Any] = engine.redis.info("server")
    except (RedisError, OSError):
        return ABSENT
    return str(about.get("redis_version", "?"))


def _database(database: Database) -> str:
    try:
        with database.reading() as session:
            dialect = session.get_bind().dialect
            numbers = ".".join(str(part) for part in dialect.server_version_info or ())
            session.execute(sqlalchemy.text("SELECT 1"))
    except SQLAlchemyError:
        return ABSENT
    return f"{'PostgreSQL' if dialect.name == 'postgresql' else 'SQLite'} {numbers}".strip()


def _of_programs(settings: Settings) -> dict[str, str]:
    global _programs
    if _programs is None or time.monotonic() - _programs[0] > REMEMBER_SECONDS:
        _programs = (time.monotonic(), {"7-Zip": _sevenzip(settings), "bubblewrap": _bubblewrap(settings)})
    return _programs[1]


def _sevenzip(settings: Settings) -> str:
    try:
        return _said(str(SevenZip.locate(settings).program), r"7-Zip[^0-9]*([0-9][0-9.]*)")
    except KnossosError:
        return ABSENT


def _bubblewrap(settings: Settings) -> str:
    try:
        return _said(bubblewrap.locate(settings), r"([0-9][0-9.]*)", "--version")
    except KnossosError:
        return ABSENT


def _said(program: str, pattern: str, *arguments: str) -> str:
    try:
        ended = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ABSENT
    found = re.search(pattern, ended.stdout.decode(errors="replace"))
    return found.group(1) if found else "of an unknown version"
