"""Several that send, finish or ask for the same upload at the same time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from knossos.errors import InvalidInput
from knossos.publishing.errors import Refused
from tests.support.uploads import PART, UploadBench, Uploader, check_finished


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
