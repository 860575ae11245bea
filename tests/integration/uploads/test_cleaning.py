"""What is removed of uploads that nobody goes on with."""

from __future__ import annotations

import pytest

from knossos.publishing.errors import NoSuchUpload
from tests.support.uploads import PART, UploadBench, check_finished, folder_of_parts


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
