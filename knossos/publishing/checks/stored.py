"""What is known of the files of a release when it is checked: their sizes, and what was found in the archives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from knossos.packaging.archives import Inspection


@dataclass(frozen=True)
class StoredFile:
    """A file of a package that is in the storage."""

    #: Bytes.
    size: int
    #: What is in it; None for a plain file, and where it cannot be read.
    inspection: Inspection | None = None
    #: Why it cannot be read as an archive, in words for people; "" where it can.
    trouble: str = ""


#: By the index of the package and the index in its ``files``. One that is not here is not in the storage.
StoredFiles = Mapping[tuple[int, int], StoredFile]
