"""The repository's files: what is in them, what is not any more, and that nobody finds them half done."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from knossos.database import Database
from knossos.publishing.repository.errors import RepositoryBusy
from knossos.publishing.repository.publication import KEPT, POINTER
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support import strict_mods
from tests.support.releases_world import IMAGE, World, named


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


@pytest.fixture
def on_sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """Where what is tested has nothing to do with the kind of database."""
    database = sqlite_copy(sqlite_template, tmp_path / "database")
    yield World(database, tmp_path)
    database.close()


def sqlite_copy(template: Path, folder: Path) -> Database:
    folder.mkdir()
    (folder / "knossos.sqlite3").write_bytes(template.read_bytes())
    return Database(Settings(data_path=folder))


def test_an_empty_repository_is_one_that_clients_can_read(on_sqlite: World) -> None:
    assert on_sqlite.bring_up() == 0
    assert on_sqlite.names() == []


def test_every_field_has_the_type_that_the_strictest_client_insists_on(world: World) -> None:
    world.publish("alpha", "1.0.0", needs=[("beta", ">=1.0.0"), ("gamma", None)], videos=["https://example.org/v"])
    world.publish("build", "1.0.0-RC.1", type="engine", stability="nightly", logo=IMAGE, screenshots=[IMAGE])
    world.publish("child", "2.0.0", type="mod", parent="alpha", description='"quotes"\nand \u2028 lines, ä €')
    world.bring_up()
    assert world.names() == ["alpha 1.0.0", "build 1.0.0-RC.1", "child 2.0.0"]
    assert world.mod("child", "2.0.0")["description"] == '"quotes"\nand \u2028 lines, ä €'
    assert world.mod("build", "1.0.0-RC.1")["logo"] == f"http://127.0.0.1:8080/storage/images/{IMAGE}"


def test_half_of_a_character_does_not_take_the_whole_repository_from_clients(on_sqlite: World) -> None:
    on_sqlite.publish()
    with on_sqlite.database.session() as session:
        session.connection().exec_driver_sql(
            "UPDATE releases SET document = replace(document, 'A mod of the tests.', '\\ud83d')"
        )
    on_sqlite.publish("beta")
    on_sqlite.bring_up()
    assert "beta 1.0.0" in on_sqlite.names()
    assert "\\ud83d" not in (on_sqlite.public / "repo.json").read_text("utf-8")


def test_what_is_stored_broken_is_left_out_and_told_to_the_operator(
    on_sqlite: World, caplog: pytest.LogCaptureFixture
) -> None:
    on_sqlite.publish()
    with on_sqlite.database.session() as session:
        session.connection().exec_driver_sql("UPDATE releases SET document = '{'")
    on_sqlite.publish("beta")
    on_sqlite.bring_up()
    assert on_sqlite.names() == ["beta 1.0.0"]
    assert "the stored form of alpha 1.0.0 is broken" in caplog.text


def test_an_update_shows_and_leaves_nothing_of_what_was(on_sqlite: World) -> None:
    on_sqlite.publish("alpha", "1.0.0", title="First title")
    on_sqlite.publish("beta")
    on_sqlite.bring_up()
    on_sqlite.change("alpha", "1.0.0", title="Second title")
    on_sqlite.bring_up()
    assert on_sqlite.names() == ["alpha 1.0.0", "beta 1.0.0"]
    assert on_sqlite.mod("alpha", "1.0.0")["title"] == "Second title"
    assert b"First title" not in (on_sqlite.public / "repo.json").read_bytes()


@pytest.mark.parametrize("how", ["deleted", "made private"])
def test_what_is_taken_back_is_nowhere_any_more(world: World, how: str) -> None:
    world.publish("secret", "1.0.0", title="The Sought-for Title")
    for number in range(3):
        world.publish("beta", f"1.{number}.0")
        world.bring_up()
    assert b"The Sought-for Title" in world.bytes_everywhere()
    if how == "deleted":
        world.delete("secret", "1.0.0")
    else:
        world.change("secret", "1.0.0", private=True)
    world.bring_up()
    assert world.names() == ["beta 1.0.0", "beta 1.1.0", "beta 1.2.0"]
    assert b"The Sought-for Title" not in world.bytes_everywhere()


def test_what_is_private_from_the_start_never_leaves_the_database(world: World) -> None:
    world.publish("secret", "1.0.0", title="The Sought-for Title", private=True)
    world.publish("beta")
    world.bring_up()
    world.change("secret", "1.0.0", notes="still private")
    assert world.bring_up() == 3
    assert world.names() == ["beta 1.0.0"]
    assert b"The Sought-for Title" not in world.bytes_everywhere()
    assert b"secret" not in (world.public / "repo.json").read_bytes()
    world.change("secret", "1.0.0", private=False)
    world.bring_up()
    assert world.names() == ["beta 1.0.0", "secret 1.0.0"]


def test_a_change_that_nobody_sees_leaves_the_files_as_they_are(on_sqlite: World) -> None:
    on_sqlite.publish()
    on_sqlite.bring_up()
    before = (on_sqlite.public / "repo.json").stat()
    on_sqlite.publish("secret", private=True)
    assert on_sqlite.bring_up() == 2
    after = (on_sqlite.public / "repo.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_files_that_follow_each_other_within_a_second_have_different_etags(on_sqlite: World) -> None:
    """nginx makes them of the second of the file's time and of its size."""
    on_sqlite.publish(title="A")
    on_sqlite.bring_up()
    seen = set()
    for title in "BCDEF":
        on_sqlite.change("alpha", "1.0.0", title=title)
        on_sqlite.bring_up()
        about = (on_sqlite.public / "repo.json").stat()
        assert about.st_mtime_ns % 1_000_000_000 == 0
        published = on_sqlite.machine.repository.published()
        assert published is not None
        assert published.files["repo"].etag == f"{int(about.st_mtime):x}-{about.st_size:x}"
        seen.add(published.files["repo"].etag)
    assert len(seen) == 5


def test_holes_do_not_grow_without_bound(on_sqlite: World) -> None:
    on_sqlite.publish("alpha", "1.0.0", description="x" * 60_000)
    on_sqlite.publish("beta", "1.0.0", description="y" * 60_000)
    for number in range(12):
        on_sqlite.change("alpha", "1.0.0", title=f"Title {number}")
        on_sqlite.bring_up()
        assert (on_sqlite.public / "repo.json").stat().st_size < 300_000
    assert on_sqlite.names() == ["alpha 1.0.0", "beta 1.0.0"]
    assert on_sqlite.mod("alpha", "1.0.0")["title"] == "Title 11"


def test_where_the_kernel_cannot_copy_between_files_the_program_does(
    on_sqlite: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    for number in range(3):
        on_sqlite.publish("alpha", f"1.{number}.0", description="x" * 100_000)
        on_sqlite.bring_up()
    assert len(on_sqlite.names()) == 3


# --- many machines, damage, other pasts -------------------------------------------------------------


def test_an_older_build_never_takes_the_place_of_a_newer_one(world: World) -> None:
    slow, fast = world.machine, world.machine_called("second")
    world.publish("alpha")
    with slow.local.locked(1, lambda: None):
        old = slow.local.bring_up(world.database, lambda: None)
    change = world.publish("beta")
    fast.repository.bring_up(change)
    assert not slow.publication.publish(old, slow.local, slow.signer)
    assert world.names() == ["alpha 1.0.0", "beta 1.0.0"]
    assert slow.repository.bring_up(change) == change
    change = world.delete("alpha", "1.0.0")
    assert slow.repository.bring_up(change) == change
    assert world.names() == ["beta 1.0.0"]


def test_machines_that_publish_at_once_end_with_everything_and_no_reader_sees_less_than_before(
    world: World,
) -> None:
    machines = [world.machine, world.machine_called("second")]
    world.bring_up()
    over, seen, errors = threading.Event(), [0], []

    def read() -> None:
        while not over.is_set():
            try:
                seen.append(len(strict_mods.repository((world.public / "repo.json").read_bytes())))
            except Exception as error:
                errors.append(error)

    def author(number: int) -> None:
        try:
            for version in range(5):
                machines[number].repository.bring_up(world.publish(f"mod{number}", f"1.{version}.0"))
        except Exception as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    authors = [threading.Thread(target=author, args=[number]) for number in range(2)]
    for thread in (reader, *authors):
        thread.start()
    for thread in authors:
        thread.join()
    over.set()
    reader.join()
    assert not errors
    assert seen == sorted(seen)
    assert len(world.names()) == 10


def test_a_process_waits_for_the_other_one_on_its_machine_but_not_for_ever(on_sqlite: World) -> None:
    with on_sqlite.machine.local.locked(1, lambda: None), pytest.raises(RepositoryBusy):
        on_sqlite.machine_called("first").local.locked(0.05, lambda: None).__enter__()


def damage_length(world: World) -> None:
    for path in world.machine.local.folder.glob("*.json"):
        # The same file is published: a copy of its own is damaged.
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-5])


def damage_contents(world: World) -> None:
    """As after a power cut: the length is right, and blocks are missing."""
    for path in world.machine.local.folder.glob("*.json"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:20] + bytes(len(data) - 40) + data[-20:])
    path = world.machine.local.folder / "index.sqlite3"
    path.write_bytes(path.read_bytes().replace(boot_id(), b"another-boot".ljust(len(boot_id()), b"-")))


def boot_id() -> bytes:
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()


def damage_index(world: World) -> None:
    path = world.machine.local.folder / "index.sqlite3"
    path.write_bytes(b"no database at all" * 1000)


def lose_all(world: World) -> None:
    for path in world.machine.local.folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    "damage", [damage_length, damage_contents, damage_index, lose_all], ids=lambda one: one.__name__
)
def test_a_damaged_build_is_made_anew(on_sqlite: World, damage: Callable[[World], None]) -> None:
    on_sqlite.publish("alpha")
    on_sqlite.bring_up()
    damage(on_sqlite)
    on_sqlite.publish("beta")
    on_sqlite.bring_up()
    assert on_sqlite.names() == ["alpha 1.0.0", "beta 1.0.0"]


def test_a_server_that_moves_writes_its_new_address_into_every_release(on_sqlite: World) -> None:
    on_sqlite.publish()
    on_sqlite.bring_up()
    moved = on_sqlite.machine_called("first", public_url="https://new.example.org")
    assert moved.repository.missing_change() == 1
    moved.repository.bring_up(1)
    assert on_sqlite.mod("alpha", "1.0.0")["tile"] == f"https://new.example.org/storage/images/{IMAGE}"
    assert moved.repository.missing_change() is None


def test_an_older_copy_of_the_database_is_the_truth_once_it_was_put_back(sqlite_template: Path, tmp_path: Path) -> None:
    database = sqlite_copy(sqlite_template, tmp_path / "database")
    world = World(database, tmp_path)
    world.publish("alpha")
    world.bring_up()
    database.close()
    backup = (tmp_path / "database" / "knossos.sqlite3").read_bytes()
    world.publish("lost", "1.0.0")
    world.publish("lost", "1.1.0")
    world.bring_up()
    database.close()
    for path in (tmp_path / "database").iterdir():
        path.unlink()
    (tmp_path / "database" / "knossos.sqlite3").write_bytes(backup)
    assert world.machine.repository.missing_change() == 1
    world.publish("other", "1.0.0")
    world.bring_up()
    assert world.names() == ["alpha 1.0.0", "other 1.0.0"]
    database.close()


def test_making_everything_anew_gives_the_same_and_removes_what_was_left_behind(on_sqlite: World) -> None:
    for number in range(4):
        on_sqlite.publish("alpha", f"1.{number}.0")
        on_sqlite.bring_up()
    on_sqlite.delete("alpha", "1.1.0")
    on_sqlite.bring_up()
    before = on_sqlite.names()
    stray = on_sqlite.public / f"repo-{'0' * 64}.json"
    stray.write_text("left behind")
    os.utime(stray, (0, 0))
    (on_sqlite.folder / "storage" / POINTER).unlink()
    assert on_sqlite.machine.repository.missing_change() == 5
    assert on_sqlite.machine.repository.rebuild() == 5
    assert on_sqlite.names() == before
    assert not stray.exists()


def test_only_a_few_former_files_are_kept(on_sqlite: World) -> None:
    for number in range(6):
        on_sqlite.publish("alpha", f"1.{number}.0")
        on_sqlite.bring_up()
    lists = [path for path in on_sqlite.public.glob("repo-*.json") if path.is_file()]
    assert len(lists) == KEPT + 1
    assert len(list(on_sqlite.machine.local.folder.glob("repo-*.json"))) == 1


# --- killed at any moment ---------------------------------------------------------------------------


class Deadly(Storage):
    """Ends the process with SIGKILL in the call with a number."""

    left = 0

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def put_file(self, key: str, path: Path, *, keep: bool = False) -> None:
        self._count()
        super().put_file(key, path, keep=keep)
        self._count()

    def put_bytes(self, key: str, data: bytes) -> None:
        self._count()
        super().put_bytes(key, data)
        self._count()


def killed(world: World, calls: int) -> bool:
    """Bring the files up in a process of its own that dies after so many calls. False where it came to its end."""
    pid = os.fork()
    if not pid:  # the child never returns
        try:
            machine = world.machine_called("first")
            storage = Deadly(machine.settings)
            storage.left = calls
            database = Database(Settings(data_path=world.folder / "database"))
            left = [calls]

            def check() -> None:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            type(machine.repository)(machine.settings, database, storage).bring_up(world.bring_up_to, check=check)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_whenever_a_build_is_killed_the_files_are_whole_and_the_next_one_is_right(on_sqlite: World) -> None:
    on_sqlite.publish("alpha", "1.0.0")
    on_sqlite.bring_up()
    calls, expected = 0, ["alpha 1.0.0"]
    while True:
        version = f"1.{calls + 1}.0"
        on_sqlite.bring_up_to = on_sqlite.publish("alpha", version)
        on_sqlite.database.close()
        died = killed(on_sqlite, calls)
        assert on_sqlite.names() in (expected, sorted([*expected, f"alpha {version}"]))
        expected = sorted([*expected, f"alpha {version}"])
        on_sqlite.bring_up()
        assert on_sqlite.names() == expected
        if not died:
            break
        calls += 1
    assert calls > 8


# --- any order --------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish privately", "retitle", "delete", "hide", "show", "write"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_whatever_happens_in_whatever_order_the_files_are_those_of_a_fresh_build(
    steps: list[tuple[str, int]], sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any-order")
    database = sqlite_copy(sqlite_template, folder / "database")
    world = World(database, folder)
    states: dict[str, str] = {}
    for number, (step, which) in enumerate(steps):
        version = f"1.{which}.0"
        state = states.get(version)
        if step.startswith("publish") and state is None:
            world.publish("alpha", version, private=step != "publish")
            states[version] = "hidden" if step != "publish" else "shown"
        elif step == "write":
            world.bring_up()
        elif state in ("shown", "hidden"):
            if step == "delete":
                world.delete("alpha", version)
                states[version] = "deleted"
            elif step == "retitle":
                world.change("alpha", version, title=f"Title {number}")
            elif step in ("hide", "show"):
                world.change("alpha", version, private=step == "hide")
                states[version] = "hidden" if step == "hide" else "shown"
    world.bring_up()
    assert world.names() == named([{"id": "alpha", "version": v} for v, state in states.items() if state == "shown"])
    fresh = world.machine_called("fresh", storage=str(folder / "fresh-storage"))
    fresh.repository.bring_up(0)
    for name in ("repo.json", "repo_minimal.json"):
        ours, theirs = (
            sorted(json.dumps(mod) for mod in json.loads((root / "public" / name).read_bytes())["mods"])
            for root in (folder / "storage", folder / "fresh-storage")
        )
        assert ours == theirs
    database.close()
