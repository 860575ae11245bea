"""Which type of archive a file is, by its content; its name matters only for volumes and single files.

Opens the file once, read-only. Looks at a few hundred bytes and decodes nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from knossos.packaging.archives.errors import (
    ArchiveEmpty,
    ArchiveIncomplete,
    ArchiveIsWebPage,
    ArchiveTypeUnknown,
    ArchiveUnreadable,
    printable,
)
from knossos.packaging.archives.sevenzip import Source

_HEAD_BYTES = 1024
_TRAILER_BYTES = 512

_VOLUME = re.compile(r"(?P<stem>.+)\.(?P<number>\d{3,})", re.DOTALL)
_WEB_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body|script)\b", re.I | re.S
)
_SUFFIXES = re.compile(r"\.(?:gz|bz2|bzip2|xz|zst|zstd|gzip)$", re.IGNORECASE)
_TAR_SUFFIXES = re.compile(r"\.(?:tgz|tbz2?|txz|tzst)$", re.IGNORECASE)


class Kind(StrEnum):
    """A type of archive; the value is its usual extension."""

    SEVEN = "7z"
    ZIP = "zip"
    RAR4 = "rar4"
    RAR5 = "rar5"
    TAR = "tar"
    GZIP = "gz"
    BZIP2 = "bz2"
    XZ = "xz"
    ZSTD = "zst"
    DMG = "dmg"


#: 7-Zip's names of the types. A disk image holds another type, which 7-Zip has to find out.
SWITCHES = {
    Kind.SEVEN: "7z",
    Kind.ZIP: "zip",
    Kind.RAR4: "Rar",
    Kind.RAR5: "Rar5",
    Kind.GZIP: "gzip",
    Kind.BZIP2: "bzip2",
    Kind.XZ: "xz",
    Kind.ZSTD: "zstd",
    Kind.DMG: "",
}

#: Types that hold one stream, which may be a tar.
COMPRESSORS = frozenset({Kind.GZIP, Kind.BZIP2, Kind.XZ, Kind.ZSTD})

_MAGIC = (
    (b"7z\xbc\xaf\x27\x1c", Kind.SEVEN),
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    # Markers of a zip that was to be, or was, split: one file all the same.
    (b"PK00PK\x03\x04", Kind.ZIP),
    (b"PK\x07\x08PK\x03\x04", Kind.ZIP),
    (b"Rar!\x1a\x07\x00", Kind.RAR4),
    (b"Rar!\x1a\x07\x01\x00", Kind.RAR5),
    (b"\x1f\x8b\x08", Kind.GZIP),
    (b"BZh", Kind.BZIP2),
    (b"\xfd7zXZ\x00", Kind.XZ),
    (b"\x28\xb5\x2f\xfd", Kind.ZSTD),
)


#: How programs begin, with which an archive unpacks itself: Windows, Linux, macOS, scripts.
_PROGRAMS = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
#: The archives that may follow one, and how many bytes of it 7-Zip searches.
_AFTER_PROGRAMS = (
    (b"7z\xbc\xaf\x27\x1c", Kind.SEVEN),
    (b"Rar!\x1a\x07\x01\x00", Kind.RAR5),
    (b"Rar!\x1a\x07\x00", Kind.RAR4),
)
_PROGRAM_BYTES = 1024 * 1024
#: Most bytes of a zip's end, with its comment.
_ZIP_END_BYTES = 65557
#: A file of zeros that is called a tar is one without files; bare ones of usual sizes only.
_EMPTY_TAR_BYTES = 1024 * 1024
_MOST_SKIPPABLE_FRAMES = 16


@dataclass(frozen=True)
class Archive:
    """An archive that is open. ``descriptor`` is closed by whoever opened it."""

    name: str
    descriptor: int
    kind: Kind
    #: Bytes of all its volumes.
    packed_bytes: int
    #: How many files it comes in.
    volumes: int
    source: Source
    #: What 7-Zip calls an entry that has no name, after the name by which it gets the archive.
    placeholder: str


@contextmanager
def opened(path: Path, name: str | None = None) -> Iterator[Archive]:
    """Open an archive and find out its type.

    Args:
        path: the file; the first volume of a split archive, whose other volumes lie beside it.
        name: what its users call it, where its file is called otherwise.

    Raises:
        ArchiveUnreadable, ArchiveEmpty, ArchiveIsWebPage, ArchiveTypeUnknown, ArchiveIncomplete
    """
    name = printable(name if name is not None else path.name)
    try:
        # Not blocking: a FIFO must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveUnreadable(f"{name} cannot be opened: {error.strerror}", archive=name) from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ArchiveUnreadable(f"{name} is no ordinary file", archive=name)
        kind = find_kind(descriptor, about.st_size, name)
        volumes = [path, *_later_volumes(path)]
        if len(volumes) > 1:
            if any(letter in path.name for letter in "*?"):  # 7-Zip would take it for a pattern
                raise ArchiveUnreadable(f"{name}: volumes cannot have '*' or '?' in their names", archive=name)
            packed = sum(volume.stat().st_size for volume in volumes)
            source = Source(name, str(path.absolute()), type_switch=f"{SWITCHES.get(kind, '')}.split")
            placeholder = name_for_nameless(path.name)
        else:
            packed = about.st_size
            source = of_descriptor(name, descriptor, kind)
            placeholder = name_for_nameless(str(descriptor))
        yield Archive(name, descriptor, kind, packed, len(volumes), source, placeholder)
    finally:
        os.close(descriptor)


def of_descriptor(name: str, descriptor: int, kind: Kind) -> Source:
    """An archive as 7-Zip is told of it: an open descriptor, so that no file name is parsed."""
    return Source(name, f"/proc/self/fd/{descriptor}", (descriptor,), SWITCHES.get(kind, ""))


def find_kind(descriptor: int, size: int, name: str) -> Kind:
    """The type of an open file by its content.

    Raises:
        ArchiveEmpty, ArchiveIsWebPage, ArchiveTypeUnknown, ArchiveIncomplete
    """
    if size == 0:
        raise ArchiveEmpty(f"{name} is empty: the upload or the download has failed", archive=name)
    head = os.pread(descriptor, _HEAD_BYTES, 0)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if looks_like_tar(head) or _is_empty_tar(descriptor, size, name):
        return Kind.TAR
    if _is_zstd_after_skippable_frames(descriptor):
        return Kind.ZSTD
    if head.startswith(b"koly") or os.pread(descriptor, _TRAILER_BYTES, max(0, size - _TRAILER_BYTES))[:4] == b"koly":
        return Kind.DMG
    packed = _after_a_program(descriptor, size, head)
    if packed is not None:
        return packed
    if _WEB_PAGE.match(head):
        raise ArchiveIsWebPage(
            f"{name} is a web page, not an archive: the link leads to a page about the file; give the direct link",
            archive=name,
        )
    volume = volume_of(name)
    if volume is not None and volume[1] != 1:
        raise ArchiveIncomplete(
            f"{name} is a later volume of {volume[0]}; it is read together with {volume[0]}.001", archive=name
        )
    raise ArchiveTypeUnknown(
        f"{name} is no archive of a known type (7z, zip, rar, tar, gz, bz2, xz, zst, dmg); "
        'if it is meant to be installed as it is, say "is_archive": false',
        archive=name,
    )


def _is_empty_tar(descriptor: int, size: int, name: str) -> bool:
    if size % 512 or not 1024 <= size <= _EMPTY_TAR_BYTES or not says_tar(name):
        return False
    return not any(os.pread(descriptor, size, 0))


def _is_zstd_after_skippable_frames(descriptor: int) -> bool:
    """RFC 8878: frames with data for other programs, such as a seek table, may come first."""
    place = 0
    for _ in range(_MOST_SKIPPABLE_FRAMES):
        start = os.pread(descriptor, 8, place)
        if len(start) < 8 or start[1:4] != b"\x2a\x4d\x18" or not 0x50 <= start[0] <= 0x5F:
            break
        place += 8 + int.from_bytes(start[4:], "little")
    return place > 0 and os.pread(descriptor, 4, place) == b"\x28\xb5\x2f\xfd"


def _after_a_program(descriptor: int, size: int, head: bytes) -> Kind | None:
    """The type of an archive that unpacks itself."""
    tail = os.pread(descriptor, _ZIP_END_BYTES, max(0, size - _ZIP_END_BYTES))
    end = tail.rfind(b"PK\x05\x06")
    if end >= 0 and end + 22 + int.from_bytes(tail[end + 20 : end + 22], "little") == len(tail):
        return Kind.ZIP
    if not head.startswith(_PROGRAMS):
        return None
    program = os.pread(descriptor, _PROGRAM_BYTES, 0)
    found = [(program.find(magic), kind) for magic, kind in _AFTER_PROGRAMS if magic in program]
    return min(found)[1] if found else None


def says_tar(name: str) -> bool:
    """Whether a file, or what is in a compressed one, is called a tar."""
    return name_without_suffix(name).lower().endswith(".tar")


def looks_like_tar(head: bytes | memoryview) -> bool:
    """Whether these bytes begin with a tar's header: its checksum fits."""
    block = bytes(head[:512])
    if len(block) < 512 or not any(block[:100]):
        return False
    try:
        stated = int(block[148:156].strip(b" \x00") or b"-1", 8)
    except ValueError:
        return False
    return stated == sum(block) - sum(block[148:156]) + 8 * 32


def volume_of(name: str) -> tuple[str, int] | None:
    """Of ``a.7z.003``: ``("a.7z", 3)``. None: it is not named like a volume."""
    match = _VOLUME.fullmatch(name)
    return (match["stem"], int(match["number"])) if match else None


def _later_volumes(path: Path) -> list[Path]:
    """The volumes that follow a first one, as far as they come without a gap."""
    volume = volume_of(path.name)
    if volume is None or volume[1] != 1:
        return []
    width = len(path.name) - len(volume[0]) - 1
    found: list[Path] = []
    while (following := path.with_name(f"{volume[0]}.{len(found) + 2:0{width}d}")).is_file():
        found.append(following)
    return found


def name_without_suffix(archive: str) -> str:
    """What the one file in a ``.gz`` and the like is called where it has no name of its own."""
    if _TAR_SUFFIXES.search(archive):
        return _TAR_SUFFIXES.sub(".tar", archive)
    return _SUFFIXES.sub("", archive) if _SUFFIXES.sub("", archive) else archive


def name_for_nameless(archive: str) -> str:
    """What 7-Zip calls an entry without a name (``7zz a -si foo.7z`` makes one), as clients see it on disk."""
    volume = volume_of(archive)
    name = volume[0] if volume else archive
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else f"{name}~"


def gzip_name(descriptor: int) -> str | None:
    """The name in a gzip's header (RFC 1952), where it has one."""
    head = os.pread(descriptor, 64 * 1024, 0)
    if len(head) < 18 or not head[3] & 8:
        return None
    start = 10
    if head[3] & 4:
        start += 2 + int.from_bytes(head[10:12], "little")
    end = head.find(b"\x00", start)
    if end <= start:
        return None
    raw = head[start:end]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
