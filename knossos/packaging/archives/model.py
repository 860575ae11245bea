"""What is known of an archive after it was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from knossos.packaging.archives.formats import name_without_suffix


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in an archive. Hard links and copies are files like any other; symlinks are not entries."""

    #: Its path inside, checked, with '/' between the parts.
    name: str
    #: Bytes.
    size: int
    #: Lower-case hex.
    md5: str
    sha256: str
    #: CRC-32 as the archive states it and its content was found to have; None where it states none.
    crc32: int | None = None


class LinkKind(StrEnum):
    #: A symlink: its target is a path relative to the link's own folder.
    SYMLINK = "symlink"
    #: A second name of a file (also RAR's file copies): its target is a path from the top of the archive.
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Link:
    """A link in an archive that stays inside of it."""

    name: str
    target: str
    kind: LinkKind = LinkKind.SYMLINK


class Inspection(BaseModel):
    """An archive's contents."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    #: "7z", "zip", "rar", "tar", "tar.gz", "gz", ..., "dmg".
    format: str
    #: In the archive's order.
    entries: list[Entry]
    #: Sum of the entries' sizes.
    total_bytes: Annotated[int, Field(ge=0)]
    links: list[Link] = []
    warnings: list[str] = []
    #: Contents of the small files that were asked for, by name.
    captured: dict[str, bytes] = {}
    #: True where the only entry has no name of its own, and is called after the archive.
    named_after_archive: bool = False

    def for_archive(self, name: str) -> Inspection:
        """The same contents found in a file of another name, which matters where the entry is called after it."""
        if not self.named_after_archive:
            return self
        old = self.entries[0]
        new = Entry(name_without_suffix(name), old.size, old.md5, old.sha256, old.crc32)
        captured = {new.name: self.captured[old.name]} if old.name in self.captured else {}
        return self.model_copy(update={"entries": [new], "captured": captured})
