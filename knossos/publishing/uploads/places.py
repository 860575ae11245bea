"""What an upload needs of the place where its parts lie: a folder (`folder.py`) or an object store (`objects.py`)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from knossos.publishing.uploads.records import UploadRow


class PartWriter(Protocol):
    """Takes the bytes of one part. Where `complete` is not reached, the part has not arrived, and what was there of it
    before is as it was."""

    @property
    def least_bytes(self) -> int:
        """How many bytes have to come."""

    def write(self, data: bytes, /) -> None:
        """Raises InvalidInput where the part is longer than it should be."""

    def complete(self) -> None:
        """All has come: the part counts as arrived when this returns.

        Raises:
            InvalidInput: it is too short.
            NoSuchUpload: the upload was finished or given up meanwhile.
        """


#: Stores a file that is whole and has the right sum, and takes its path away.
Adopt = Callable[[Path], None]


class PartsPlace(Protocol):
    def receive(self, upload: UploadRow, number: int) -> AbstractContextManager[PartWriter]: ...

    def read(self, upload: UploadRow, number: int) -> Generator[bytes, None, None] | None:
        """The bytes of a part; None where it has not arrived."""

    def exclusive(self, upload: UploadRow) -> AbstractContextManager[None]:
        """Nobody else writes, finishes or removes this upload meanwhile; waits for those who do."""

    def finish(self, upload: UploadRow, adopt: Adopt) -> bool:
        """Inside `exclusive`: hash what is not hashed yet, and have the file stored if its sum is right; else False."""

    def clear(self, upload: UploadRow) -> None:
        """Inside `exclusive`: remove all bytes."""

    def discard(self, upload: UploadRow, untouched_since: float) -> bool:
        """Remove an upload to which nobody has sent anything since then, unless somebody is sending right now."""

    def remove_strays(self) -> int:
        """Remove what belongs to no upload."""
