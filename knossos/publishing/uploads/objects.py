"""Parts in an object store: each is an object of its own, and finishing reads them in order into the whole file.

An object is never replaced by other bytes: its name has its revision in it, which comes from its contents, and the
record says which one counts. So a part that is sent again changes nothing, also for one who finishes meanwhile, and
other bytes are another object. The parts are not hashed together as they come: finishing has to read them anyway, and
hashes on the way. They pass through nameless files on this machine's disk, so memory stays flat.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from knossos.database import Database
from knossos.publishing.errors import NoSuchUpload
from knossos.publishing.uploads import locks
from knossos.publishing.uploads.places import Adopt, PartWriter
from knossos.publishing.uploads.plan import Arriving, Plan
from knossos.publishing.uploads.records import Records, UploadRow, missing_parts
from knossos.publishing.uploads.upload_file import storage_errors
from knossos.storage import NoSuchObject, Storage

PREFIX = "uploads"
#: Seconds after which an object that no record names is nobody's: it was being put when its process was killed.
_STRAY_SECONDS = 86400.0


class ObjectParts:
    """``folder`` is for files on their way, on this machine's disk."""

    def __init__(self, storage: Storage, database: Database, folder: Path, records: Records, part_bytes: int) -> None:
        self._storage = storage
        self._database = database
        self._folder = folder
        self._records = records
        self._part_bytes = part_bytes

    @contextmanager
    def receive(self, upload: UploadRow, number: int) -> Iterator[PartWriter]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with storage_errors(), tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            yield _Spooled(self, upload, number, Plan(upload.size, self._part_bytes), file)

    def store(self, upload: UploadRow, number: int, revision: int, file: IO[bytes]) -> None:
        """Keep a whole part."""
        key = _key(upload, number, revision)
        self._storage.put_file(key, _path_of(file), keep=True)
        try:
            replaced = self._records.arrived(upload, number, revision).replaced
        except NoSuchUpload:
            self._storage.delete(key)
            raise
        if replaced not in (None, revision):
            self._storage.delete(_key(upload, number, replaced))
        if self._storage.head(key) is None:  # other bytes had replaced it once, and their sender removed it just now
            self._storage.put_file(key, _path_of(file), keep=True)

    def read(self, upload: UploadRow, number: int) -> Generator[bytes, None, None] | None:
        revision = self._records.revision(upload, number)
        return None if revision is None else self._storage.read(_key(upload, number, revision))

    @contextmanager
    def exclusive(self, upload: UploadRow) -> Iterator[None]:
        """Only one at a time assembles a file. Where this ends early, two do the same work, and nothing else happens.

        With PostgreSQL, which several machines may share, the lock is the database's; else it is this machine's. Both
        die with their holder.
        """
        place = int(upload.key[:15], 16)
        if self._database.engine.dialect.name == "postgresql":
            with self._database.engine.connect() as connection:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (place,))
                yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "locks", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            locks.lock(descriptor, place, 1, wait=True)
            yield
        finally:
            os.close(descriptor)

    def finish(self, upload: UploadRow, adopt: Adopt) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with storage_errors(), tempfile.TemporaryFile(dir=self._folder) as file:
            for piece in self._pieces(upload):
                digest.update(piece)
                file.write(piece)
            file.flush()
            if file.tell() != upload.size or digest.hexdigest() != upload.sha256:
                return False
            adopt(_path_of(file))
        return True

    def clear(self, upload: UploadRow) -> None:
        for key, _, _ in list(self._storage.list_keys(f"{PREFIX}/{upload.key}")):
            self._storage.delete(key)

    def discard(self, upload: UploadRow, untouched_since: float) -> bool:
        if not self._records.remove(upload.key, untouched_since=untouched_since):
            return False
        self.clear(upload)
        return True

    def remove_strays(self) -> int:
        limit = time.time() - _STRAY_SECONDS
        old = [key for key, _, modified in self._storage.list_keys(PREFIX) if modified < limit]
        known = self._records.known(sorted({key.split("/")[1] for key in old}))
        strays = [key for key in old if key.split("/")[1] not in known]
        for key in strays:
            self._storage.delete(key)
        return len(strays) + self._remove_leavings(limit)

    def _remove_leavings(self, limit: float) -> int:
        """What a process of an older version left that was killed while it assembled a file."""
        removed = 0
        for folder in self._folder.glob("whole-*"):
            with contextlib.suppress(OSError):
                if max(folder.stat().st_mtime, *(path.stat().st_mtime for path in folder.iterdir()), 0.0) < limit:
                    for path in folder.iterdir():
                        path.unlink()
                    folder.rmdir()
                    removed += 1
        return removed

    def _pieces(self, upload: UploadRow) -> Iterator[bytes]:
        for number, revision in self._records.revisions(upload.key):
            try:
                yield from self._storage.read(_key(upload, number, revision))
            except NoSuchObject as error:
                # Other bytes have replaced it meanwhile, or the store has lost it: then only this part is missing.
                if self._records.revision(upload, number) == revision:
                    self._records.withdraw(upload, number)
                raise missing_parts([number], upload.parts) from error


class _Spooled:
    def __init__(self, place: ObjectParts, upload: UploadRow, number: int, plan: Plan, file: IO[bytes]) -> None:
        self._place, self._upload, self._number, self._file = place, upload, number, file
        self._arriving = Arriving(plan, number)
        self.least_bytes = self._arriving.length
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._arriving.place_of(len(data))
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def complete(self) -> None:
        self._arriving.check_whole()
        revision = int.from_bytes(self._hash.digest()[:4], "big") >> 1
        self._place.store(self._upload, self._number, revision, self._file)


def _key(upload: UploadRow, number: int, revision: int) -> str:
    return f"{PREFIX}/{upload.key}/{number}.{revision}"


def _path_of(file: IO[bytes]) -> Path:
    """The path of a file without a name, as long as it is open: it goes with its process, however that ends."""
    return Path(f"/proc/self/fd/{file.fileno()}")
