"""7-Zip's messages about an archive, in the words of our errors."""

from __future__ import annotations

import re

from knossos.packaging.archives.contents import encrypted
from knossos.packaging.archives.errors import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveIncomplete,
    ArchiveUnsupported,
    printable,
)
from knossos.packaging.archives.formats import COMPRESSORS, Archive, volume_of
from knossos.packaging.archives.sevenzip import Run


def explain(run: Run, archive: Archive) -> ArchiveError:
    """The error for an archive that 7-Zip could not read to its end."""
    said = run.messages
    name = archive.name
    # Of a compressor, and of an archive that did not open at all, it names what was on its command line.
    failed = [] if re.search(r"Cannot open the file as", said) else run.failed_entries()
    failed = [entry for entry in failed if archive.kind not in COMPRESSORS and not entry.startswith("/")]
    details = {"entry": printable(failed[0])} if failed else {}
    where = f" (at '{details['entry']}')" if details else ""
    if re.search(r"Wrong password|encrypted", said, re.IGNORECASE):
        return encrypted(name)
    is_short = re.search(r"Unexpected end|is truncated", said, re.IGNORECASE)
    if re.search(r"Missing volume", said, re.IGNORECASE) or (is_short and volume_of(name) is not None):
        return ArchiveIncomplete(f"{name} is not all there: a volume of it is missing, or is truncated", archive=name)
    if re.search(r"Unsupported|Can.?not find .*codec", said, re.IGNORECASE):
        return ArchiveUnsupported(
            f"{name} is packed in a way that this server's 7-Zip cannot read{where}; pack it as an ordinary 7z or zip",
            archive=name,
            **details,
        )
    if is_short:
        return ArchiveDamaged(
            f"{name} ends too early{where}: it is truncated; upload it again", archive=name, **details
        )
    return ArchiveDamaged(
        f"{name} is broken or truncated{where}; pack it again, or upload it again", archive=name, **details
    )
