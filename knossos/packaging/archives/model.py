"""What is known of an archive after it was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from knossos.packaging.archives.formats import COMPRESSORS, name_for_nameless, name_without_suffix
from knossos.packaging.archives.names import Names


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
    #: The entry that has no name of its own and is called after the archive; "" where each has one.
    named_after_archive: str = ""
    #: Whether a file's name is written with a backslash there: unpacked elsewhere than on Windows, it has another.
    has_backslashes: bool = False

    def for_archive(self, name: str) -> Inspection:
        """The same contents found in a file of another name, which matters where an entry is called after it.

        Raises:
            ArchiveNameRefused, ArchiveNamesCollide: called after that name, the entry cannot be.
        """
        if not self.named_after_archive:
            return self
        after = name_without_suffix if self.format in COMPRESSORS else name_for_nameless
        renamed = {self.named_after_archive: after(name)}
        names = Names(name)
        entries = [
            Entry(names.add_file(renamed.get(old.name, old.name)), old.size, old.md5, old.sha256, old.crc32)
            for old in self.entries
        ]
        captured = {renamed.get(key, key): data for key, data in self.captured.items()}
        update = {"entries": entries, "captured": captured, "named_after_archive": after(name)}
        return self.model_copy(update=update)
