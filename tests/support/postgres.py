"""A real PostgreSQL for tests, on a free loopback port, with its data in a folder of its own.

As root it runs as the user ``postgres``, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from knossos.database import Database
from knossos.settings import Settings
from tests.support.postgres_programs import programs_folder
from tests.support.processes import wait_for
from tests.support.redis_server import free_port

#: The database that all others are copied from: it has the tables already.
TEMPLATE = "knossos_template"


def postgres_folder() -> Path:
    """The folder of PostgreSQL's programs, or a skip that names them."""
    found = programs_folder()
    if found is None:
        pytest.skip("postgresql is not installed (scripts/system-packages.sh installs it)")
    return found


class Postgres:
    """One PostgreSQL server, and databases in it."""

    def __init__(self) -> None:
        self.programs = postgres_folder()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._made = 0
        # Not below pytest's folders: those are closed to the user that the server runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="knossos-postgres-"))
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def create(self) -> None:
        """Make the server's files, start it, and make the template."""
        command = [str(self.programs / "initdb"), "-D", str(self.folder / "data"), "-A", "trust", "-U", "postgres"]
        made = subprocess.run(
            [*command, "-N", "-E", "UTF8", "--locale", "C"], cwd="/", capture_output=True, timeout=120, **self._as
        )
        assert made.returncode == 0, made.stderr.decode()
        self.start()
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        database = Database(Settings(data_path=self.folder, database=self.url(TEMPLATE)))
        database.migrate()
        database.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            # Databases of a few rows, that live for one test: nothing to clean up, nothing to send to others.
            "autovacuum": "off",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        with open(self.folder.parent / f"{self.folder.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *arguments],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as,
            )
        ready = [str(self.programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        wait_for(lambda: subprocess.run(ready, timeout=20).returncode == 0, "PostgreSQL")

    def stop(self) -> None:
        """Stop it at once, whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            self.process = None

    def remove(self) -> None:
        """Stop it, and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.log").unlink(missing_ok=True)

    def new_database(self, template: str = TEMPLATE) -> str:
        """The URL of a new database that has all tables; with ``template1`` one that has none."""
        self._made += 1
        name = f"knossos_{self._made}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def _execute(self, statement: str) -> None:
        engine = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
        engine.dispose()
