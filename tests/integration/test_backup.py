"""Backups and restores, within a kind of database and across."""

from __future__ import annotations

import gzip
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

import knossos.backup
from knossos.accounts import Accounts
from knossos.backup import BackupRefused, backup, inspect, restore
from knossos.database import Base, Database
from knossos.publishing.errors import Refused
from knossos.publishing.repository.feed import changes_since
from knossos.publishing.tables import ChangeCounter, Mod, Release, Upload
from knossos.settings import Settings
from tests.support.people import CHEAP, PASSWORD, add_account
from tests.support.postgres import Postgres
from tests.support.releases_world import World

#: Text that must come back as it is.
ODD = 'a "quote", a \\ backslash, ä, 🚀, a\ttab and a\nline'


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Another database, without tables: with `database` each kind meets each."""
    if request.param == "sqlite":
        return Database(Settings(data_path=tmp_path / "target"))
    server: Postgres = request.getfixturevalue("postgres")
    return Database(Settings(data_path=tmp_path, database=server.new_database("template1")))


def fill(database: Database) -> None:
    dora = add_account(database, "dora", "operator", email="dora@example.org")
    Accounts(database, CHEAP).disable(add_account(database, "ivan").name)
    with database.session() as session:
        session.add(Mod(id="tiny", id_key="tiny", title=ODD, type="mod", created_at=1.1, updated_at=1e9 / 3))
        session.flush()
        session.add(
            Upload(
                key="k", sha256="a" * 64, user_id=dora.user_id, size=2**40, parts=3, hash_state=bytes(range(256)),
                created_at=1.0, touched_at=2.0,
            )
        )  # fmt: skip
        for number in range(3):
            session.add(
                Release(
                    mod_id="tiny", version=f"1.0.{number}", version_key=f"1.0.{number}", state="published",
                    offered=True, private=number == 1, document=json.dumps({"notes": ODD}), published_by=dora.user_id,
                    created_at=1.0, updated_at=2.0, change=number,
                )
            )  # fmt: skip


def contents(database: Database) -> dict[str, list[Any]]:
    with database.snapshot() as connection:
        return {
            name: [tuple(row) for row in connection.execute(sqlalchemy.select(table).order_by(*table.primary_key))]
            for name, table in Base.metadata.tables.items()
            if name != ChangeCounter.__tablename__
        }


def test_a_backup_comes_back_in_any_database(database: Database, target: Database, tmp_path: Path) -> None:
    fill(database)
    file = tmp_path / "knossos.backup"
    file.write_text("an older one, readable by all")
    written = backup(database, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["knossos.backup"]
    assert (written.rows["users"], written.rows["releases"], written.rows["mods"]) == (2, 3, 1)
    assert restore(target, file) == written
    assert contents(target) == contents(database)
    # The next numbers are free ones, and the keys are in force.
    assert add_account(target, "olga").user_id == 3
    assert Accounts(target, CHEAP).check_password("dora", PASSWORD)
    with pytest.raises(sqlalchemy.exc.IntegrityError), target.session() as session:
        session.execute(sqlalchemy.text("update releases set mod_id = 'unknown'"))
    target.close()


def test_a_restore_takes_the_place_of_what_is_there_only_when_told_to(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "knossos.backup"
    fill(database)
    backup(database, file)
    before = contents(database)
    add_account(database, "newer")
    with pytest.raises(BackupRefused, match=r"not empty: there are rows in .*users"):
        restore(database, file)
    assert Accounts(database, CHEAP).find("newer")
    restore(database, file, replace=True)
    assert contents(database) == before


def test_a_restore_undoes_changes_for_good_and_gives_none_of_their_numbers_again(
    database: Database, tmp_path: Path
) -> None:
    world, file = World(database, tmp_path), tmp_path / "knossos.backup"
    world.publish("alpha")
    kept = world.bring_up()
    backup(database, file)
    world.publish("beta")
    world.delete("alpha", "1.0.0")
    undone = world.bring_up()
    elsewhere = world.machine_called("elsewhere").repository
    elsewhere.bring_up(undone)
    restore(database, file, replace=True)
    change = world.publish("gamma")  # in the row that beta had
    assert change > undone
    assert elsewhere.missing_change() == change
    assert (world.bring_up(), world.names()) == (change, ["alpha 1.0.0", "gamma 1.0.0"])
    elsewhere.bring_up(world.publish("delta"))
    assert world.names() == ["alpha 1.0.0", "delta 1.0.0", "gamma 1.0.0"]
    with database.reading() as session:
        assert [len(changes_since(session, since, "").mods) for since in (kept, change)] == [2, 1]
        for since in (kept + 1, undone):
            with pytest.raises(Refused, match="fetch the repository anew"):
                changes_since(session, since, "")


def rewrite(file: Path, change: dict[str, Any] | None = None, drop: str = "", bad: str = "") -> None:
    """Write the backup anew, with another header, without the rows of a table, or with one that fits nowhere."""
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    lines[0].update(change or {})
    kept = [line for line in lines if not (isinstance(line, list) and line[0] == drop)]
    kept[-1]["end"].pop(drop, None)
    for line in kept:
        if bad and isinstance(line, list) and line[0] == "releases":
            line[1][1] = bad
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, kept)).encode()))


def test_a_file_that_is_no_whole_backup_changes_nothing(database: Database, tmp_path: Path) -> None:
    fill(database)
    good = tmp_path / "good"
    backup(database, good)
    before = contents(database)
    whole = good.read_bytes()
    bad = tmp_path / "bad"
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    lines = gzip.decompress(whole)
    cut = gzip.compress(b"".join(lines.splitlines(keepends=True)[:-1]))
    # Looks like a backup up to its end, where the sum is that of other bytes.
    other = gzip.compress(lines.replace(b'"mods"', b'"modz"'))[:-8] + whole[-8:]
    for data, message in (
        (b"", "is no backup"),
        (b"SQLite format 3\0", "is no backup"),
        (gzip.compress(b'{"some": "json"}'), "is no backup"),
        (gzip.compress(b""), "not a whole backup"),
        (gzip.compress(b"no json"), "not a whole backup"),
        (whole[:20], "not a whole backup"),
        (whole[:-9], "not a whole backup"),
        (cut, "not a whole backup"),
        (damaged, "not a whole backup"),
        (other, "not a whole backup"),
        (gzip.compress(lines + b"[]\n"), "not a whole backup"),
        (gzip.compress(lines + lines.splitlines(keepends=True)[-1]), "not a whole backup"),
    ):
        bad.write_bytes(data)
        with pytest.raises(BackupRefused, match=message):
            restore(database, bad, replace=True)
    for change, message in (({"revision": "9999"}, "newer version"), ({"version": 2}, "newer version")):
        bad.write_bytes(whole)
        rewrite(bad, change)
        with pytest.raises(BackupRefused, match=message):
            restore(database, bad, replace=True)
    with pytest.raises(BackupRefused, match="cannot be read: No such file"):
        restore(database, tmp_path / "missing")
    assert contents(database) == before


def test_rows_that_the_database_does_not_take_leave_everything_as_it_was(database: Database, tmp_path: Path) -> None:
    fill(database)
    file = tmp_path / "file"
    backup(database, file)
    before = contents(database)
    whole = file.read_bytes()
    # A release of a mod that is missing; then one that has no version; both are found late.
    rewrite(file, drop="mods")
    with pytest.raises(BackupRefused):
        restore(database, file, replace=True)
    file.write_bytes(whole)
    rewrite(file, bad="unknown")
    with pytest.raises(BackupRefused):
        restore(database, file, replace=True)
    assert contents(database) == before


def test_a_backup_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    old, new = (Database(Settings(data_path=tmp_path / name)) for name in ("old", "new"))
    old.migrate("0001")
    with old.session() as session:
        user = "insert into users (id, name, name_key, password_hash, created_at) values (7, 'Dora', 'dora', 'h', 1.5)"
        session.execute(sqlalchemy.text(user))
    assert backup(old, tmp_path / "file").revision == "0001"
    restore(new, tmp_path / "file")
    dora = Accounts(new, CHEAP).get("dora")
    assert (dora.user_id, dora.email, dora.verified) == (7, None, True)
    old.close()
    new.close()


def test_a_backup_that_cannot_be_written_leaves_the_older_one(database: Database, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="cannot be written"):
        backup(database, tmp_path / "no folder" / "file")
    empty = Database(Settings(data_path=tmp_path / "empty"))
    older = tmp_path / "file"
    older.write_text("older")
    with pytest.raises(BackupRefused, match="no tables"):
        backup(empty, older)
    assert older.read_text() == "older"
    assert not list(tmp_path.glob(".file-*"))
    empty.close()


Lines = list[Any]


def changed(file: Path, change: Callable[[Lines], object]) -> Path:
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    change(lines)
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    return file


def another_row(table: Any, row: Any) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        lines.insert(1, [table, row])
        if isinstance(table, str):
            lines[-1]["end"][table] = lines[-1]["end"].get(table, 0) + 1

    return change


def upload_with(column: str, value: Any) -> Callable[[Lines], None]:
    """Have the upload's row, which comes late, hold this."""

    def change(lines: Lines) -> None:
        (row,) = (line[1] for line in lines if isinstance(line, list) and line[0] == "uploads")
        row[lines[0]["tables"]["uploads"].index(column)] = value

    return change


def columns_are(columns: Any) -> Callable[[Lines], None]:
    return lambda lines: lines[0]["tables"].update(users=columns)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "change",
    [
        another_row([], []), another_row({}, []), another_row("unknown", []), another_row("users", 5), columns_are(5),
        columns_are([[]]), upload_with("key", []), upload_with("sha256", {}),
    ],
    ids=[
        "table is a list", "table is an object", "unknown table", "row is a number", "columns are a number",
        "column is a list", "value is a list", "value is an object",
    ],
)  # fmt: skip
def test_what_is_no_row_of_a_known_table_is_found_by_reading(
    database: Database, tmp_path: Path, change: Callable[[Lines], None]
) -> None:
    fill(database)
    backup(database, tmp_path / "file")
    with pytest.raises(BackupRefused, match="not a whole backup"):
        inspect(changed(tmp_path / "file", change))


def test_values_of_another_kind_than_their_column_leave_everything_as_it_was(
    database: Database, tmp_path: Path
) -> None:
    fill(database)
    backup(database, tmp_path / "whole")
    before = contents(database)
    for column, value in (("hash_state", 5), ("hash_state", "?"), ("size", 2**70), ("key", "\ud800")):
        (tmp_path / "bad").write_bytes((tmp_path / "whole").read_bytes())
        with pytest.raises(BackupRefused, match=r"a row of uploads does not fit its table|does not take the backup"):
            restore(database, changed(tmp_path / "bad", upload_with(column, value)), replace=True)
        assert contents(database) == before
    with pytest.raises(BackupRefused, match="does not take the backup"):  # no truth: found before the database is asked
        restore(database, changed(tmp_path / "whole", releases_with("offered", "maybe")), replace=True)
    assert contents(database) == before


def releases_with(column: str, value: Any) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        for line in lines:
            if isinstance(line, list) and line[0] == "releases":
                line[1][lines[0]["tables"]["releases"].index(column)] = value

    return change


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_backup_is_on_the_disk_before_it_takes_the_place_of_an_older_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced = tmp_path / "file", []

    def fsync(descriptor: int) -> None:
        assert not file.exists()
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    backup(database, file)
    assert synced == [(file.stat().st_ino, file.stat().st_size)]


def test_a_restore_gives_up_where_others_stay_in_the_tables(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knossos.backup, "LOCK_SECONDS", 0.01)
    # So that a restore that waits for ever ends as well, with other words.
    address = postgres.new_database() + "?options=-c%20statement_timeout%3D3000"
    database = Database(Settings(data_path=tmp_path, database=address))
    backup(database, tmp_path / "file")
    with database.engine.begin() as other:
        other.execute(sqlalchemy.text("lock table users"))
        with pytest.raises(BackupRefused, match="lock timeout"):
            restore(database, tmp_path / "file", replace=True)
    database.close()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_restore_after_a_loss_goes_on_above_the_seconds_since_1970(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(database, tmp_path / "file")
    new = Database(Settings(data_path=tmp_path / "new"))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    restore(new, tmp_path / "file")
    with new.reading() as session:
        assert session.get_one(ChangeCounter, 1).value > 4e9
    new.close()
