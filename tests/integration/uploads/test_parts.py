"""Parts of uploads: any order, again, other bytes, cut off, of a wrong length; in a folder and in S3."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from knossos.errors import InvalidInput
from knossos.publishing.errors import Refused
from tests.support.s3 import S3Server
from tests.support.uploads import PART, UploadBench, Uploader, bench_of, check_finished, sha256


def test_parts_arrive_in_any_order(any_place: UploadBench) -> None:
    identity = any_place.identity("dora")
    for order in itertools.permutations(range(3)):
        uploader = Uploader(any_place, identity, os.urandom(2 * PART + 17))
        assert uploader.start().finished_parts == []
        for count, number in enumerate(order, 1):
            uploader.send(number)
            assert uploader.start().finished_parts == sorted(order[:count])
        check_finished(uploader)


def test_the_same_part_again_changes_nothing(any_place: UploadBench) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()
    uploader.send(1)
    assert uploader.start().finished_parts == [0, 1, 2, 3]
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
