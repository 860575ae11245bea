"""The running hash over the file of one upload: going on with it, and its end.

The state is kept in the database, so that any process can go on. It holds only until the machine starts anew: parts
that were hashed as they came may not have reached the disk when the power went, and then they are read again.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from functools import cache
from pathlib import Path

from knossos.publishing.uploads.plan import Plan
from knossos.publishing.uploads.records import Hashed, Records, UploadRow
from knossos.publishing.uploads.running_hash import AVAILABLE, RunningHash
from knossos.publishing.uploads.upload_file import UploadFile

_MARK_BYTES = 16


def resume(state: bytes | None) -> RunningHash | None:
    """The hash to go on with; None where the state is worthless here."""
    if not AVAILABLE:
        return None
    if state is None:
        return RunningHash()
    if not state.startswith(_mark_of_this_boot()):
        return None
    return RunningHash(state[_MARK_BYTES:])


def saved(running: RunningHash) -> bytes:
    return _mark_of_this_boot() + running.state()


@cache
def _mark_of_this_boot() -> bytes:
    try:
        return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()).bytes
    except (OSError, ValueError):
        return secrets.token_bytes(_MARK_BYTES)  # then states hold within this process


class Hasher:
    def __init__(self, records: Records, upload: UploadRow, file: UploadFile, plan: Plan) -> None:
        self._records, self._upload, self._file, self._plan = records, upload, file, plan

    def advance(self, most_parts: int) -> bool:
        """Hash the parts that come next and have arrived, at most so many; whether there were any."""
        backlog = self._records.backlog(self._upload, most_parts)
        running = resume(backlog.hash_state)
        if not backlog.parts or running is None:
            return False
        for number, _ in backlog.parts:
            for piece in self._file.read(self._plan.start(number), self._plan.length(number)):
                running.update(piece)
        end = backlog.hashed_parts + len(backlog.parts)
        step = Hashed(backlog.hash_state, backlog.hashed_parts, saved(running), end)
        return self._records.advance(self._upload, backlog.parts, step)

    def digest(self, most_parts: int) -> str:
        """The SHA-256 of the whole file, when all parts have arrived and nobody writes. It is recorded after every
        ``most_parts`` parts how far this is, so that who does it again goes on from there."""
        if resume(self._records.backlog(self._upload, 0).hash_state) is None:
            self._records.reset_hash(self._upload)
        while self.advance(most_parts):
            pass
        end = self._records.backlog(self._upload, 0)
        running = resume(end.hash_state)
        if running is not None and end.hashed_parts == self._plan.parts:
            return running.hexdigest()
        plain = hashlib.sha256()
        for piece in self._file.read(0, self._plan.size):
            plain.update(piece)
        return plain.hexdigest()
