"""What is known of links that were downloaded before, so that an unchanged file is not fetched again.

Owns one small JSON file for each link below ``<data_path>/links/``. It is a cache: a broken or an unknown entry counts
as none, entries are replaced as a whole, and any of them may be deleted at any time. It does not know whether the file
itself is still kept somewhere; whoever passes a `KnownFile` on says by it that it is.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from knossos.settings import Settings


class KnownFile(BaseModel):
    """What a link gave when it was last downloaded. ``etag`` and ``last_modified`` are as the server sent them."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    url: str
    size: int
    md5: str
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


class KnownLinks:
    """The store of `KnownFile`s by URL."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_path / "links"

    def lookup(self, url: str) -> KnownFile | None:
        """What is known of this URL, if anything."""
        try:
            known = KnownFile.model_validate_json(self._path(url).read_bytes())
        except (OSError, ValidationError):
            return None
        return known if known.url == url else None

    def remember(self, known: KnownFile) -> None:
        """Keep this; without an ETag and a date there is nothing to ask the server with, so nothing is kept then."""
        path = self._path(known.url)
        if known.etag is None and known.last_modified is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(suffix=".new", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(known.model_dump_json())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def expire(self, older_than_seconds: float) -> int:
        """Forget what was last remembered longer ago than this; return how much that was."""
        limit = time.time() - older_than_seconds
        removed = 0
        for path in self._folder.glob("*/*"):
            try:
                if path.stat().st_mtime < limit:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # somebody else expires at the same time
        return removed

    def _path(self, url: str) -> Path:
        name = hashlib.sha256(url.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"
