"""Uploads in parts, from `Uploads.start` to `Uploads.finish`: what clients may do, and what they are told.

Owns the rules: who has which upload, what fits, quotas, when an upload is done, when it is forgotten. Where the bytes
lie is `folder.py` and `objects.py`, what the database knows `records.py`. Each account has its own upload of a file, so
nobody can spoil another's. A file that is stored already is done for everyone, whoever stored it; so finishing may be
asked for again at any time, also by a client that never got its answer.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.publishing.blobs import ANY_FILE, Blobs
from knossos.publishing.errors import NoSuchUpload, Refused
from knossos.publishing.uploads.folder import FolderParts
from knossos.publishing.uploads.objects import PREFIX, ObjectParts
from knossos.publishing.uploads.places import PartsPlace, PartWriter
from knossos.publishing.uploads.plan import PART_BYTES, Plan
from knossos.publishing.uploads.records import Records, UploadRow, missing_parts
from knossos.settings import Settings
from knossos.storage import Storage


@dataclass(frozen=True)
class Started:
    """``done``: the file is stored, and nothing is to be sent. ``finished_parts``: those that have arrived."""

    done: bool
    finished_parts: list[int]


class Uploads:
    """Safe for threads and for any number of processes.

    Args:
        part_bytes: bytes of each part but the last; tests take fewer.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        blobs: Blobs,
        *,
        part_bytes: int = PART_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._blobs = blobs
        self._part_bytes = part_bytes
        self._clock = clock
        self._records = Records(database, clock)
        self._place: PartsPlace
        if storage.folder is not None:
            self._place = FolderParts(storage.folder / PREFIX, self._records, part_bytes)
        else:
            folder = settings.data_path / "incoming"
            self._place = ObjectParts(storage, database, folder, self._records, part_bytes)

    def start(self, identity: Identity, sha256: str, size: int, parts: int) -> Started:
        """Begin an upload, or go on with it.

        Raises:
            Refused: the numbers do not fit each other, the file is too large, or the account's quota is used up.
        """
        sha256 = checked_sha256(sha256)
        most = self._settings.publish_max_bytes
        if size > most:
            raise Refused(f"A file may have at most {most} bytes.", reason="too large", extra={"most": most})
        expected = Plan(size, self._part_bytes).parts
        if size < 1 or parts != expected:
            raise Refused(
                f"{size} bytes in parts of {self._part_bytes} bytes are {expected} parts, not {parts}.",
                reason="invalid size",
                extra={"parts": expected, "part_size": self._part_bytes},
            )
        if self._blobs.touch(sha256):
            return Started(done=True, finished_parts=[])
        quota = None if identity.is_operator else self._settings.upload_quota_bytes
        return Started(False, self._records.begin(sha256, identity.user_id, size, parts, quota))

    @contextmanager
    def receive(self, identity: Identity, sha256: str, number: int) -> Iterator[PartWriter]:
        """A place for the bytes of a part, which has arrived when `PartWriter.complete` has returned.

        Raises:
            NoSuchUpload: this account has started none of this name.
            InvalidInput: the file has no such part, or it has another length.
        """
        upload = self._records.find(checked_sha256(sha256), identity.user_id)
        Plan(upload.size, self._part_bytes).length(number)
        with self._place.receive(upload, number) as writer:
            yield writer

    def verify_part(self, identity: Identity, sha256: str, number: int, checksum: str) -> None:
        """Hold a part that has arrived against its SHA-256.

        Raises:
            NoSuchUpload, InvalidInput: as `receive`.
            Refused: it is other bytes, or has not arrived.
        """
        upload = self._records.find(checked_sha256(sha256), identity.user_id)
        Plan(upload.size, self._part_bytes).length(number)
        pieces = self._place.read(upload, number)
        if pieces is None:
            raise Refused(f"Part {number} has not arrived.", reason="checksum")
        digest = hashlib.sha256()
        with closing(pieces):
            for piece in pieces:
                digest.update(piece)
        if digest.hexdigest() != checksum.strip().lower():
            raise Refused(f"Part {number} has arrived with other bytes.", reason="checksum")

    def finish(
        self,
        identity: Identity,
        sha256: str,
        checksum: str = "",
        *,
        content_checksum: str | None = None,
        vp_checksum: str | None = None,
    ) -> None:
        """Store the file. When this returns it is stored, whoever else has asked for it before or asks meanwhile.

        Args:
            checksum: the SHA-256 once more, where the client says it.
            content_checksum, vp_checksum: what old clients want to find the file by again.

        Raises:
            NoSuchUpload: this account has started none of this name, and no such file is stored.
            Refused: parts are missing (nothing is lost), or the file has another sum (all parts have to be sent anew).
        """
        sha256 = checked_sha256(sha256)
        if checksum and checksum.strip().lower() != sha256:
            raise Refused("The checksum is not the one that the upload was started with.", reason="checksum fail")
        try:
            upload = self._records.find(sha256, identity.user_id)
        except NoSuchUpload:
            if self._blobs.touch(sha256):
                return
            raise
        if not self._blobs.touch(sha256):
            self._check_complete(upload)
        with self._place.exclusive(upload):
            # Somebody may have finished it meanwhile.
            if not self._blobs.touch(sha256):
                self._store(upload, content_checksum, vp_checksum)
            # Where that fails it is asked for again: without its record, nobody would know of a part.
            self._place.clear(upload)
            self._records.remove(upload.key)
            self._place.clear(upload)  # what came meanwhile

    def expire(self) -> int:
        """Remove uploads to which nobody has sent anything for UPLOAD_LIFETIME, and what is left of others; how many
        these were. Never one that is being sent right now."""
        limit = self._clock() - self._settings.upload_lifetime
        removed = sum(self._place.discard(upload, limit) for upload in self._records.stale(limit))
        return removed + self._place.remove_strays()

    def _check_complete(self, upload: UploadRow) -> None:
        arrived = {number for number, _ in self._records.revisions(upload.key)}
        missing = sorted(set(range(upload.parts)) - arrived)
        if missing:
            raise missing_parts(missing, upload.parts)

    def _store(self, upload: UploadRow, content_checksum: str | None, vp_checksum: str | None) -> None:
        # As it is now: it may have been finished, and begun again, since it was looked up.
        current = self._records.find(upload.sha256, upload.user_id)
        if current.key != upload.key:
            raise InvalidInput.at("id", "this upload was begun anew meanwhile")
        self._check_complete(current)

        def adopt(path: Path) -> None:
            self._blobs.adopt(
                path,
                sha256=current.sha256,
                size=current.size,
                content_type=ANY_FILE,
                owner_id=current.user_id,
                content_checksum=content_checksum,
                vp_checksum=vp_checksum,
            )

        if not self._place.finish(current, adopt):
            self._records.forget_parts(current)
            self._place.clear(current)
            raise Refused(
                "The file that has arrived has another SHA-256. All its parts have to be sent again.",
                reason="checksum fail",
            )


def checked_sha256(text: str) -> str:
    """A SHA-256 in lower-case hex. Raises InvalidInput where it is none."""
    text = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InvalidInput.at("id", "expected the SHA-256 of the file in hex")
    return text
