"""Uploads of several accounts, and their quota."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.publishing.errors import NoSuchUpload, Refused
from knossos.settings import Settings
from tests.support.uploads import UploadBench, Uploader, check_finished


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
