"""Archives of every format that the reader takes, with fields of their headers changed and their sums made right again.

What is found in one that is accepted has to be below the archive's own folder.
"""

from __future__ import annotations

import functools
import itertools
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from random import Random

from fuzz.crashes import Broken, CrashKind
from fuzz.interruption import held
from fuzz.mutation import mutated, number_at
from fuzz.targets import Place
from knossos.packaging.archives import ArchiveError, Inspection, Limits, SevenZip, inspect_archive
from knossos.settings import Settings
from tests.support.archives import (
    RAR5_COPY,
    RAR5_HARD_LINK,
    RAR5_SYMLINK,
    Member,
    compressed,
    dmg_bytes,
    encrypted_zip_bytes,
    rar4_bytes,
    rar5_bytes,
    seven,
    tar_bytes,
    zip_bytes,
)

PLACE = Place.PROCESS

FILES = {
    "mod.ini": b"[launcher]\nmodname = Fuzz\n",
    "empty.txt": b"",
    "data/tables/a.tbl": b"#Ship Types\n" * 60,
    "data/maps/noise.dds": Random(1).randbytes(1500),
    "data/Gr\u00fc\u00dfe.txt": "Grüße".encode(),
}
MEMBERS = [Member(name, data) for name, data in FILES.items()]
#: What no archive of these may take: it is small.
LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_entries=2000, seconds=15, stall_seconds=10)
#: The beginnings of headers, after which fields follow.
MARKS = (
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"7z\xbc\xaf",
    b"Rar!",
    b"ustar",
    b"koly",
    b"mish",
    b"\xfd7zXZ",
    b"BZh",
    b"\x1f\x8b",
)
#: Zip methods that Python writes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@functools.cache
def seeds() -> dict[str, list[bytes]]:
    """Good archives by the name that their file has."""
    sevenzip = SevenZip.locate(Settings()).program
    links = [Member("link", kind=b"2", target="mod.ini"), Member("hard", kind=b"1", target="mod.ini")]
    rar_links = [
        Member("link", kind=RAR5_SYMLINK, target="mod.ini"),
        Member("hard", kind=RAR5_HARD_LINK, target="mod.ini"),
        Member("copy", kind=RAR5_COPY, target="mod.ini"),
    ]
    with held(), tempfile.TemporaryDirectory() as scratch:
        room = Path(scratch)
        sevens = [
            seven(sevenzip, room / f"{number}.7z", FILES, room / f"in{number}", *switches).read_bytes()
            for number, switches in enumerate(
                (
                    ("-mx=1",),
                    ("-m0=PPMd",),
                    ("-ms=off", "-m0=BZip2"),
                    ("-mhc=off", "-m0=Copy"),
                    ("-m0=Deflate", "-mf=BCJ"),
                )
            )
        ]
    tars = [tar_bytes([*MEMBERS, *links], form) for form in (0, 1, 2)]
    return {
        "a.zip": [*(zip_bytes(MEMBERS, method, b"comment") for method in _METHODS), encrypted_zip_bytes("a", b"b")],
        "a.7z": sevens,
        "a.rar": [
            rar4_bytes([*MEMBERS, Member("link", target="mod.ini")]),
            rar5_bytes([*MEMBERS, *rar_links, Member("b", b"b", blake2=True)]),
        ],
        "a.tar": tars,
        "a.dmg": [dmg_bytes({"A.TXT": b"a" * 3000, "B.TXT": b"b"})],
        **{f"a.tar.{kind}": [compressed(tar, kind) for tar in tars] for kind in ("gz", "bz2", "xz", "zst")},
        "a.tgz": [compressed(tars[0], "gz")],
    }


def inputs(random: Random) -> Iterator[bytes]:
    """The name of the file, a line end, and the bytes."""
    known = seeds()
    everything = [data for several in known.values() for data in several]
    tars = known["a.tar"]
    for name in itertools.cycle(known):
        kind = name.rpartition(".")[2]
        if kind in ("gz", "bz2", "xz", "zst", "tgz") and random.random() < 0.6:
            inner = summed_tar(changed(random, random.choice(tars), everything))
            data = compressed(inner, {"tgz": "gz"}.get(kind, kind))
        else:
            data = changed(random, random.choice(known[name]), everything)
            if random.random() < 0.7:
                data = summed(name, data)
        if random.random() < 0.05:
            name = random.choice(list(known))
        yield name.encode() + b"\n" + data


def changed(random: Random, data: bytes, others: list[bytes]) -> bytes:
    """The archive with fields of its headers, or any bytes, changed."""
    fields = bytearray(data)
    if random.random() < 0.6:
        for _ in range(random.randint(1, 4)):
            mark = random.choice([mark for mark in MARKS if mark in fields] or [b""])
            places = [place for place in range(len(fields)) if fields.startswith(mark, place)] if mark else [0]
            number_at(random, fields, random.choice(places) + random.randrange(60) - (257 if mark == b"ustar" else 0))
    if random.random() < 0.5:
        return mutated(random, bytes(fields), others)
    return bytes(fields)


# --- sums: a wrong one would be all that is ever looked at ----------------------------------------------


def summed(name: str, data: bytes) -> bytes:
    """The archive with the sums of its headers made right, where that is easy."""
    if name.endswith(".tar"):
        return summed_tar(data)
    if data.startswith(b"7z\xbc\xaf\x27\x1c"):
        return _summed_seven(data)
    if data.startswith(b"Rar!\x1a\x07\x00"):
        return _summed_rar4(data)
    if data.startswith(b"Rar!\x1a\x07\x01\x00"):
        return _summed_rar5(data)
    return data


def summed_tar(data: bytes) -> bytes:
    """With the sum of each block that looks like a header."""
    out = bytearray(data)
    for start in range(0, len(out) - 511, 512):
        if out[start + 257 : start + 262] == b"ustar":
            out[start + 148 : start + 156] = b" " * 8
            out[start + 148 : start + 156] = b"%06o\0 " % sum(out[start : start + 512])
    return bytes(out)


def _summed_seven(data: bytes) -> bytes:
    out = bytearray(data)
    if len(out) < 32:
        return data
    offset, size = struct.unpack_from("<QQ", out, 12)
    header = out[32 + offset : 32 + offset + size] if offset + size <= len(out) else out[-min(size, len(out)) :]
    struct.pack_into("<I", out, 28, zlib.crc32(header))
    struct.pack_into("<I", out, 8, zlib.crc32(out[12:32]))
    return bytes(out)


def _summed_rar4(data: bytes) -> bytes:
    out, place = bytearray(data), 7
    while place + 7 <= len(out):
        _, kind, flags, size = struct.unpack_from("<HBHH", out, place)
        if size < 7 or place + size > len(out):
            break
        struct.pack_into("<H", out, place, zlib.crc32(out[place + 2 : place + size]) & 0xFFFF)
        place += size + (struct.unpack_from("<I", out, place + 7)[0] if flags & 0x8000 and size >= 11 else 0)
        if kind == 0x7B:
            break
    return bytes(out)


def _summed_rar5(data: bytes) -> bytes:
    out, place = bytearray(data), 8
    while place + 6 < len(out):
        size, start = _vint(out, place + 4)
        end = start + size
        if not size or end > len(out):
            break
        struct.pack_into("<I", out, place, zlib.crc32(out[place + 4 : end]))
        _, after = _vint(out, start)
        flags, after = _vint(out, after)
        _, after = _vint(out, after) if flags & 1 else (0, after)
        body, _ = _vint(out, after) if flags & 2 else (0, after)
        place = end + body
    return bytes(out)


def _vint(data: bytearray, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            break
    return value, place


# --- running ---------------------------------------------------------------------------------------------


def make(folder: Path) -> Callable[[bytes], None]:
    sevenzip = SevenZip.locate(Settings())

    def take(data: bytes) -> None:
        name, _, archive = data.partition(b"\n")
        path = folder / PurePosixPath(name.decode()).name
        path.write_bytes(archive)
        try:
            found = inspect_archive(path, limits=LIMITS, sevenzip=sevenzip)
        except ArchiveError as error:
            str(error).encode("utf-8")  # it goes into answers
            return
        finally:
            path.unlink()
        check(found)
        if list(folder.iterdir()):
            raise Broken(CrashKind.OUTSIDE, "reading an archive has made a file")

    return take


def check(found: Inspection) -> None:
    """See that everything in it is below the archive's folder, and can be told to others."""
    names = [*(entry.name for entry in found.entries), *(link.name for link in found.links)]
    for name in names:
        parts = name.split("/")
        if not name or name.startswith("/") or ".." in parts or "\0" in name or "\\" in name or "" in parts:
            raise Broken(CrashKind.OUTSIDE, f"an archive was accepted with the name {name!r}")
        name.encode("utf-8")
    if sum(entry.size for entry in found.entries) > LIMITS.max_bytes:
        raise Broken(CrashKind.MEMORY, "an archive was accepted that has more bytes than its limit")
