"""Uploads in parts of a few hundred bytes, for tests of the domain."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from knossos.accounts.tokens import Identity, Scope
from knossos.database import Database
from knossos.publishing.blobs import Blobs
from knossos.publishing.uploads import Started, Uploads
from knossos.publishing.uploads.records import UploadRow
from knossos.settings import Settings
from knossos.storage import Storage, blob_key
from tests.support.people import add_account

PART = 320


class Uploader:
    """An account that uploads one file. Each has `Uploads` of its own, as each process has."""

    def __init__(self, bench: UploadBench, identity: Identity, data: bytes) -> None:
        self.bench, self.identity, self.data = bench, identity, data
        self.uploads = bench.uploads()
        self.id = hashlib.sha256(data).hexdigest()
        self.parts = [data[start : start + PART] for start in range(0, len(data), PART)]

    def start(self) -> Started:
        return self.uploads.start(self.identity, self.id, len(self.data), len(self.parts))

    def send(self, number: int, data: bytes | None = None) -> None:
        with self.uploads.receive(self.identity, self.id, number) as writer:
            sent = self.parts[number] if data is None else data
            for start in range(0, len(sent), 100):
                writer.write(sent[start : start + 100])
            writer.complete()

    def begin_to_send(self, number: int, data: bytes) -> None:
        """The connection drops before the part is complete."""
        with self.uploads.receive(self.identity, self.id, number) as writer:
            writer.write(data)

    def send_all(self) -> None:
        for number in range(len(self.parts)):
            self.send(number)

    def finish(self, **more: Any) -> None:
        self.uploads.finish(self.identity, self.id, self.id, **more)

    def row(self) -> UploadRow:
        return self.uploads._records.find(self.id, self.identity.user_id)


class UploadBench:
    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.storage = Storage(settings)
        self.blobs = Blobs(database, self.storage)
        self.now = 1_800_000_000.0

    def uploads(self) -> Uploads:
        return Uploads(self.settings, self.database, self.storage, self.blobs, part_bytes=PART, clock=lambda: self.now)

    def identity(self, name: str, *roles: str) -> Identity:
        account = add_account(self.database, name, *roles)
        return Identity(account.user_id, name, frozenset(roles), frozenset(Scope))

    def uploader(self, name: str = "dora", size: int = 3 * PART + 17, data: bytes | None = None) -> Uploader:
        return Uploader(self, self.identity(name), os.urandom(size) if data is None else data)

    def stored(self, sha256: str) -> bytes:
        return b"".join(self.storage.read(blob_key(sha256)))

    def left(self) -> list[str]:
        """What lies where parts are on their way."""
        return sorted(key for key, _, _ in self.storage.list_keys("uploads"))


def bench_of(settings: Settings, sqlite_template: Path) -> Iterator[UploadBench]:
    """One with an SQLite database of its own."""
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(settings)
    yield UploadBench(settings, database)
    database.close()


def folder_of_parts(bench: UploadBench) -> Path:
    assert bench.storage.folder is not None
    return bench.storage.folder / "uploads"


def check_finished(uploader: Uploader) -> None:
    uploader.finish()
    assert uploader.bench.stored(uploader.id) == uploader.data
    assert uploader.bench.left() == []
    assert uploader.start().done


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
