"""What was found in archives that were inspected before, by the SHA-256 of the archive.

One compressed JSON file each in ``<data_path>/inspections``, written under another name first, so that a reader sees
a whole one or none. One that is broken, or was written by another version of this module, counts as unknown. Each use
touches the file: what nobody used for long can go.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import json
import os
import re
import time
import zlib
from pathlib import Path
from typing import Any

from knossos.packaging.archives.model import Entry, Inspection, Link, LinkKind
from knossos.settings import Settings

#: Raise it with every change of what is written, or of what an inspection would find.
SCHEMA = 3
#: Seconds between two touches of a file that is used all the time.
_TOUCH_SECONDS = 3600
#: Seconds after which a file that was never finished is a left-over.
_UNFINISHED_SECONDS = 3600

_KEY = re.compile(r"[0-9a-f]{64}")


class Inspections:
    """The store. Any number of processes may use one folder at once."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_path / "inspections"

    def load(self, sha256: str, name: str | None = None) -> Inspection | None:
        """The inspection of the archive with this SHA-256, or None.

        Args:
            name: what the archive is called now; see Inspection.for_archive.
        """
        path = self._path(sha256)
        try:
            raw = path.read_bytes()
            inspection = _read(json.loads(gzip.decompress(raw)))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError):
            return None
        if inspection is None:
            return None
        self._touch(path)
        return inspection if name is None else inspection.for_archive(name)

    def save(self, sha256: str, inspection: Inspection) -> None:
        """Remember an inspection."""
        path = self._path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}-{time.monotonic_ns()}.new")
        try:
            text = json.dumps(_written(inspection), ensure_ascii=True, separators=(",", ":"))
            unfinished.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=1, mtime=0))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def expire(self, older_than_seconds: float) -> int:
        """Remove what was not used for so long; how many inspections went."""
        now = time.time()
        removed = 0
        for path in self._folder.glob("*/*"):
            unfinished = path.suffix == ".new"
            limit = _UNFINISHED_SECONDS if unfinished else older_than_seconds
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > limit:
                    path.unlink()
                    removed += not unfinished
        return removed

    def _path(self, sha256: str) -> Path:
        if not _KEY.fullmatch(sha256):
            raise ValueError(f"expected a SHA-256 in lower-case hex, not {sha256!r}")
        return self._folder / sha256[:2] / f"{sha256}.json.gz"

    def _touch(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(path)


def _written(inspection: Inspection) -> dict[str, Any]:
    """Columns rather than rows: half the size, and read in half the time."""
    entries, links = inspection.entries, inspection.links
    return {
        "schema": SCHEMA,
        "format": inspection.format,
        "names": [entry.name for entry in entries],
        "sizes": [entry.size for entry in entries],
        "md5": [entry.md5 for entry in entries],
        "sha256": [entry.sha256 for entry in entries],
        "crc32": [entry.crc32 for entry in entries],
        "links": [[link.name, link.target, link.kind] for link in links],
        "warnings": inspection.warnings,
        "captured": {name: base64.b64encode(data).decode("ascii") for name, data in inspection.captured.items()},
        "named_after_archive": inspection.named_after_archive,
        "has_backslashes": inspection.has_backslashes,
    }


def _read(data: dict[str, Any]) -> Inspection | None:
    """Raises ValueError, KeyError or TypeError where it is no inspection; None: another version's."""
    if data["schema"] != SCHEMA:
        return None
    columns = (data["names"], data["sizes"], data["md5"], data["sha256"], data["crc32"])
    entries = [Entry(*row) for row in zip(*columns, strict=True)]
    try:
        captured = {name: base64.b64decode(text, validate=True) for name, text in data["captured"].items()}
    except binascii.Error as error:
        raise ValueError("not base64") from error
    return Inspection(
        format=data["format"],
        entries=entries,
        total_bytes=sum(entry.size for entry in entries),
        links=[Link(name, target, LinkKind(kind)) for name, target, kind in data["links"]],
        warnings=data["warnings"],
        captured=captured,
        named_after_archive=data["named_after_archive"],
        has_backslashes=data["has_backslashes"],
    )
