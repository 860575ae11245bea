"""Uploads in parts: any order, again, at once, cut off, by several processes; on both databases, in a folder and S3."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.publishing.errors import NoSuchUpload, Refused
from knossos.publishing.uploads import hashing
from knossos.publishing.uploads.records import UploadRow
from knossos.settings import Settings
from knossos.storage import Storage, StorageUnavailable
from tests.support.s3 import S3Server
from tests.support.uploads import PART, UploadBench, Uploader, folder_of_parts


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> UploadBench:
    return UploadBench(Settings(data_path=tmp_path / "data"), database)


@pytest.fixture
def local(tmp_path: Path, sqlite_template: Path) -> Iterator[UploadBench]:
    """In a folder, with SQLite: for what neither the database nor the storage has a say in."""
    yield from bench_of(Settings(data_path=tmp_path / "data"), sqlite_template)


def bench_of(settings: Settings, sqlite_template: Path) -> Iterator[UploadBench]:
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(settings)
    yield UploadBench(settings, database)
    database.close()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def any_place(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Iterator[UploadBench]:
    """In a folder and in an object store, with SQLite."""
    server: S3Server | None = request.getfixturevalue("s3_server") if request.param == "s3" else None
    settings = server.settings(tmp_path / "data") if server else Settings(data_path=tmp_path / "data")
    yield from bench_of(settings, sqlite_template)


def check_finished(uploader: Uploader) -> None:
    uploader.finish()
    assert uploader.bench.stored(uploader.id) == uploader.data
    assert uploader.bench.left() == []
    assert uploader.start().done


def test_parts_arrive_in_any_order(any_place: UploadBench) -> None:
    identity = any_place.identity("dora")
    for order in itertools.permutations(range(3)):
        uploader = Uploader(any_place, identity, os.urandom(2 * PART + 17))
        assert uploader.start().finished_parts == []
        for count, number in enumerate(order, 1):
            uploader.send(number)
            assert uploader.start().finished_parts == sorted(order[:count])
        check_finished(uploader)


def test_parts_that_come_in_order_are_hashed_when_they_have_come(bench: UploadBench) -> None:
    uploader = bench.uploader(size=5 * PART)
    uploader.start()
    for number, hashed in ((0, 1), (2, 1), (3, 1), (1, 4), (4, 5)):
        uploader.send(number)
        assert uploader.row().hashed_parts == hashed
    check_finished(uploader)


def test_finishing_reads_nothing_again_that_was_hashed(local: UploadBench, monkeypatch: pytest.MonkeyPatch) -> None:
    uploader = local.uploader(size=5 * PART)
    uploader.start()
    uploader.send_all()
    monkeypatch.setattr(os, "pread", None)
    check_finished(uploader)


def test_a_state_from_before_the_machines_last_start_is_not_trusted(
    local: UploadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may have taken bytes that were hashed, and here it did."""
    uploader = local.uploader(size=3 * PART)
    uploader.start()
    uploader.send(0)
    uploader.send(1)
    monkeypatch.setattr(hashing, "_mark_of_this_boot", lambda: b"another start...")
    uploader.send(2)
    (file,) = folder_of_parts(local).iterdir()
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    with pytest.raises(Refused) as caught:
        uploader.finish()
    assert caught.value.reason == "checksum fail"
    uploader.send_all()
    check_finished(uploader)


def test_without_the_library_finishing_hashes_everything(local: UploadBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "AVAILABLE", False)
    uploader = local.uploader()
    uploader.start()
    uploader.send_all()
    assert uploader.row().hash_state is None
    check_finished(uploader)


def test_the_same_part_again_changes_nothing(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    uploader.send(1)
    assert uploader.start().finished_parts == [0, 1, 2, 3]
    check_finished(uploader)


@pytest.mark.parametrize("other", [False, True], ids=["the same bytes", "other bytes"])
def test_a_part_that_comes_again_while_the_upload_is_finished_costs_at_most_that_part(
    any_place: UploadBench, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    known = uploader.uploads._records.revisions(uploader.row().key)
    uploader.send(1, b"?" * PART if other else None)
    # As one who finishes has read it before the part came.
    if any_place.storage.folder is None:
        monkeypatch.setattr(uploader.uploads._records, "revisions", lambda _: known)
    if other:
        with pytest.raises(Refused):
            uploader.finish()
        monkeypatch.undo()
        uploader.send_all()
    check_finished(uploader)


@pytest.mark.xdist_group("s3")
def test_a_part_that_the_object_store_has_lost_is_the_only_one_to_be_sent_again(
    s3_server: S3Server, tmp_path: Path, sqlite_template: Path
) -> None:
    for bench in bench_of(s3_server.settings(tmp_path / "data"), sqlite_template):
        uploader = bench.uploader()
        uploader.start()
        uploader.send_all()
        (lost,) = (key for key in bench.left() if "/1." in key)
        bench.storage.delete(lost)
        with pytest.raises(Refused) as refused:
            uploader.finish()
        assert refused.value.reason == "missing parts"
        assert uploader.start().finished_parts == [0, 2, 3]
        uploader.send(1)
        check_finished(uploader)


def test_other_bytes_for_a_part_replace_it_and_the_hash_begins_anew(bench: UploadBench) -> None:
    uploader = bench.uploader()
    uploader.start()
    uploader.send(0)
    uploader.send(1, b"?" * PART)
    assert uploader.row().hashed_parts == 2
    uploader.send(1)
    assert uploader.row().hashed_parts == 0
    uploader.send(2)
    uploader.send(3)
    check_finished(uploader)


def test_a_wrong_part_is_replaced_in_every_place(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    uploader.send(2, b"?" * PART)
    uploader.send(2)
    check_finished(uploader)


@pytest.mark.parametrize("arrived_before", [True, False])
def test_a_part_that_is_cut_off_does_not_count_and_damages_nothing(
    any_place: UploadBench, arrived_before: bool
) -> None:
    uploader = any_place.uploader()
    uploader.start()
    if arrived_before:
        uploader.send(1)
    uploader.begin_to_send(1, b"?" * 200)
    assert uploader.start().finished_parts == [1] * arrived_before
    if arrived_before:
        uploader.uploads.verify_part(uploader.identity, uploader.id, 1, sha256(uploader.parts[1]))
    for number in {0, 1, 2, 3} - {1} if arrived_before else {0, 1, 2, 3}:
        uploader.send(number)
    check_finished(uploader)


def die(*_: object) -> None:
    raise KeyboardInterrupt


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_of_two_who_send_a_part_at_once_the_last_to_complete_it_counts(local: UploadBench) -> None:
    uploader = local.uploader(size=2 * PART)
    uploader.start()
    receive = uploader.uploads.receive(uploader.identity, uploader.id, 0)
    with receive as first, local.uploads().receive(uploader.identity, uploader.id, 0) as second:
        first.write(b"?" * 100)
        second.write(uploader.parts[0])
        first.write(b"?" * 220)
        first.complete()
        assert uploader.row().hashed_parts == 1
        second.complete()
        assert uploader.row().hashed_parts == 0
    uploader.send(1)
    check_finished(uploader)


def test_a_whole_part_waits_for_one_that_is_being_written_and_survives_its_end(local: UploadBench) -> None:
    uploader = local.uploader(size=2 * PART)
    uploader.start()
    with local.uploads().receive(uploader.identity, uploader.id, 0) as slow:
        slow.write(b"?" * 100)
        waiting = threading.Thread(target=uploader.send, args=[0])
        waiting.start()
    waiting.join(20)
    assert uploader.start().finished_parts == [0]
    uploader.send(1)
    check_finished(uploader)


def test_a_part_waits_only_so_long_for_one_who_sends_it_slowly(
    local: UploadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knossos.publishing.uploads.folder.WAIT_SECONDS", 0.0)
    uploader = local.uploader()
    uploader.start()
    with uploader.uploads.receive(uploader.identity, uploader.id, 0) as slow:
        with pytest.raises(InvalidInput, match="another request"):
            uploader.send(0)
        slow.write(uploader.parts[0])
        slow.complete()
    assert uploader.start().finished_parts == [0]


def test_many_threads_send_and_finish_one_upload(bench: UploadBench) -> None:
    uploader = bench.uploader(size=24 * PART + 1)
    uploader.start()
    others = [Uploader(bench, uploader.identity, uploader.data) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(others[n % 4].send, n % 25) for n in range(40)]
        for job in jobs:
            job.result()
        for job in [pool.submit(other.finish) for other in others]:
            job.result()
    check_finished(uploader)


def test_a_lost_answer_to_finish_is_asked_for_again(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    uploader.finish()
    assert uploader.start().done
    uploader.finish()
    other = Uploader(any_place, any_place.identity("otto"), uploader.data)
    assert other.start().done
    other.finish()
    check_finished(uploader)


def test_parts_that_could_not_be_removed_are_when_finishing_is_asked_for_again(
    any_place: UploadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()

    def away(_upload: UploadRow) -> None:
        raise StorageUnavailable("The storage does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(uploader.uploads._place, "clear", away)
        with pytest.raises(StorageUnavailable):
            uploader.finish()
    check_finished(uploader)


def test_a_server_that_was_killed_between_storing_and_noting_it_finishes_all_the_same(
    local: UploadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploader = local.uploader()
    uploader.start()
    uploader.send_all()

    with monkeypatch.context() as patch:
        patch.setattr(uploader.uploads._records, "remove", die)
        with pytest.raises(KeyboardInterrupt):
            uploader.finish()
    assert uploader.row()
    check_finished(uploader)
    with pytest.raises(NoSuchUpload):
        uploader.row()


def test_a_stored_file_is_never_written_to_by_a_part_that_comes_late(
    local: UploadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server was killed when the file had its final name beside the old one."""
    uploader = local.uploader()
    uploader.start()
    uploader.send_all()
    with monkeypatch.context() as patch:
        patch.setattr(local.blobs, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            uploader.finish()
    with pytest.raises(InvalidInput, match="about to be finished"):
        uploader.send(1, b"?" * PART)
    check_finished(uploader)


def test_a_file_has_no_name_on_the_servers_disk_while_it_is_assembled(
    any_place: UploadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nothing is left of it where the server is killed."""
    if any_place.storage.folder is not None:
        return  # there it is assembled where it will lie, and goes on being the upload
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    named: list[Path] = []
    put_file = Storage.put_file

    def look(storage: Storage, key: str, path: Path, *, keep: bool = False) -> None:
        files = [one for one in any_place.settings.data_path.glob("incoming/**/*") if one.is_file()]
        named.extend(one for one in files if one.name != "locks")
        put_file(storage, key, path, keep=keep)

    monkeypatch.setattr(Storage, "put_file", look)
    check_finished(uploader)
    assert named == []


def test_wrong_bytes_fail_and_everything_can_be_sent_anew(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    uploader.send(3, b"?" * 17)
    with pytest.raises(Refused) as caught:
        uploader.finish()
    assert caught.value.reason == "checksum fail"
    assert any_place.blobs.find(uploader.id) is None
    assert uploader.start().finished_parts == []
    uploader.send_all()
    check_finished(uploader)


def test_another_checksum_than_at_the_start_fails_and_loses_nothing(local: UploadBench) -> None:
    uploader = local.uploader()
    uploader.start()
    uploader.send_all()
    with pytest.raises(Refused) as caught:
        uploader.uploads.finish(uploader.identity, uploader.id, "0" * 64)
    assert caught.value.reason == "checksum fail"
    uploader.uploads.finish(uploader.identity, uploader.id.upper(), uploader.id.upper())
    check_finished(uploader)


def test_finish_names_the_parts_that_are_missing(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send(1)
    with pytest.raises(Refused) as caught:
        uploader.finish()
    assert (caught.value.reason, caught.value.extra) == ("missing parts", {"missing_parts": [0, 2, 3]})
    assert uploader.start().finished_parts == [1]


def test_a_part_is_held_against_its_checksum(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send(3)
    verify = uploader.uploads.verify_part
    verify(uploader.identity, uploader.id, 3, sha256(uploader.parts[3]).upper())
    for number, checksum in ((3, "0" * 64), (3, ""), (2, sha256(uploader.parts[2]))):
        with pytest.raises(Refused) as caught:
            verify(uploader.identity, uploader.id, number, checksum)
        assert caught.value.reason == "checksum"
    with pytest.raises(InvalidInput):
        verify(uploader.identity, uploader.id, 4, "")


def test_a_part_of_another_length_or_number_is_refused(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    for number, length in ((0, PART - 1), (0, PART + 1), (0, 0), (3, 16), (3, 18), (4, 1), (-1, 9)):
        with pytest.raises(InvalidInput):
            uploader.send(number, b"x" * length)
    assert uploader.start().finished_parts == []
    uploader.send_all()
    check_finished(uploader)


def test_sizes_that_do_not_fit_are_refused(local: UploadBench) -> None:
    identity, uploads = local.identity("dora"), local.uploads()
    for size, parts, reason in (
        (3 * PART + 1, 3, "invalid size"),
        (3 * PART, 4, "invalid size"),
        (0, 0, "invalid size"),
        (0, 1, "invalid size"),
        (21 * 1024**3, 1, "too large"),
    ):
        with pytest.raises(Refused) as caught:
            uploads.start(identity, "ab" * 32, size, parts)
        assert caught.value.reason == reason


def test_another_size_counts_only_while_no_part_has_arrived(local: UploadBench) -> None:
    uploader = local.uploader()
    uploader.uploads.start(uploader.identity, uploader.id, 5, 1)
    uploader.start()
    uploader.send(0)
    with pytest.raises(Refused) as caught:
        uploader.uploads.start(uploader.identity, uploader.id, 5, 1)
    assert (caught.value.reason, caught.value.extra) == ("invalid size", {"size": len(uploader.data)})
    assert uploader.start().finished_parts == [0]


def test_an_id_that_is_no_sha256_is_refused(local: UploadBench) -> None:
    uploads, identity = local.uploads(), local.identity("dora")
    for sha in ("", "None", "ab" * 31, "xy" * 32, "../../etc", "ab" * 33):
        with pytest.raises(InvalidInput):
            uploads.start(identity, sha, 1, 1)
        with pytest.raises(InvalidInput):
            uploads.finish(identity, sha)


def test_each_account_has_its_own_upload_and_others_do_not_see_it(bench: UploadBench) -> None:
    dora = bench.uploader()
    otto = Uploader(bench, bench.identity("otto"), dora.data)
    dora.start()
    dora.send_all()
    with pytest.raises(NoSuchUpload):
        otto.send(0)
    with pytest.raises(NoSuchUpload):
        otto.finish()
    with pytest.raises(NoSuchUpload):
        otto.uploads.verify_part(otto.identity, otto.id, 0, "")
    assert otto.start().finished_parts == []
    for number in range(4):
        otto.send(number, b"?" * len(otto.parts[number]))
    with pytest.raises(Refused):
        otto.finish()
    check_finished_of_two(dora, otto)


def check_finished_of_two(dora: Uploader, otto: Uploader) -> None:
    dora.finish()
    assert dora.bench.stored(dora.id) == dora.data
    assert otto.start().done
    otto.finish()
    assert dora.bench.left() == []


def test_the_quota_counts_what_is_stored_and_what_is_on_its_way(database: Database, tmp_path: Path) -> None:
    bench = UploadBench(Settings(data_path=tmp_path / "data", upload_quota_bytes=1000), database)
    first = bench.uploader(size=600)
    first.start()
    first.start()
    second = Uploader(bench, first.identity, os.urandom(401))
    with pytest.raises(Refused) as caught:
        second.start()
    assert (caught.value.reason, caught.value.extra) == ("quota exceeded", {"quota": 1000, "taken": 600})
    first.send_all()
    check_finished(first)
    with pytest.raises(Refused):
        second.start()
    Uploader(bench, first.identity, os.urandom(400)).start()
    Uploader(bench, bench.identity("olga", "operator"), os.urandom(5000)).start()
    Uploader(bench, bench.identity("otto"), os.urandom(1000)).start()


def test_starts_at_once_do_not_pass_the_quota_together(database: Database, tmp_path: Path) -> None:
    bench = UploadBench(Settings(data_path=tmp_path / "data", upload_quota_bytes=1000), database)
    identity = bench.identity("dora")

    def begin(_: int) -> bool:
        try:
            Uploader(bench, identity, os.urandom(300)).start()
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(begin, range(6))) == 3


def test_what_old_clients_want_to_find_it_by_is_stored_with_the_file(local: UploadBench) -> None:
    uploader = local.uploader()
    uploader.start()
    uploader.send_all()
    uploader.finish(content_checksum="c" * 128, vp_checksum="v" * 64)
    blob = local.blobs.find(uploader.id)
    assert blob is not None
    assert (blob.content_checksum, blob.vp_checksum) == ("c" * 128, "v" * 64)
    assert (blob.size, blob.owner_id) == (len(uploader.data), uploader.identity.user_id)


def test_an_upload_that_nobody_goes_on_with_is_removed(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send(1)
    any_place.now += any_place.settings.upload_lifetime - 1
    assert uploader.uploads.expire() == 0
    uploader.send(2)
    any_place.now += 10
    assert uploader.uploads.expire() == 0
    any_place.now += any_place.settings.upload_lifetime
    assert uploader.uploads.expire() == 1
    assert any_place.left() == []
    with pytest.raises(NoSuchUpload):
        uploader.send(0)
    uploader.start()
    uploader.send_all()
    check_finished(uploader)


def test_a_part_that_is_being_written_keeps_its_upload(bench: UploadBench) -> None:
    uploader = bench.uploader(size=PART)
    uploader.start()
    bench.now += 2 * bench.settings.upload_lifetime
    with uploader.uploads.receive(uploader.identity, uploader.id, 0) as writer:
        assert bench.uploads().expire() == 0
        writer.write(uploader.data)
        writer.complete()
    check_finished(uploader)


def test_files_of_no_upload_are_removed(local: UploadBench) -> None:
    uploader = local.uploader()
    uploader.start()
    uploader.send(0)
    (folder_of_parts(local) / ("0" * 32)).write_bytes(b"of an account that is gone")
    assert uploader.uploads.expire() == 1
    assert local.left() == [f"uploads/{uploader.row().key}"]


@pytest.mark.slow
def test_fifty_uploaders_at_once_lose_nothing(bench: UploadBench) -> None:
    uploaders = [Uploader(bench, bench.identity(f"u{n}"), os.urandom(3 * PART + n)) for n in range(50)]
    jobs = [(uploader, number) for number in (2, 0, 3, 1) for uploader in uploaders if number < len(uploader.parts)]
    for uploader in uploaders:
        uploader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Uploader.send, *zip(*jobs, strict=True)))
        list(pool.map(Uploader.finish, uploaders))
    for uploader in uploaders:
        assert bench.stored(uploader.id) == uploader.data
    assert bench.left() == []
