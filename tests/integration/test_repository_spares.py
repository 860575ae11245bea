"""An appended release costs what it adds: what is hashed once is not hashed again, and older files are written to again
once nobody has them. Nobody sees that, whoever reads, and whenever a process is killed."""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from knossos.database import Database
from knossos.publishing.repository import list_update, resumable_sum, spares
from knossos.publishing.repository.publication import KEPT
from knossos.publishing.repository.resumable_sum import ResumableSum
from knossos.settings import Settings
from tests.integration.test_repository_files import boot_id, sqlite_copy
from tests.support.releases_world import World, named

#: So that some releases make a list in which something can stay as it is.
CUT, STEP = 16 * 1024, 4 * 1024
LONG = "x" * 20_000

KNOWN = spares._copies_bytes

#: Builds after which the oldest file that is still published has no name but its own.
UNTIL_SPARE = KEPT + 2


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spares, "CUT_BYTES", CUT)
    monkeypatch.setattr(resumable_sum, "STEP_BYTES", STEP)
    # Whatever the tests lie in has leases; that it is known is a test of its own.
    monkeypatch.setattr(spares, "_copies_bytes", lambda _: True)


@pytest.fixture
def world(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    database = sqlite_copy(sqlite_template, tmp_path / "database")
    yield World(database, tmp_path)
    database.close()


def append(world: World, number: int, **more: Any) -> int:
    """One more release, and the files with it; the answer is the inode of the list."""
    world.publish("alpha", f"1.{number}.0", **{"description": LONG, **more})
    world.bring_up()
    return (world.public / "repo.json").stat().st_ino


def inodes_of(world: World, count: int) -> list[int]:
    return [append(world, number) for number in range(count)]


def local_lists(world: World) -> list[Path]:
    return list(world.machine.local.folder.glob("repo-*.json"))


# --- what an update costs ---------------------------------------------------------------------------


def test_a_file_that_nobody_has_any_more_is_written_to_again(world: World) -> None:
    inodes = inodes_of(world, 12)
    # The first one is too short for anything of it to stay.
    for number in range(1 + UNTIL_SPARE, 12):
        assert inodes[number] == inodes[number - UNTIL_SPARE]
    assert len(set(inodes[-UNTIL_SPARE:])) == UNTIL_SPARE
    assert world.names() == sorted(f"alpha 1.{number}.0" for number in range(12))
    assert len(local_lists(world)) <= KEPT + 2


def test_only_what_follows_the_last_checkpoint_is_hashed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inodes_of(world, 6)
    hashed, update = [0], ResumableSum.update

    def counted(self: ResumableSum, data: bytes) -> None:
        hashed[0] += len(data)
        update(self, data)

    monkeypatch.setattr(ResumableSum, "update", counted)
    append(world, 6)
    assert len(LONG) < hashed[0] < 2 * len(LONG) + 4 * STEP, "each list once, and less than a step before"
    hashed[0] = 0
    world.change("alpha", "1.3.0", title="Changed in the middle")
    world.bring_up()
    assert hashed[0] > 3 * len(LONG), "from the place that was changed on"
    world.names()


def test_an_object_store_keeps_no_names_so_the_file_before_is_taken(world: World) -> None:
    """The same where the storage is another file system: the local files have no other names."""
    for number in range(6):
        append(world, number)
        for path in world.public.glob("repo*.json"):
            path.write_bytes(path.rename(path.with_suffix(".moved")).read_bytes())
            path.with_suffix(".moved").unlink()
        assert len(local_lists(world)) <= 2
    before = {path.stat().st_ino for path in local_lists(world)}
    append(world, 6)
    assert before == {path.stat().st_ino for path in local_lists(world)}
    world.names()


def test_a_file_system_that_is_not_known_gets_clones_and_keeps_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "_copies_bytes", lambda _: False)
    inodes_of(world, 6)
    assert len(local_lists(world)) == 1
    world.names()


def test_a_file_system_is_known_by_its_mount(tmp_path: Path) -> None:
    said = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert KNOWN(tmp_path) == said.startswith("ext")
    assert not KNOWN(Path("/proc"))


def test_a_small_list_is_copied_and_leaves_no_spare(world: World) -> None:
    for number in range(6):
        append(world, number, description="short")
    assert len(local_lists(world)) == 1


# --- who reads --------------------------------------------------------------------------------------


def by_descriptor(path: Path) -> tuple[Callable[[], bytes], Callable[[], None]]:
    file = open(path, "rb")  # noqa: SIM115
    return file.read, file.close


def by_memory(path: Path) -> tuple[Callable[[], bytes], Callable[[], None]]:
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return mapped.read, mapped.close


def by_name(path: Path) -> tuple[Callable[[], bytes], Callable[[], None]]:
    other = path.with_name("kept-by-a-backup")
    other.hardlink_to(path)
    return other.read_bytes, other.unlink


@pytest.mark.parametrize("way", [by_descriptor, by_memory, by_name], ids=lambda one: str(one.__name__))
def test_a_file_that_somebody_has_stays_as_it_is(
    world: World, way: Callable[[Path], tuple[Callable[[], bytes], Callable[[], None]]]
) -> None:
    inodes_of(world, 4)
    shown = world.public / "repo.json"
    expected, inode = shown.read_bytes(), shown.stat().st_ino
    read, let_go = way(shown)
    assert inode not in [append(world, number) for number in range(4, 4 + 3 * UNTIL_SPARE)]
    assert read() == expected
    let_go()
    assert world.names() == sorted(f"alpha 1.{number}.0" for number in range(4 + 3 * UNTIL_SPARE))


def test_what_the_kernel_still_sends_of_a_closed_file_stays_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx closes a file once its last bytes wait in the socket, as pages of the file rather than copies of them."""
    cut = 2048 * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(spares, "CUT_BYTES", cut)
    long = "x" * (cut // 2)
    for number in range(3):
        append(world, number, description=long)
    for path in (world.public / "repo.json", *local_lists(world)):
        assert path.stat().st_size > cut
    inode = append(world, 3, description="short")
    expected = (world.public / "repo.json").read_bytes()[-100_000:]
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = socket.create_connection(server.getsockname())
        sender, _ = server.accept()
        with receiver, sender:
            descriptor = os.open(world.public / "repo.json", os.O_RDONLY)
            offset = os.fstat(descriptor).st_size - len(expected)
            assert os.sendfile(sender.fileno(), descriptor, offset, len(expected)) == len(expected)
            os.close(descriptor)
            after = [append(world, number, description="short") for number in range(4, 4 + UNTIL_SPARE)]
            assert after[-1] == inode, "it was written to"
            sender.shutdown(socket.SHUT_WR)
            with receiver.makefile("rb") as received:
                assert received.read() == expected
    world.names()


def test_a_reader_of_files_that_are_written_to_again_always_sees_a_whole_one(world: World) -> None:
    inodes_of(world, UNTIL_SPARE + 1)
    over, errors, seen = threading.Event(), [], set()

    def read() -> None:
        while not over.is_set():
            with open(world.public / "repo.json", "rb") as file:
                about, data = os.fstat(file.fileno()), file.read()
            seen.add(about.st_ino)
            if len(data) != about.st_size or data[-3:] != b"]}\n":
                errors.append((about.st_size, data[-20:]))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(UNTIL_SPARE + 1, UNTIL_SPARE + 21):
        append(world, number)
    over.set()
    reader.join()
    assert not errors
    assert len(seen) > 1


# --- what was changed or taken back -----------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "made private", "changed"])
def test_what_is_taken_back_stays_in_no_spare(world: World, how: str) -> None:
    world.publish("secret", "1.0.0", title="The Sought-for Title", description=LONG)
    inodes_of(world, 8)
    assert len(local_lists(world)) > 2
    if how == "deleted":
        world.delete("secret", "1.0.0")
    elif how == "made private":
        world.change("secret", "1.0.0", private=True)
    else:
        world.change("secret", "1.0.0", title="Another Title")
    world.bring_up()
    assert len(local_lists(world)) == 1
    assert all(b"The Sought-for Title" not in path.read_bytes() for path in world.machine.local.folder.iterdir())
    for number in range(8, 14):
        append(world, number)
    assert b"The Sought-for Title" not in world.bytes_everywhere()
    assert len(world.names()) == (14 if how != "changed" else 15)


def test_a_list_that_is_written_without_its_holes_is_hashed_from_the_beginning(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_update, "FEW_HOLES", 1024)
    inodes_of(world, 12)
    whole = (world.public / "repo.json").stat().st_size
    for number in range(5):
        world.delete("alpha", f"1.{number}.0")
        world.bring_up()
        assert len(world.names()) == 11 - number
    assert (world.public / "repo.json").stat().st_size < whole - 2 * len(LONG)
    append(world, 12)
    assert world.names() == sorted(f"alpha 1.{number}.0" for number in range(5, 13))


# --- damage, other versions, power cuts -------------------------------------------------------------


def in_index(world: World, *statements: str) -> None:
    connection = sqlite3.connect(world.machine.local.folder / "index.sqlite3")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


#: A sealed state of something else, as a later version of the library might leave it.
WRONG = f"UPDATE checkpoints SET state = (SELECT state FROM checkpoints WHERE offset = {STEP} AND list = 'repo')"


def of_another_version(world: World) -> None:
    stale = ResumableSum()
    for offset in range(STEP, 40 * STEP, STEP):
        stale.update(b"!" * STEP)
        state = stale.put_down().state.hex()
        in_index(world, f"UPDATE checkpoints SET state = x'{state}' WHERE offset = {offset}")
    in_index(world, f"UPDATE build SET document = replace(document, '{resumable_sum.KIND}', 'PyNaCl 0.1')")


def left_by_an_older_program(world: World) -> None:
    of_another_version(world)
    in_index(world, "UPDATE build SET document = replace(document, '\"checkpoints\":', '\"unknown\":')")


def damaged(world: World) -> None:
    in_index(world, WRONG)


def lost(world: World) -> None:
    in_index(world, "DELETE FROM checkpoints")


@pytest.mark.parametrize(
    "damage", [of_another_version, left_by_an_older_program, damaged, lost], ids=lambda one: str(one.__name__)
)
def test_states_that_cannot_be_used_make_no_wrong_sum(world: World, damage: Callable[[World], None]) -> None:
    inodes_of(world, 5)
    damage(world)
    for number in range(5, 8):
        append(world, number)
        assert len(world.names()) == number + 1


def test_a_list_that_the_disk_does_not_take_is_no_build(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inodes_of(world, 6)
    before = world.names()

    def refuse(_: Path) -> NoReturn:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(list_update, "_settle", refuse)
        with pytest.raises(OSError, match="Input/output"):
            append(world, 6)
    assert world.names() == before
    world.bring_up()
    assert len(world.names()) == 7


def test_a_machine_that_was_switched_off_trusts_no_spare(world: World) -> None:
    inodes_of(world, 6)
    present = (world.public / "repo.json").stat().st_ino
    for path in local_lists(world):
        if path.stat().st_nlink == 1 and path.stat().st_ino != present:
            path.write_bytes(bytes(path.stat().st_size))  # blocks that never reached the disk
    path = world.machine.local.folder / "index.sqlite3"
    path.write_bytes(path.read_bytes().replace(boot_id(), b"another-boot".ljust(len(boot_id()), b"-")))
    append(world, 6)
    assert len(local_lists(world)) == 2, "the present one, and the one before, which was read and is whole"
    for number in range(7, 12):
        append(world, number)
    assert len(world.names()) == 12


def test_the_daily_signing_finds_a_list_that_has_not_its_sum_and_makes_it_anew(world: World) -> None:
    append(world, 0)
    path = world.public / "repo.json"
    whole = path.read_bytes()
    assert world.machine.repository.sign_again()
    inode = path.stat().st_ino
    with open(path, "r+b") as file:
        file.seek(5_000)
        file.write(b"?")
    assert hashlib.blake2b(path.read_bytes()).digest() != hashlib.blake2b(whole).digest()
    assert world.machine.repository.sign_again()
    assert path.read_bytes() == whole
    assert path.stat().st_ino != inode
    assert world.names() == ["alpha 1.0.0"]


# --- killed at any moment ---------------------------------------------------------------------------

#: What a build and its publication do to files.
ACTS = ("pwrite", "copy_file_range", "ftruncate", "rename", "fsync", "link", "replace", "unlink", "utime")


def killed(world: World, change: int, acts: int) -> bool:
    """Bring the files up in a process that dies before its act with a number. False where it came to its end."""
    pid = os.fork()
    if not pid:  # the child never returns
        try:
            machine = world.machine_called("first")
            database = Database(Settings(data_path=world.folder / "database"))
            repository = type(machine.repository)(machine.settings, database, machine.storage)
            left = [acts]

            def deadly(act: Callable[..., Any]) -> Callable[..., Any]:
                def counted(*arguments: Any, **named: Any) -> Any:
                    left[0] -= 1
                    if left[0] < 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return act(*arguments, **named)

                return counted

            for name in ACTS:
                setattr(os, name, deadly(getattr(os, name)))
            repository.bring_up(change)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.slow
def test_whenever_a_build_that_takes_a_spare_is_killed_the_next_one_is_right(world: World) -> None:
    inodes_of(world, UNTIL_SPARE + 1)
    number, acts = UNTIL_SPARE + 1, 0
    after = world.names()
    while True:
        before = world.names_in_each()
        change = world.publish("alpha", f"1.{number}.0", description=LONG)
        after = sorted([*after, f"alpha 1.{number}.0"])
        world.database.close()
        died = killed(world, change, acts)
        for now, old in zip(world.names_in_each(), before, strict=True):
            assert now in (old, after)
        # Sometimes two are killed one after the other.
        if acts % 3 or not died:
            world.bring_up()
            assert world.names() == after
        if not died:
            break
        number, acts = number + 1, acts + 1
    assert acts > 25
    assert len(local_lists(world)) <= KEPT + 2


# --- any order --------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish", "publish", "retitle", "delete", "hold", "let go"]), st.integers(0, 30)
    ),
    min_size=12,
    max_size=24,
)


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_whatever_happens_in_whatever_order_sums_are_right_and_who_reads_reads_what_was(
    steps: list[tuple[str, int]], sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any-order")
    database = sqlite_copy(sqlite_template, folder / "database")
    world = World(database, folder)
    shown: dict[str, int] = {}
    held: list[tuple[Any, bytes]] = []
    for number, (step, which) in enumerate(steps):
        version = sorted(shown)[which % len(shown)] if shown else ""
        if step == "publish":
            shown[f"1.{number}.0"] = world.publish("alpha", f"1.{number}.0", description="y" * (which * 1000))
        elif step == "retitle" and shown:
            world.change("alpha", version, title=f"Title {number}")
        elif step == "delete" and shown:
            world.delete("alpha", version)
            del shown[version]
        elif step == "hold" and (world.public / "repo.json").exists():
            file = open(world.public / "repo.json", "rb")  # noqa: SIM115
            held.append((file, (world.public / "repo.json").read_bytes()))
        elif step == "let go" and held:
            held.pop(0)[0].close()
        world.bring_up()
        assert world.names() == named([{"id": "alpha", "version": version} for version in shown])
        for file, expected in held:
            assert os.pread(file.fileno(), len(expected) + 1, 0) == expected
    for file, _ in held:
        file.close()
    database.close()
