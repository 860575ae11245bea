"""The one way to the database: an engine, sessions that commit or leave nothing, and migrations.

Owns the connection and its settings (SQLite in WAL mode by default, any SQLAlchemy URL otherwise) and bringing
the tables up to date with Alembic. Owns no table: each domain declares its own on ``Base``, and the scripts in
``knossos/migrations`` create them. What must not be lost is kept here and not in Redis.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from knossos import tally
from knossos.errors import MissingDependency
from knossos.settings import Settings

#: The number of our advisory lock in PostgreSQL: "knossos" as hexadecimal ASCII.
_TABLES_LOCK = 0x6B6E6F73736F73

#: Option of a connection whose transactions only read.
_READING = "knossos_reading"

#: Largest number that a row can have, on either kind of database.
MAX_ROW_NUMBER = 2**31 - 1

#: Seconds between two tries to reach a database that restarts.
CONNECT_PAUSE_SECONDS = 0.25
#: What a PostgreSQL that can be reached says when trying again helps. libpq tells no code of a connection that failed.
_COMES_BACK = ("starting up", "shutting down", "recovery mode", "not yet accepting", "administrator command")
#: Seconds for which this process, and its forks, wait for a database that is away; see `be_patient`.
_patience_seconds = 0.0

#: By address; see `of_this_process`.
_databases: dict[str, Database] = {}

#: Milliseconds that a writer of SQLite waits for another one before it gives up.
SQLITE_BUSY_MILLISECONDS = 30_000


def be_patient(seconds: float) -> None:
    """Have this process, and its forks, wait so long for a database server that restarts, whenever they connect.

    For workers: a task can wait a minute, a request of the web cannot.
    """
    global _patience_seconds
    _patience_seconds = seconds


def of_this_process(settings: Settings) -> Database:
    """One for all tasks of a worker, also in its forks: what it has prepared for a statement, it keeps.

    Whoever has used it closes it: connections are not kept, nor taken through a fork.
    """
    return _databases.setdefault(settings.database_url, Database(settings))


class Base(DeclarativeBase):
    """Root of all tables. Constraints have names by rule, so that a migration can change them anywhere."""

    metadata = sqlalchemy.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Database:
    """Connects when it is first used, and not before, so that it may be made ahead of a fork."""

    def __init__(self, settings: Settings) -> None:
        self.url = sqlalchemy.make_url(settings.database_url)

    @cached_property
    def engine(self) -> sqlalchemy.Engine:
        if self.url.get_backend_name() != "sqlite":
            # A connection that the server has closed meanwhile is replaced rather than handed out.
            engine = sqlalchemy.create_engine(self.url, pool_pre_ping=True, hide_parameters=True)
            event.listen(engine, "handle_error", _count_error)
            event.listen(engine, "do_connect", _connect_patiently)
            return engine
        if self.url.database:
            _create_private(Path(self.url.database))
        # What goes wrong is logged, and the values of a statement may be secrets.
        engine = sqlalchemy.create_engine(self.url, hide_parameters=True)
        event.listen(engine, "handle_error", _count_error)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction that may write: commits when the block ends, rolls everything back when it raises.

        In SQLite one at a time goes on from here, and the others wait; so keep slow work out of the block.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[sqlalchemy.Connection]:
        """As `session`, for those who have statements to say and no objects: quicker."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads. Nobody waits for it, and it waits for nobody."""
        engine = self.engine.execution_options(**{_READING: True})
        with Session(engine, expire_on_commit=False, autoflush=False) as session, session.begin():
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[sqlalchemy.Connection]:
        """A transaction that sees everything as it was at one moment, however long it reads."""
        engine = self.engine.execution_options(**{_READING: True})
        if self.url.get_backend_name() != "sqlite":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def changing_tables(self) -> Iterator[sqlalchemy.Connection]:
        """A transaction that may change tables, with `migrate_in`, and rows: all of it, or nothing.

        One at a time: machines that share a database may be started, and brought up to date, at the same moment.
        """
        with self.engine.connect() as connection, _without_foreign_keys(connection), connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_TABLES_LOCK)))
            yield connection

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables up (or, for tests and undoing a release, down) to ``revision``: all of it, or nothing.

        Raises:
            MissingDependency: the database does not answer.
        """
        try:
            # Alembic takes a while to load, and most processes never change a table.
            from knossos.schema import migrate_in

            with self.changing_tables() as connection:
                migrate_in(connection, revision)
        except OperationalError as error:
            said = " ".join(str(error.orig).split())
            raise MissingDependency(
                f"the database {self.url.render_as_string()} does not answer: {said}", needed="database"
            ) from error

    def close(self) -> None:
        """Give all connections back. The next use opens new ones."""
        if "engine" in self.__dict__:
            self.engine.dispose()


def _connect_patiently(dialect: Any, _record: object, arguments: Any, options: Any) -> object:
    """Connect, as SQLAlchemy does by itself, but wait for a server that will be there again."""
    until = time.monotonic() + _patience_seconds
    while True:
        try:
            return dialect.connect(*arguments, **options)
        except dialect.loaded_dbapi.OperationalError as error:
            if not _comes_back(str(error)) or time.monotonic() + CONNECT_PAUSE_SECONDS > until:
                raise
            tally.add_here("database_errors")
            time.sleep(CONNECT_PAUSE_SECONDS)


def _comes_back(said: str) -> bool:
    """Whether trying again helps: the server is not there, or says that it stops or starts."""
    return "FATAL" not in said or any(words in said for words in _COMES_BACK)


def insert_into(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT with ``on_conflict_do_nothing`` and ``on_conflict_do_update``, which both kinds of database know in the
    same words, but not SQL."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _create_private(path: Path) -> None:
    """Make an empty file that only this account may read; SQLite gives the files beside it the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


@contextmanager
def _without_foreign_keys(connection: sqlalchemy.Connection) -> Iterator[None]:
    """For a migration: SQLite changes a table by making a new one, and dropping the old one would empty those that
    refer to it. The pragma does nothing inside a transaction, so it stands around it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys = ON")


def _count_error(context: sqlalchemy.engine.ExceptionContext) -> None:
    """Count for the operator what went wrong with the database itself: a connection, a lock, its disk."""
    if isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError | InternalError):
        tally.add_here("database_errors")


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    """Take the lock of writers at the beginning: one that starts as a reader may find the lock taken when it writes,
    and then fails at once rather than waits."""
    reads = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on while one writes; foreign keys are off in SQLite unless asked for."""
    connection.isolation_level = None  # transactions begin where we say (`_begin_sqlite`), and DDL is part of them
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"busy_timeout = {SQLITE_BUSY_MILLISECONDS}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
