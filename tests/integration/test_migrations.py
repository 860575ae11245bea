"""The way of the tables from version to version, and what transactions promise, on both databases."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from knossos.accounts import Accounts
from knossos.database import Base, Database
from knossos.errors import MissingDependency
from knossos.schema import known_revisions, migrate_in
from knossos.settings import Settings
from tests.support.people import CHEAP, PASSWORD, add_account
from tests.support.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database without tables."""
    if request.param == "sqlite":
        return Database(Settings(data_path=tmp_path))
    server: Postgres = request.getfixturevalue("postgres")
    return Database(Settings(data_path=tmp_path, database=server.new_database("template1")))


def tables(database: Database) -> set[str]:
    return set(sqlalchemy.inspect(database.engine).get_table_names())


def test_migrations_go_up_and_down_and_end_at_what_the_models_say(bare: Database) -> None:
    for _ in range(2):
        bare.migrate()
        bare.migrate()
        with bare.snapshot() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
        bare.migrate("base")
        assert tables(bare) == {"alembic_version"}
    for revision in [*known_revisions(), *reversed(known_revisions())]:
        bare.migrate(revision)
    bare.close()


def test_accounts_survive_a_migration_with_their_roles(bare: Database) -> None:
    bare.migrate("0001")
    password_hash = CHEAP.hash(PASSWORD)
    with bare.session() as session:
        user = (
            "insert into users (id, name, name_key, password_hash, created_at) values (7, 'Dora', 'dora', :hash, 9.5)"
        )
        session.execute(sqlalchemy.text(user), {"hash": password_hash})
        session.execute(sqlalchemy.text("insert into user_roles (user_id, role) values (7, 'operator')"))
    bare.migrate()
    dora = Accounts(bare, CHEAP).check_password("dora", PASSWORD)
    assert dora is not None
    assert (dora.user_id, dora.is_operator, dora.verified, dora.disabled) == (7, True, True, False)
    # The keys that refer to the table that was made anew are in force.
    with pytest.raises(sqlalchemy.exc.IntegrityError), bare.session() as session:
        session.execute(sqlalchemy.text("insert into user_roles (user_id, role) values (8, 'operator')"))
    bare.migrate("0001")
    with bare.reading() as session:
        row = "select name, created_at, role from users join user_roles on user_id = id"
        assert tuple(session.execute(sqlalchemy.text(row)).one()) == ("Dora", 9.5, "operator")
    bare.close()


def test_a_migration_that_fails_leaves_everything_as_it_was(bare: Database) -> None:
    bare.migrate("0001")
    with bare.session() as session:
        # Migration 0002 makes a table of this name.
        session.execute(sqlalchemy.text("create table blob_uses (x integer)"))
    before = tables(bare)
    with pytest.raises((sqlalchemy.exc.DBAPIError, MissingDependency)):
        bare.migrate()
    assert tables(bare) == before
    bare.close()


def test_machines_that_start_at_the_same_moment_make_the_tables_once(bare: Database) -> None:
    other = Database(Settings(database=bare.url.render_as_string(hide_password=False)))
    started, done = threading.Event(), []

    def start() -> None:
        started.set()
        other.migrate()
        done.append(True)

    thread = threading.Thread(target=start)
    with bare.changing_tables() as connection:
        migrate_in(connection)
        thread.start()
        started.wait(10)
        thread.join(0.2)  # time to find that there are no tables yet
    thread.join()
    assert done
    for database in (bare, other):
        assert Accounts(database, CHEAP).count() == 0
        database.close()


def test_writers_wait_for_each_other_rather_than_fail(database: Database) -> None:
    add_account(database, "dora")
    read = threading.Barrier(4)

    def count_up() -> None:
        with database.session() as session:
            # A transaction that has read before it writes is the one that SQLite refuses unless it began as a writer.
            found = session.execute(sqlalchemy.text("select created_at from users")).scalar_one()
            session.execute(sqlalchemy.text("update users set created_at = created_at + 1"))
            assert found

    def work() -> None:
        read.wait()
        for _ in range(10):
            count_up()

    with database.session() as session:
        session.execute(sqlalchemy.text("update users set created_at = 100"))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.execute(sqlalchemy.text("select created_at from users")).scalar_one() == 140


def test_a_reader_neither_waits_for_a_writer_nor_sees_half_of_what_it_does(database: Database) -> None:
    add_account(database, "dora")
    other = Database(Settings(database=database.url.render_as_string(hide_password=False)))
    with database.session() as session:
        session.execute(sqlalchemy.text("update users set name = 'changed'"))
        assert [account.name for account in Accounts(other, CHEAP).list_accounts()] == ["dora"]
    assert [account.name for account in Accounts(other, CHEAP).list_accounts()] == ["changed"]
    other.close()


def test_a_snapshot_stays_at_its_moment(database: Database) -> None:
    add_account(database, "dora")
    with database.snapshot() as connection:
        assert connection.execute(sqlalchemy.text("select count(*) from users")).scalar_one() == 1
        add_account(database, "ivan")
        assert connection.execute(sqlalchemy.text("select count(*) from users")).scalar_one() == 1
    assert Accounts(database, CHEAP).count() == 2
