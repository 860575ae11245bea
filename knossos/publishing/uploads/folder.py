"""Parts in a folder: all of one upload lie in one file, each where it belongs, so that finishing it is a new name.

How a part never gets damaged: who writes it in place holds the lock on its range of the file, and does so only while
the part has not arrived. Who sends it at the same time, or again, writes a nameless file aside; when that is whole, it
takes the lock, and replaces what is in place only if it is other bytes, after the part was recorded as missing. Who
finishes holds the lock on the whole file. A file that has been given its final name, or none, is never written to: the
name is looked at after each lock (`UploadFile.has_its_name`, `is_stored`).

Parts that arrive in order are hashed as they come; those that were early are read back when their turn is there.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from knossos.errors import InvalidInput
from knossos.hashing_aside import HashingAside
from knossos.publishing.errors import NoSuchUpload
from knossos.publishing.uploads import locks
from knossos.publishing.uploads.hashing import Hasher, resume, saved
from knossos.publishing.uploads.places import Adopt, PartWriter
from knossos.publishing.uploads.plan import Arriving, Plan
from knossos.publishing.uploads.records import Hashed, Records, UploadRow
from knossos.publishing.uploads.running_hash import RunningHash
from knossos.publishing.uploads.upload_file import PIECE_BYTES, UploadFile, storage_errors

#: Seconds for which a part that came twice waits for who has begun to write it in place.
WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.05

#: Parts that a request hashes at the most beside its own, and those that finishing hashes between two records.
_BACKLOG = 8
_BATCH = 32


class FolderParts:
    def __init__(self, folder: Path, records: Records, part_bytes: int) -> None:
        self._folder = folder
        self._records = records
        self._part_bytes = part_bytes

    @contextmanager
    def receive(self, upload: UploadRow, number: int) -> Iterator[PartWriter]:
        plan = self._plan(upload)
        start, length = plan.start(number), plan.length(number)
        with storage_errors(), UploadFile(self._path(upload)) as file:
            if file.lock(start, length) and self._may_be_written(file, upload, number):
                with contextlib.closing(_InPlace(self, upload, number, plan, file)) as writer:
                    yield writer
                return
        with storage_errors(), tempfile.TemporaryFile(dir=self._folder) as aside:
            yield _Aside(self, upload, number, plan, aside)

    def read(self, upload: UploadRow, number: int) -> Generator[bytes, None, None] | None:
        if self._records.revision(upload, number) is None:
            return None
        return self._read(upload, number)

    def _read(self, upload: UploadRow, number: int) -> Generator[bytes, None, None]:
        plan = self._plan(upload)
        with storage_errors(), UploadFile(self._path(upload)) as file:
            yield from file.read(plan.start(number), plan.length(number))

    @contextmanager
    def exclusive(self, upload: UploadRow) -> Iterator[None]:
        with storage_errors(), self._locked(upload, *locks.WHOLE):
            yield

    def finish(self, upload: UploadRow, adopt: Adopt) -> bool:
        path = self._path(upload)
        with storage_errors():
            with UploadFile(path) as file:
                if file.size() != upload.size or self._digest(upload, file) != upload.sha256:
                    return False
            adopt(path)
            # Nobody may write to it any more: it has another name by now.
            path.unlink(missing_ok=True)
        return True

    def clear(self, upload: UploadRow) -> None:
        # Not emptied: it may have its final name already.
        with storage_errors():
            self._path(upload).unlink(missing_ok=True)

    def discard(self, upload: UploadRow, untouched_since: float) -> bool:
        with storage_errors(), UploadFile(self._path(upload)) as file:
            if not file.lock(*locks.WHOLE):
                return False
            if not self._records.remove(upload.key, untouched_since=untouched_since):
                return False
            self.clear(upload)
        return True

    def remove_strays(self) -> int:
        removed = 0
        with storage_errors():
            # In this order: a file is made after its row, so one without a row will never get one.
            names = [path.name for path in self._folder.glob("*")] if self._folder.is_dir() else []
            for name in set(names) - self._records.known(names):
                (self._folder / name).unlink(missing_ok=True)
                removed += 1
        return removed

    # --- for the writers ----------------------------------------------------------------------------

    def replace(self, upload: UploadRow, number: int, plan: Plan, aside: IO[bytes]) -> None:
        """Put a whole part that was written aside into its place."""
        start, length = plan.start(number), plan.length(number)
        with self._locked(upload, start, length) as file:
            revision = self._records.revision(upload, number)
            if revision is not None:
                if file.holds(start, length, aside):
                    self._records.touch(upload)
                    return
                self._records.withdraw(upload, number)
            aside.seek(0)
            place = start
            while piece := aside.read(PIECE_BYTES):
                file.write(piece, place)
                place += len(piece)
            self._records.arrived(upload, number, secrets.randbelow(2**31))

    def hash_backlog(self, upload: UploadRow, file: UploadFile) -> None:
        """Go on with the running hash where nobody else does so right now."""
        if file.lock(*locks.HASHING):
            with contextlib.suppress(NoSuchUpload):  # finished meanwhile
                Hasher(self._records, upload, file, self._plan(upload)).advance(_BACKLOG)
            file.unlock(*locks.HASHING)

    def arrived_in_place(self, upload: UploadRow, number: int, hashed: RunningHash | None) -> bool:
        """Whether there is more to hash now."""
        step = None
        if hashed is not None:
            step = Hashed(upload.hash_state, number, saved(hashed), number + 1)
        return self._records.arrived(upload, number, secrets.randbelow(2**31), step).backlog

    # --- parts of the above -------------------------------------------------------------------------

    def _may_be_written(self, file: UploadFile, upload: UploadRow, number: int) -> bool:
        named = file.has_its_name() and not file.is_stored()
        return named and self._records.revision(upload, number) is None

    def _digest(self, upload: UploadRow, file: UploadFile) -> str:
        return Hasher(self._records, upload, file, self._plan(upload)).digest(_BATCH)

    def _plan(self, upload: UploadRow) -> Plan:
        return Plan(upload.size, self._part_bytes)

    def _path(self, upload: UploadRow) -> Path:
        return self._folder / upload.key

    @contextmanager
    def _locked(self, upload: UploadRow, start: int, length: int) -> Iterator[UploadFile]:
        """The upload's file with the lock on a part, or on all; waits for it."""
        whole = (start, length) == locks.WHOLE
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with UploadFile(self._path(upload)) as file:
                # Who finishes is waited for, however long it takes; a part that somebody sends slowly is not.
                if file.lock(start, length, wait=whole) and file.has_its_name():
                    if file.is_stored() and not whole:
                        raise InvalidInput.at("part", "this upload has all its parts, and is about to be finished")
                    yield file
                    return
            if time.monotonic() > deadline:
                raise InvalidInput.at("part", "another request is still sending this part; send it again later")
            time.sleep(_PAUSE_SECONDS)


class _InPlace:
    """Writes where the part belongs, and hashes on the way if it is the next one."""

    def __init__(self, place: FolderParts, upload: UploadRow, number: int, plan: Plan, file: UploadFile) -> None:
        self._place, self._upload, self._number, self._file = place, upload, number, file
        self._arriving = Arriving(plan, number)
        self.least_bytes = self._arriving.length
        running = resume(upload.hash_state) if upload.hashed_parts == number else None
        self._hash = None if running is None else HashingAside(running)

    def write(self, data: bytes) -> None:
        place = self._arriving.place_of(len(data))
        if self._hash is not None:
            self._hash.update(data)
        self._file.write(data, place)

    def complete(self) -> None:
        arriving = self._arriving
        arriving.check_whole()
        # Now rather than when the upload is finished, which waits until all is on the disk.
        self._file.begin_to_settle(arriving.start, arriving.length)
        hashed = None if self._hash is None else self._hash.result()
        backlog = self._place.arrived_in_place(self._upload, self._number, hashed)
        self._file.unlock(arriving.start, arriving.length)
        if backlog:
            self._place.hash_backlog(self._upload, self._file)

    def close(self) -> None:
        if self._hash is not None:
            self._hash.close()


class _Aside:
    """Writes a nameless file, which replaces the part in its place when it is whole."""

    def __init__(self, place: FolderParts, upload: UploadRow, number: int, plan: Plan, aside: IO[bytes]) -> None:
        self._place, self._upload, self._number, self._plan, self._aside = place, upload, number, plan, aside
        self._arriving = Arriving(plan, number)
        self.least_bytes = self._arriving.length

    def write(self, data: bytes) -> None:
        self._arriving.place_of(len(data))
        self._aside.write(data)

    def complete(self) -> None:
        self._arriving.check_whole()
        self._place.replace(self._upload, self._number, self._plan, self._aside)
