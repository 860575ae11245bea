"""A look at a zip's central directory, for the two things that 7-Zip's listing does not tell in time.

How many entries it states (7-Zip would load ten million before it prints the first), and whether a name holds
a line break (the listing prints ``_`` in its place). Format: PKWARE's APPNOTE, 4.3.12 to 4.3.16.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

#: Largest directory in bytes that is looked at here.
_LARGEST = 4 * 1024 * 1024
_UNICODE_PATH = 0x7075


@dataclass(frozen=True)
class ZipDirectory:
    """What was seen. ``None`` where it takes 7-Zip to know."""

    entries: int | None = None
    has_line_breaks: bool | None = None


def look_at_zip(descriptor: int, size: int) -> ZipDirectory:
    """Read the end of the zip and its central directory, as far as that is simple."""
    tail_start = max(0, size - 65557)
    tail = os.pread(descriptor, size - tail_start, tail_start)
    end = tail.rfind(b"PK\x05\x06")
    # With bytes after its end, or a comment that imitates an end, only 7-Zip knows which directory it takes.
    if end < 0 or len(tail) - end < 22 or end + 22 + int.from_bytes(tail[end + 20 : end + 22], "little") != len(tail):
        return ZipDirectory()
    entries, length, offset = struct.unpack_from("<HII", tail, end + 10)
    ends_at = tail_start + end
    if end >= 20 and tail[end - 20 : end - 16] == b"PK\x06\x07":
        ends_at = int.from_bytes(tail[end - 12 : end - 4], "little") & (2**63 - 1)
        record = os.pread(descriptor, 56, ends_at)
        if len(record) == 56 and record.startswith(b"PK\x06\x06"):
            entries, length, offset = struct.unpack_from("<QQQ", record, 32)
    # Where bytes lie in front or in between, 7-Zip looks for the directory in another place.
    if length > _LARGEST or offset + length != ends_at:
        return ZipDirectory(entries)
    return ZipDirectory(entries, _has_line_breaks(os.pread(descriptor, length, offset), entries))


def _has_line_breaks(directory: bytes, entries: int) -> bool | None:
    place = 0
    for _ in range(entries):
        if directory[place : place + 4] != b"PK\x01\x02" or len(directory) - place < 46:
            return None
        name, extra, comment = struct.unpack_from("<HHH", directory, place + 28)
        if b"\n" in directory[place + 46 : place + 46 + name]:
            return True
        # Another name in UTF-8 may be there: 7-Zip prefers it.
        if extra and _UNICODE_PATH.to_bytes(2, "little") in directory[place + 46 + name : place + 46 + name + extra]:
            return None
        place += 46 + name + extra + comment
    return False
