"""Stored files by key: the same promises of a folder and of a real S3 server."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from knossos.errors import SettingsError
from knossos.settings import ROOT, Settings
from knossos.storage import NoSuchObject, Storage, StorageUnavailable, blob_key
from tests.support.processes import write_settings
from tests.support.redis_server import free_port
from tests.support.s3 import S3Server

#: More than an object store sends in one request.
BIG = os.urandom(1024) * 1024 * 20


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each kind."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        return Storage(server.settings(tmp_path))
    return Storage(Settings(data_path=tmp_path / "data"))


def test_what_was_put_is_read_whole_and_in_part(storage: Storage) -> None:
    storage.put_bytes("public/repo.json", b"0123456789")
    assert b"".join(storage.read("public/repo.json")) == b"0123456789"
    assert b"".join(storage.read("public/repo.json", 3)) == b"3456789"
    assert b"".join(storage.read("public/repo.json", 3, 4)) == b"3456"
    assert b"".join(storage.read("public/repo.json", 8, 100)) == b"89"
    assert b"".join(storage.read("public/repo.json", 3, 0)) == b""


def test_a_key_can_be_replaced_and_its_validator_changes(storage: Storage) -> None:
    storage.put_bytes("public/repo.json", b"one")
    first = storage.head("public/repo.json")
    storage.put_bytes("public/repo.json", b"three")
    second = storage.head("public/repo.json")
    assert first is not None
    assert second is not None
    assert (first.size, second.size) == (3, 5)
    assert first.etag != second.etag
    assert second.modified >= first.modified > 1_500_000_000


def test_a_file_moves_in_or_stays_where_it_was(storage: Storage, tmp_path: Path) -> None:
    path, key = tmp_path / "upload", blob_key("ab" * 32)
    path.write_bytes(BIG)
    storage.put_file(key, path, keep=True)
    assert path.read_bytes() == BIG
    storage.put_file(key, path)
    assert not path.exists()
    assert b"".join(storage.read(key)) == BIG
    storage.fetch(key, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == BIG


def test_what_is_not_there_is_said_to_be_missing(storage: Storage, tmp_path: Path) -> None:
    assert storage.head("public/nothing") is None
    assert list(storage.list_keys("public")) == []
    storage.delete("public/nothing")
    with pytest.raises(NoSuchObject) as caught:
        storage.read("public/nothing")
    assert caught.value.key == "public/nothing"
    with pytest.raises(NoSuchObject):
        storage.fetch("public/nothing", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_keys_are_listed_by_folder_and_leave_when_they_are_deleted(storage: Storage) -> None:
    for key in ("blobs/ab/one", "blobs/cd/two", "public/three"):
        storage.put_bytes(key, b"bytes")
    listed = {key: size for key, size, _ in storage.list_keys("blobs/")}
    assert listed == {"blobs/ab/one": 5, "blobs/cd/two": 5}
    storage.delete("blobs/ab/one")
    assert [key for key, _, _ in storage.list_keys("blobs")] == ["blobs/cd/two"]
    assert storage.head("blobs/ab/one") is None
    storage.delete_below("blobs")
    storage.delete_below("blobs")
    assert [key for key, _, _ in storage.list_keys("blobs")] == []
    assert storage.head("public/three") is not None


@pytest.mark.parametrize("does", ["stores", "removes"])
def test_a_folder_goes_while_others_change_it(storage: Storage, does: str) -> None:
    stop = threading.Event()

    def meddle() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with contextlib.suppress(NoSuchObject):  # its folder has just gone
                if does == "stores":
                    storage.put_bytes(f"runs/one/in/{number % 20}", b"x")
                else:
                    storage.delete(f"runs/one/in/{number % 20}")

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        for _ in range(20):
            with contextlib.suppress(NoSuchObject):
                for number in range(20):
                    storage.put_bytes(f"runs/one/in/{number}", b"x")
            storage.delete_below("runs/one")
    finally:
        stop.set()
        meddler.join()
    storage.delete_below("runs/one")
    assert list(storage.list_keys("runs/one")) == []


def test_who_reads_while_a_file_is_replaced_never_gets_a_mix(storage: Storage) -> None:
    storage.put_bytes("public/repo.json", BIG)
    with closing(storage.read("public/repo.json")) as pieces:
        read = [next(pieces)]
        storage.put_bytes("public/repo.json", bytes(len(BIG)))
        if storage.folder:
            assert b"".join([*read, *pieces]) == BIG
        else:
            with pytest.raises(StorageUnavailable):
                list(pieces)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../secret_key", "blobs/../../x", "public/.hidden", "a//b", "a b"])
def test_a_key_that_could_lead_elsewhere_is_a_mistake(key: str, tmp_path: Path) -> None:
    storage = Storage(Settings(data_path=tmp_path))
    with pytest.raises(ValueError, match="not a key"):
        storage.head(key)
    with pytest.raises(ValueError, match="not a key"):
        storage.local_path(key)


def test_a_file_moves_into_a_folder_without_being_copied_and_others_may_read_it(tmp_path: Path) -> None:
    storage = Storage(Settings(data_path=tmp_path))
    path = tmp_path / "upload"
    path.write_bytes(b"bytes")
    path.chmod(0o600)
    inode = path.stat().st_ino
    storage.put_file("blobs/ab/cd", path)
    stored = storage.local_path("blobs/ab/cd")
    assert stored == tmp_path / "storage/blobs/ab/cd"
    assert (stored.stat().st_ino, stat.S_IMODE(stored.stat().st_mode)) == (inode, 0o644)
    assert list(stored.parent.iterdir()) == [stored], "nothing half-written is left beside it"


def test_a_file_from_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    storage = Storage(Settings(data_path=tmp_path))
    (tmp_path / "upload").write_bytes(b"bytes")
    storage.put_file("blobs/ab/cd", tmp_path / "upload")
    assert b"".join(storage.read("blobs/ab/cd")) == b"bytes"
    assert not (tmp_path / "upload").exists()


def test_a_put_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(Settings(data_path=tmp_path))
    storage.put_bytes("public/repo.json", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable):
        storage.put_bytes("public/repo.json", b"new")
    monkeypatch.undo()
    assert b"".join(storage.read("public/repo.json")) == b"old"
    assert [path.name for path in (tmp_path / "storage/public").iterdir()] == ["repo.json"]


def away(**options: str) -> Settings:
    """Settings of an object store where nobody answers."""
    access = {"region": "us-east-1", "access_key_id": "key", "secret_access_key": "secret-of-the-operator"}
    place = {"endpoint": f"http://127.0.0.1:{free_port()}", "allow_http": "true", **access, **options}
    return Settings(storage="s3://bucket", storage_options=place)


def test_a_store_that_does_not_answer_is_unavailable_and_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        Storage(away()).head("public/repo.json")
    assert "secret-of" not in f"{caught.value} {caplog.text}"
    assert "public/repo.json" in caplog.text


@pytest.mark.parametrize("option", [{"nonsense": "x"}, {"timeout": "soon"}], ids=["unknown", "not a time"])
def test_options_that_the_store_does_not_know_are_bad_settings(option: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="STORAGE_OPTIONS") as caught:
        Storage(away(**option)).check()
    assert "secret-of" not in str(caught.value)


def test_settings_are_checked_before_anything_runs(tmp_path: Path) -> None:
    Storage(away()).check()
    Storage(Settings(data_path=tmp_path / "data")).check()
    (tmp_path / "file").touch()
    for place, expected in ((str(tmp_path / "file"), "cannot be written"), ("nonsense://bucket", "nonsense")):
        with pytest.raises(SettingsError, match=expected) as caught:
            Storage(Settings(storage=place)).check()
        assert caught.value.setting == "STORAGE"


MEMORY_PROGRAM = """
import resource, sys
from pathlib import Path
from knossos.settings_file import load_settings
from knossos.storage import Storage
storage = Storage(load_settings())
storage.put_bytes("blobs/ab/warm", bytes(40 * 1024 * 1024))
for piece in storage.read("blobs/ab/warm"):
    pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
storage.put_file("blobs/ab/big", Path(sys.argv[1]), keep=True)
size = sum(len(piece) for piece in storage.read("blobs/ab/big"))
print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.xdist_group("s3")
def test_memory_does_not_grow_with_a_file(s3_server: S3Server, tmp_path: Path) -> None:
    file = write_settings(tmp_path / "settings.py", s3_server.settings(tmp_path / "data"))
    with open(tmp_path / "big", "wb") as big:
        big.truncate(800 * 1024 * 1024)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(tmp_path / "big")],
        cwd=ROOT,
        env={**os.environ, "KNOSSOS_SETTINGS": str(file)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    size, grown = (int(number) for number in done.stdout.split())
    assert size == 800 * 1024 * 1024
    assert grown < 100 * 1024, f"{grown} KiB more"
