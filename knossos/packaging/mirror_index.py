"""What is known of the files in the mirror, so that none is read again to learn what is in it.

Owns small JSON files below ``<data_path>/mirrored/``: one for each path in the mirror, and one for each content that
says where it lies. A file counts as unchanged while its size, modification time and inode are those that were recorded
when it was hashed. This is a cache: a broken or missing record only costs reading the file once more.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from knossos.settings import Settings

#: Bytes read at once when a file has to be hashed.
PIECE_BYTES = 1024 * 1024


class Record(BaseModel):
    """A file of the mirror at the time it was hashed."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    path: str
    size: int
    mtime_ns: int
    inode: int
    md5: str
    sha256: str

    def still_holds(self, file: Path) -> bool:
        try:
            now = file.stat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns, now.st_ino) == (self.size, self.mtime_ns, self.inode)


class MirrorIndex:
    def __init__(self, settings: Settings) -> None:
        self._root = settings.mirror_folder
        self._folder = settings.data_path / "mirrored"

    def find(self, sha256: str) -> Record | None:
        """A file of the mirror that has these contents, if one is known and unchanged."""
        record = _load(self._by_content(sha256))
        return record if record is not None and record.still_holds(self._root / record.path) else None

    def hashes(self, path: str, file: Path, *, check: Callable[[], None]) -> Record:
        """The hashes of the file at a path, by reading it only where they are not known."""
        record = _load(self._by_path(path))
        if record is not None and record.path == path and record.still_holds(file):
            return record
        md5, sha256 = _hash(file, check)
        return self.remember(path, file, md5=md5, sha256=sha256)

    def remember(self, path: str, file: Path, *, md5: str, sha256: str) -> Record:
        """Keep what is in a file."""
        now = file.stat()
        record = Record(path=path, size=now.st_size, mtime_ns=now.st_mtime_ns, inode=now.st_ino, md5=md5, sha256=sha256)
        for place in (self._by_path(path), self._by_content(sha256)):
            if _load(place) != record:
                _store(place, record)
        return record

    def expire(self) -> int:
        """Forget records of files that are gone or changed; return how many."""
        removed = 0
        for place in self._folder.glob("*/*/*.json"):
            record = _load(place)
            if record is None or not record.still_holds(self._root / record.path):
                place.unlink(missing_ok=True)
                removed += 1
        return removed

    def _by_path(self, path: str) -> Path:
        key = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / "paths" / key[:2] / f"{key}.json"

    def _by_content(self, sha256: str) -> Path:
        return self._folder / "contents" / sha256[:2] / f"{sha256}.json"


def _load(place: Path) -> Record | None:
    try:
        return Record.model_validate_json(place.read_bytes())
    except (OSError, ValidationError):
        return None


def _store(place: Path, record: Record) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(suffix=".new", dir=place.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(record.model_dump_json())
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _hash(file: Path, check: Callable[[], None]) -> tuple[str, str]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with file.open("rb", buffering=0) as source:
        while piece := source.read(PIECE_BYTES):
            check()
            md5.update(piece)
            sha256.update(piece)
    return md5.hexdigest(), sha256.hexdigest()
