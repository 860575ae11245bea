"""7-Zip's technical listing (``l -slt -ba``) as a stream of entries.

Reads block by block, so that a listing of any length takes no memory and can be left at any point. Lines end
at a line feed and nowhere else: names may hold every other character. Decides nothing about names or limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from knossos.packaging.archives.errors import ArchiveDamaged

#: Longest block in bytes: a name, a comment and a link target, with room.
_LONGEST_BLOCK = 1024 * 1024
_MODE_TYPES = frozenset("-dlpcbs")


class Listed(NamedTuple):
    """One entry as 7-Zip lists it."""

    path: str
    #: None: 7-Zip does not know.
    size: int | None
    is_folder: bool
    crc: int | None
    encrypted: bool
    #: First letter of the Unix mode ("-", "d", "l", "p", "c", "b", "s"), or "".
    unix_type: str
    #: The Windows attributes say that it is a reparse point: some link of Windows.
    is_reparse_point: bool
    symlink: str
    hard_link: str
    #: RAR5: "Link:UnixSymLink" and the like.
    characteristics: str
    #: A fork or another stream of a file rather than a file.
    is_stream: bool


def parse_listing(chunks: Iterable[bytes], archive: str) -> Iterator[Listed]:
    """The entries of a listing.

    Args:
        chunks: the listing in pieces of any size.

    Raises:
        ArchiveDamaged: this is no listing.
    """
    rest = b""
    for chunk in chunks:
        rest += chunk
        *blocks, rest = rest.split(b"\n\n")
        for block in blocks:
            if block.strip(b"\n"):
                yield _entry(block, archive)
        if len(rest) > _LONGEST_BLOCK:
            raise _unreadable(archive)
    if rest.strip(b"\n"):
        yield _entry(rest, archive)


def _entry(block: bytes, archive: str) -> Listed:
    try:
        # A name that is no UTF-8 gets lone surrogates, which are refused with the other bad names.
        text = block.decode("utf-8", "surrogateescape").strip("\n")
        # The key ends at the first " = "; an empty value may have lost its last space.
        fields: dict[str, str] = {}
        for line in text.split("\n"):
            key, equals, value = line.partition(" = ")
            fields[key if equals else line.rstrip(" =")] = value
        size, crc = fields["Size"], fields.get("CRC", "")
        attributes = fields.get("Attributes", "")
        mode = fields.get("Mode") or attributes.rpartition(" ")[2]
        windows = attributes.partition(" ")[0]
        folder = fields.get("Folder")
        return Listed(
            path=fields["Path"],
            size=int(size) if size else None,
            is_folder=folder == "+" if folder else "D" in windows,
            crc=int(crc, 16) if crc else None,
            encrypted=fields.get("Encrypted") == "+",
            unix_type=mode[0] if len(mode) == 10 and mode[0] in _MODE_TYPES else "",
            is_reparse_point="L" in windows and windows.isalpha(),
            symlink=fields.get("Symbolic Link", ""),
            hard_link=fields.get("Hard Link", ""),
            characteristics=fields.get("Characteristics", ""),
            is_stream=fields.get("Alternate Stream") == "+",
        )
    except (KeyError, ValueError) as error:
        raise _unreadable(archive) from error


def _unreadable(archive: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"7-Zip's listing of {archive} makes no sense: pack the archive again", archive=archive)
