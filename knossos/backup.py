"""Backups of the database: every row of every table in one file that any supported database takes back.

The file is gzipped JSON, a line each: what it is, the rows, and at the end their numbers. It is read whole and found
good before a restore changes anything. A restore is one transaction, tables and all; a backup of an older version is
put into that version's tables and then brought up to date. Files in the storage are no part of it.

Changes of releases have numbers, which others keep: the builds of the repository, and players' copies. After a restore
the numbers go on above all that were given before it, and what was given since the backup counts as undone.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import LargeBinary, MetaData, Table

from knossos.database import Database
from knossos.errors import KnossosError
from knossos.schema import known_revisions, migrate_in, revision_of

FORMAT, FORMAT_VERSION = "knossos-backup", 1

#: What every gzipped file begins with.
GZIP = b"\x1f\x8b"
#: Where Alembic keeps the revision.
REVISION_TABLE = "alembic_version"
#: Where the number of the last change is kept, and which were undone: the one table that has a row from the beginning.
CHANGES = "change_counter"
#: Rows that are read or written in one go.
BATCH = 500
#: What values lead to that are of another kind than their column, or too large for any.
UNFIT = (TypeError, ValueError, OverflowError)
#: Seconds that a restore waits for others to leave the tables.
LOCK_SECONDS = 20


class BackupRefused(KnossosError):
    """The backup cannot be made or restored. Nothing was changed. ``path``."""

    code = "backup_refused"


@dataclass(frozen=True)
class Summary:
    """What a backup holds: rows of each table, and the revision of the tables."""

    revision: str
    rows: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def backup(database: Database, path: Path) -> Summary:
    """Write a backup. The file appears when it is whole, readable by its owner only; one of that name is replaced.

    Raises:
        BackupRefused: the database has no tables, or the file cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mkstemp makes it 0600
    except OSError as error:
        raise BackupRefused(f"{path} cannot be written: {error.strerror}", path=str(path)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6) as packed:
                summary = _write(database, packed)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise BackupRefused(f"{path} cannot be written: {error.strerror}", path=str(path)) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return summary


def restore(database: Database, path: Path, *, replace: bool = False) -> Summary:
    """Put a backup into an empty database, or with ``replace`` into any, whose rows are lost.

    Raises:
        BackupRefused: the file is no whole backup, was made by a newer version, or the database is not empty.
    """
    summary = inspect(path)
    if summary.revision not in known_revisions():
        raise BackupRefused(
            f"{path} was made by a newer version of the server (its tables are at {summary.revision})", path=str(path)
        )
    try:
        with database.changing_tables() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            if not replace and (used := _used_tables(connection)):
                raise BackupRefused(f"the database is not empty: there are rows in {', '.join(used)}", path=str(path))
            given = _last_change(connection)
            migrate_in(connection, "base")
            migrate_in(connection, summary.revision)
            _insert(connection, path)
            migrate_in(connection, "head")
            _go_on_above(connection, given)
            _check(connection, path)
    except sqlalchemy.exc.StatementError as error:  # also where a value does not get as far as the database
        reason = " ".join(str(error.orig).split())
        raise BackupRefused(f"the database does not take the backup: {reason}", path=str(path)) from error
    return summary


def inspect(path: Path) -> Summary:
    """Read a backup to its end.

    Raises:
        BackupRefused: it cannot be read, is no backup, or not all of one.
    """
    header: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    ended = False
    # To the end of the file, where its sum is: what is damaged may still look like a backup.
    for line in _lines(path):
        if ended:
            raise _broken(path)
        if not header:
            header = _header(line, path)
        elif _is_row(line, header["tables"]):
            counts[line[0]] += 1
        elif not isinstance(line, dict) or line.get("end") != dict(counts):
            raise _broken(path)
        else:
            ended = True
    if not ended:
        raise _broken(path)
    return Summary(header["revision"], {name: counts[name] for name in header["tables"]})


def _write(database: Database, packed: gzip.GzipFile) -> Summary:
    def write(line: Any) -> None:
        packed.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
        packed.write(b"\n")

    with database.snapshot() as connection:
        revision = revision_of(connection)
        if revision is None:
            raise BackupRefused("the database has no tables yet")
        tables = _tables(connection)
        columns = {table.name: [column.name for column in table.columns] for table in tables}
        header = {"format": FORMAT, "version": FORMAT_VERSION, "revision": revision, "created_at": time.time()}
        write({**header, "tables": columns})
        rows: dict[str, int] = {}
        for table in tables:
            query = sqlalchemy.select(table).order_by(*table.primary_key.columns)
            for row in connection.execution_options(yield_per=BATCH).execute(query):
                write([table.name, [_plain(value) for value in row]])
                rows[table.name] = rows.get(table.name, 0) + 1
        write({"end": rows})
    return Summary(revision, {name: rows.get(name, 0) for name in columns})


def _insert(connection: sqlalchemy.Connection, path: Path) -> None:
    tables = {table.name: table for table in _tables(connection)}
    for table in reversed(list(tables.values())):
        connection.execute(table.delete())  # rows that the migrations have made
    lines = _lines(path)
    header = _header(next(lines, None), path)
    if {name: sorted(names) for name, names in header["tables"].items()} != {
        table.name: sorted(column.name for column in table.columns) for table in tables.values()
    }:
        raise BackupRefused(f"{path}: its tables are not those of revision {header['revision']}", path=str(path))
    rows = (line for line in lines if isinstance(line, list))
    while batch := list(islice(rows, BATCH)):
        for name in dict.fromkeys(name for name, _ in batch):
            table, names = tables[name], header["tables"][name]
            convert = [_reader(table, column) for column in names]
            try:
                values = [
                    {column: read(value) for column, read, value in zip(names, convert, row, strict=True)}
                    for table_name, row in batch
                    if table_name == name
                ]
                connection.execute(table.insert(), values)
            except UNFIT as error:
                raise BackupRefused(
                    f"{path}: a row of {name} does not fit its table: {error}", path=str(path)
                ) from error


def _last_change(connection: sqlalchemy.Connection) -> int:
    """The highest number of a change that this database has given; 0 where it has no tables yet."""
    table = next((table for table in _tables(connection) if table.name == CHANGES), None)
    return 0 if table is None else connection.scalar(sqlalchemy.select(sqlalchemy.func.max(table.c.value))) or 0


def _go_on_above(connection: sqlalchemy.Connection, given: int) -> None:
    """Have the next change numbered above all that were given, and note which of them are undone."""
    (table,) = (table for table in _tables(connection) if table.name == CHANGES)
    restored = _last_change(connection)
    # What a lost database has given is not known; but the seconds since 1970 grow faster than changes are made.
    value = max(restored, given, int(time.time())) + 1
    number = connection.scalar(sqlalchemy.select(sqlalchemy.func.max(table.c.id)))
    connection.execute(table.update().where(table.c.id == 1).values(value=value))
    connection.execute(table.insert().values(id=(number or 1) + 1, value=value, written=restored))


def _check(connection: sqlalchemy.Connection, path: Path) -> None:
    """What was switched off, or not told, while the rows came in: foreign keys, and the next numbers."""
    if connection.dialect.name == "sqlite":
        if wrong := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise BackupRefused(f"{path}: a row of {wrong[0]} refers to one of {wrong[2]} that is not there")
        return
    for table in _tables(connection):
        for column in table.primary_key.columns:
            name = sqlalchemy.literal(table.name), sqlalchemy.literal(column.name)
            sequence = connection.scalar(sqlalchemy.select(sqlalchemy.func.pg_get_serial_sequence(*name)))
            if sequence:
                largest = connection.scalar(sqlalchemy.select(sqlalchemy.func.max(column)))
                following = sqlalchemy.func.setval(sequence, largest or 1, largest is not None)
                connection.execute(sqlalchemy.select(following))


def _used_tables(connection: sqlalchemy.Connection) -> list[str]:
    tables = [table for table in _tables(connection) if table.name != CHANGES]
    return [table.name for table in tables if connection.execute(sqlalchemy.select(table).limit(1)).first()]


def _tables(connection: sqlalchemy.Connection) -> list[Table]:
    """The tables that are there, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != REVISION_TABLE]


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as file:
            if packed.read(len(GZIP)) != GZIP:
                raise _foreign(path)
            packed.seek(0)
            for line in file:
                yield json.loads(line)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise _broken(path) from error
    except OSError as error:
        raise BackupRefused(f"{path} cannot be read: {error.strerror}", path=str(path)) from error


def _header(line: Any, path: Path) -> dict[str, Any]:
    if not isinstance(line, dict) or line.get("format") != FORMAT or not isinstance(line.get("revision"), str):
        raise _foreign(path)
    if line.get("version") != FORMAT_VERSION:
        raise BackupRefused(f"{path} was made by a newer version of the server", path=str(path))
    tables = line.get("tables")
    if not isinstance(tables, dict) or not all(_are_names(columns) for columns in tables.values()):
        raise _broken(path)
    return dict(line)


def _are_names(columns: Any) -> bool:
    return isinstance(columns, list) and all(isinstance(name, str) for name in columns)


def _is_row(line: Any, tables: dict[str, list[str]]) -> bool:
    """Whether a line is a row of one of these tables: its name, and a plain value for each column."""
    match line:
        case [str(name), list(values)] if name in tables:
            plain = all(value is None or isinstance(value, str | int | float) for value in values)
            return plain and len(values) == len(tables[name])
    return False


def _foreign(path: Path) -> BackupRefused:
    return BackupRefused(f"{path} is no backup of this server", path=str(path))


def _broken(path: Path) -> BackupRefused:
    return BackupRefused(f"{path} is not a whole backup: it is damaged, or was cut off", path=str(path))


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def _reader(table: Table, column: str) -> Any:
    if isinstance(table.columns[column].type, LargeBinary):
        return lambda value: None if value is None else base64.b64decode(value, validate=True)
    return lambda value: value
