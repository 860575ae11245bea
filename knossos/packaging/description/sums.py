"""What a description says of a file's bytes (size, MD5, SHA-256), and whether a file is that one. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MD5, _SHA256 = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
_SAID = "the description, which need not say it, says"


def md5_sum(text: str) -> str:
    """An MD5 in lower case. Raises ValueError where it is none."""
    if not _MD5.fullmatch(text.lower()):
        raise ValueError("expected 32 hexadecimal digits")
    return text.lower()


def checksum(pair: list[str]) -> list[str]:
    """``["sha256", hex]`` in lower case. Raises ValueError where it is none."""
    lower = [part.lower() for part in pair]
    if len(lower) != 2 or lower[0] != "sha256" or not _SHA256.fullmatch(lower[1]):
        raise ValueError('expected ["sha256", <64 hexadecimal digits>]')
    return lower


@dataclass(frozen=True)
class Expected:
    """What a file has to be. None: that is not said. ``size`` is in bytes, and 0 says nothing either, as in old
    repositories; sums are lower-case hex."""

    size: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def difference(self, size: int, md5: str, sha256: str) -> str | None:
        """What a file is instead, in words that follow "the file ..."; None where it is the one."""
        if self.size and self.size != size:
            return f"has {size:,} bytes; {_SAID} {self.size:,}"
        if self.sha256 is not None and self.sha256 != sha256:
            return f"has the SHA-256 {sha256}; {_SAID} {self.sha256}"
        if self.md5 is not None and self.md5 != md5:
            return f"has the MD5 {md5}; {_SAID} {self.md5}"
        return None
