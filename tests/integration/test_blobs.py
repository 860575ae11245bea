"""Stored files by contents: stored once, counted, and collected only when nothing needs them; on both databases."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from knossos.database import Database
from knossos.publishing.blobs import ANY_FILE, Blobs, NoSuchBlob
from knossos.publishing.tables import Blob, BlobUse
from knossos.settings import Settings
from knossos.storage import Storage, blob_key

LIFETIME = 1000.0


class Clock:
    """A clock that stands still until it is moved; it starts at the time of the files."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Desk:
    """Blobs over a folder, and a short way to store something."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.storage = Storage(Settings(data_path=folder, storage=str(folder / "storage")))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "clock").touch()
        self.clock = Clock((folder / "clock").stat().st_mtime)
        self.blobs = Blobs(database, self.storage, self.clock)

    def store(self, data: bytes, content_type: str = ANY_FILE, content_checksum: str | None = None) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.folder / f"incoming-{threading.get_ident()}"
        path.write_bytes(data)
        self.blobs.adopt(
            path,
            sha256=sha256,
            size=len(data),
            content_type=content_type,
            owner_id=None,
            content_checksum=content_checksum,
        )
        return sha256

    def use(self, sha256: str, key: str) -> None:
        with self.database.session() as session:
            self.blobs.use(session, sha256, "release", key)

    def is_stored(self, sha256: str) -> bool:
        return self.storage.head(blob_key(sha256)) is not None


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path / "desk")


def test_the_same_bytes_are_stored_once_and_keep_their_row(desk: Desk) -> None:
    first = desk.store(b"the same")
    inode = os.stat(desk.storage.local_path(blob_key(first)) or "").st_ino
    assert desk.store(b"the same", "image/png") == first
    assert os.stat(desk.storage.local_path(blob_key(first)) or "").st_ino == inode
    with desk.database.reading() as session:
        assert session.scalars(select(Blob.sha256)).all() == [first]
    assert desk.blobs.image_name(first) == f"{first}.png"


def test_what_is_used_stays_and_what_is_given_up_goes_after_its_time(desk: Desk) -> None:
    kept, given_up = desk.store(b"kept"), desk.store(b"given up")
    with desk.database.session() as session:
        desk.blobs.set_uses(session, "release", "1", [kept, given_up])
    desk.clock.now += LIFETIME + 1
    assert desk.blobs.collect(LIFETIME) == 0
    with desk.database.session() as session:
        desk.blobs.set_uses(session, "release", "1", [kept])
    assert desk.blobs.collect(LIFETIME) == 0, "given up a moment ago: another release may want it"
    desk.clock.now += LIFETIME + 1
    assert desk.blobs.collect(LIFETIME) == 1
    assert desk.is_stored(kept)
    assert not desk.is_stored(given_up)
    assert desk.blobs.find(given_up) is None


def test_what_somebody_asked_for_lately_stays(desk: Desk) -> None:
    sha256 = desk.store(b"looked up")
    desk.clock.now += LIFETIME + 1
    assert desk.blobs.touch(sha256)
    assert desk.blobs.collect(LIFETIME) == 0
    assert not desk.blobs.touch("0" * 64)


def test_a_use_of_what_is_not_stored_is_refused(desk: Desk) -> None:
    with pytest.raises(NoSuchBlob) as caught, desk.database.session() as session:
        desk.blobs.set_uses(session, "mod", "fsport", ["0" * 64])
    assert caught.value.sha256 == "0" * 64
    with desk.database.reading() as session:
        assert not session.scalars(select(BlobUse)).all()


def test_stray_bytes_go_when_they_are_old_and_lost_ones_are_named(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    lost = desk.store(b"lost")
    desk.use(lost, "1")
    desk.storage.delete(blob_key(lost))
    desk.clock.now += 1
    stray = "ab" * 32
    desk.storage.put_bytes(blob_key(stray), b"stray")
    with caplog.at_level(logging.ERROR):
        assert desk.blobs.collect(LIFETIME) == 0
    assert lost in caplog.text
    assert stray not in caplog.text
    desk.clock.now += LIFETIME + 1
    assert desk.blobs.collect(LIFETIME) == 1
    assert not desk.is_stored(stray)


def test_bytes_that_are_gone_are_stored_again(desk: Desk) -> None:
    sha256 = desk.store(b"comes back")
    desk.storage.delete(blob_key(sha256))
    assert not desk.blobs.touch(sha256)
    desk.store(b"comes back")
    assert desk.is_stored(sha256)


def test_only_the_owner_says_what_the_contents_are(desk: Desk) -> None:
    sha256 = desk.store(b"archive", content_checksum="truth")
    desk.store(b"archive", content_checksum="lie")
    found = desk.blobs.find(sha256)
    assert found is not None
    assert found.content_checksum == "truth"


def test_storing_and_using_while_it_is_collected_loses_nothing(desk: Desk) -> None:
    """Whoever stores and uses a file in turns with a collector that never waits always finds it in its place."""
    lost: list[int] = []
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            desk.blobs.collect(-1)  # also what was touched this very moment

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for turn in range(15):
            while True:
                sha256 = desk.store(b"again and again")
                try:
                    desk.use(sha256, str(turn))
                except NoSuchBlob:
                    continue
                break
            if not desk.is_stored(sha256):
                lost.append(turn)
            with desk.database.session() as session:
                desk.blobs.set_uses(session, "release", str(turn), [])
    finally:
        stop.set()
        collector.join()
    assert not lost
