"""The hash of an upload that follows the parts which have arrived, and when it is not trusted."""

from __future__ import annotations

import os

import pytest

from knossos.publishing.errors import Refused
from knossos.publishing.uploads import hashing
from tests.support.uploads import PART, UploadBench, check_finished, folder_of_parts


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
