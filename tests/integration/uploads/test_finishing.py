"""Finishing an upload: again, after a crash, with wrong bytes, with parts missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from knossos.errors import InvalidInput
from knossos.publishing.errors import NoSuchUpload, Refused
from knossos.storage import Storage, StorageUnavailable
from tests.support.uploads import PART, UploadBench, Uploader, check_finished


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


@pytest.mark.parametrize(
    ("room", "step", "error"),
    [
        pytest.param("_place", "clear", StorageUnavailable("It does not answer."), id="parts could not be removed"),
        pytest.param("_records", "remove", KeyboardInterrupt(), id="killed between storing and noting it"),
    ],
)
def test_finishing_that_broke_off_after_storing_is_asked_for_again(
    any_place: UploadBench, monkeypatch: pytest.MonkeyPatch, room: str, step: str, error: BaseException
) -> None:
    uploader = any_place.uploader()
    uploader.start()
    uploader.send_all()

    def break_off(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(getattr(uploader.uploads, room), step, break_off)
        with pytest.raises(type(error)):
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
