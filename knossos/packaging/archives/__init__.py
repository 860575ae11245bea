"""Archives: what type one is, what is in it, and whether it may be used.

Every file in an archive is hashed from the stream that 7-Zip decodes; nothing is unpacked to disk, no entry is ever
opened or created, and archives inside of archives stay closed (but for the tar in a compressor). Whatever an archive
holds, its reading ends within the limits, with an Inspection or with an ArchiveError.
"""

from __future__ import annotations

from knossos.packaging.archives.errors import ArchiveError
from knossos.packaging.archives.formats import volume_of
from knossos.packaging.archives.inspection import inspect_archive, read_entry
from knossos.packaging.archives.known import Inspections
from knossos.packaging.archives.limits import EntryBudget, Limits
from knossos.packaging.archives.model import Entry, Inspection, Link, LinkKind
from knossos.packaging.archives.sevenzip import SevenZip

__all__ = [
    "ArchiveError",
    "Entry",
    "EntryBudget",
    "Inspection",
    "Inspections",
    "Limits",
    "Link",
    "LinkKind",
    "SevenZip",
    "inspect_archive",
    "read_entry",
    "volume_of",
]
