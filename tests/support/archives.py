"""Builders of real archives, good and hostile ones, from the formats' own descriptions.

7z, and zip beyond what zipfile writes, are made by 7-Zip itself; RAR, which no free program writes, is put
together here byte by byte (stored, RAR4 and RAR5). Nothing here reads an archive.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import struct
import subprocess
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYMLINK_MODE = 0o120777
FIFO_MODE = 0o010644

#: What RAR5's redirection record calls its kinds.
RAR5_SYMLINK, RAR5_HARD_LINK, RAR5_COPY = 1, 4, 5


@dataclass(frozen=True)
class Member:
    """One entry to put into an archive."""

    name: str
    data: bytes = b""
    #: Unix mode with its type bits; 0: what the builder likes.
    mode: int = 0
    #: Target of a symlink, a hard link or a copy.
    target: str = ""
    #: tarfile's type (SYMTYPE, FIFOTYPE, ...) or RAR5's redirection.
    kind: int | bytes | None = None
    encrypted: bool = False
    #: RAR5: give a BLAKE2 record in place of the CRC.
    blake2: bool = False
    #: RAR5: the CRC to state, where it is to be wrong.
    crc: int | None = None
    pax: Mapping[str, str] = field(default_factory=dict)


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def seven(program: Path, target: Path, files: Mapping[str, bytes], scratch: Path, *switches: str) -> Path:
    """A 7z (or what the target's name says) of these files, made by 7-Zip itself."""
    write_tree(scratch, files)
    return seven_of_folder(program, target, scratch, *switches)


def seven_of_folder(program: Path, target: Path, folder: Path, *switches: str) -> Path:
    subprocess.run(
        [str(program), "a", "-bso0", "-bsp0", *switches, "--", str(target.absolute()), "."],
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    return target


def zip_bytes(members: Iterable[Member], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """A zip, with whatever names and modes the members have."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # it warns of names that come twice
        archive.comment = comment
        for member in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = member.name
            info.compress_type = method
            info.create_system = 3
            info.external_attr = (member.mode or 0o100644) << 16
            archive.writestr(info, member.target.encode() if member.target else member.data)
    return buffer.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    return zip_bytes(Member(name, data) for name, data in files.items())


def encrypted_zip_bytes(name: str, data: bytes) -> bytes:
    """A zip with one entry that says it is encrypted."""
    raw = bytearray(zip_bytes([Member(name, data)], zipfile.ZIP_STORED))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def zip_with_lying_sizes(name: str, real: bytes, stated: int) -> bytes:
    """A zip whose headers state another unpacked size than its deflate stream holds."""
    raw = bytearray(zip_bytes([Member(name, real)]))
    central = raw.index(b"PK\x01\x02")
    struct.pack_into("<I", raw, 22, stated)
    struct.pack_into("<I", raw, central + 24, stated)
    return bytes(raw)


def tar_bytes(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with files, links, FIFOs, devices and folders as the members' ``kind`` says."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.mode = member.mode or 0o644
            info.pax_headers = dict(member.pax)
            if isinstance(member.kind, bytes):
                info.type = member.kind
            info.linkname = member.target
            info.size = len(member.data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(member.data))
    return buffer.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    return tar_bytes(Member(name, data) for name, data in files.items())


def compressed(data: bytes, kind: str) -> bytes:
    """The bytes as gz, xz, bz2 or zst (the last by the zstd program); the slow xz and bz2 at their lowest level."""
    if kind == "gz":
        return gzip.compress(data, mtime=0)
    if kind == "xz":
        return lzma.compress(data, preset=0)
    if kind == "bz2":
        return bz2.compress(data, 1)
    if kind == "zst":
        return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True, timeout=60).stdout
    raise ValueError(kind)


def split(path: Path, size: int) -> list[Path]:
    """Cut a file into volumes ``<name>.001``, ``.002``, ... and remove it."""
    data = path.read_bytes()
    path.unlink()
    volumes = []
    for number, start in enumerate(range(0, len(data), size), 1):
        volume = path.with_name(f"{path.name}.{number:03d}")
        volume.write_bytes(data[start : start + size])
        volumes.append(volume)
    return volumes


# --- RAR -----------------------------------------------------------------------------------------------


def _vint(value: int) -> bytes:
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _rar5_block(kind: int, body: bytes, extra: bytes = b"", data: bytes | None = None) -> bytes:
    flags = (1 if extra else 0) | (2 if data is not None else 0)
    head = _vint(kind) + _vint(flags)
    if extra:
        head += _vint(len(extra))
    if data is not None:
        head += _vint(len(data))
    head += body + extra
    sized = _vint(len(head)) + head
    return struct.pack("<I", zlib.crc32(sized)) + sized + (data or b"")


def _rar5_record(kind: int, content: bytes) -> bytes:
    inner = _vint(kind) + content
    return _vint(len(inner)) + inner


def rar5_bytes(members: Iterable[Member]) -> bytes:
    """A RAR5 of stored entries. ``kind``: RAR5_SYMLINK, RAR5_HARD_LINK or RAR5_COPY."""
    out = b"Rar!\x1a\x07\x01\x00" + _rar5_block(1, _vint(0))
    for member in members:
        folder = member.name.endswith("/")
        name = member.name.rstrip("/").encode()
        data = b"" if folder or member.kind is not None else member.data
        extra = b""
        if member.encrypted:
            extra += _rar5_record(1, _vint(0) + _vint(0) + b"\x0f" + bytes(16) + bytes(16))
            data += bytes(-len(data) % 16)
        if member.blake2:
            extra += _rar5_record(2, _vint(0) + _blake2sp(member.data))
        if member.kind is not None:
            assert isinstance(member.kind, int)
            target = member.target.encode()
            extra += _rar5_record(5, _vint(member.kind) + _vint(0) + _vint(len(target)) + target)
        stated_size = len(member.target.encode()) if member.kind == RAR5_SYMLINK else len(member.data)
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        with_crc = not (folder or member.blake2 or member.kind is not None)
        flags = (1 if folder else 0) | (4 if with_crc else 0)
        mode = member.mode or (0o040755 if folder else SYMLINK_MODE if member.kind == RAR5_SYMLINK else 0o100644)
        body = _vint(flags) + _vint(0 if folder else stated_size) + _vint(mode)
        if with_crc:
            body += struct.pack("<I", crc)
        body += _vint(0) + _vint(1) + _vint(len(name)) + name
        out += _rar5_block(2, body, extra, data)
    return out + _rar5_block(5, _vint(0))


def _blake2sp(data: bytes) -> bytes:
    """BLAKE2sp, from its paper: eight leaves that take 64-byte blocks in turn, and a root over them."""
    import hashlib

    leaves = []
    for lane in range(8):
        part = b"".join(data[i : i + 64] for i in range(lane * 64, len(data), 512))
        leaf = hashlib.blake2s(
            part, fanout=8, depth=2, node_offset=lane, node_depth=0, inner_size=32, last_node=lane == 7
        )
        leaves.append(leaf.digest())
    root = hashlib.blake2s(b"".join(leaves), fanout=8, depth=2, node_depth=1, inner_size=32, last_node=True)
    return root.digest()


def _rar4_block(kind: int, flags: int, body: bytes) -> bytes:
    head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
    return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head


def rar4_bytes(members: Iterable[Member]) -> bytes:
    """A RAR of version 3 and 4 with stored entries; ``mode`` may make one a symlink, whose text is its target."""
    out = b"Rar!\x1a\x07\x00" + _rar4_block(0x73, 0, bytes(6))
    for member in members:
        folder = member.name.endswith("/")
        name = member.name.rstrip("/").encode()
        data = member.target.encode() if member.target else member.data
        mode = member.mode or (SYMLINK_MODE if member.target else 0o040755 if folder else 0o100644)
        flags = 0x8000 | (0xE0 if folder else 0) | (0x04 if member.encrypted else 0)
        body = struct.pack(
            "<IIBIIBBHI", len(data), len(data), 3, zlib.crc32(data), 0x5A000000, 29, 0x30, len(name), mode
        )
        out += _rar4_block(0x74, flags, body + name) + data
    return out + _rar4_block(0x7B, 0x4000, b"")


# --- disk images ---------------------------------------------------------------------------------------


def _iso_record(name: bytes, block: int, size: int, folder: bool) -> bytes:
    def both(value: int, form: str) -> bytes:
        return struct.pack(f"<{form}", value) + struct.pack(f">{form}", value)

    body = b"\x00" + both(block, "I") + both(size, "I") + bytes([126, 1, 1, 0, 0, 0, 0])
    body += bytes([2 if folder else 0, 0, 0]) + both(1, "H") + bytes([len(name)]) + name
    body += bytes(1 - len(name) % 2)
    return bytes([len(body) + 1]) + body


def iso_bytes(files: Mapping[str, bytes]) -> bytes:
    """An ISO 9660 image (ECMA-119) with these files in its root."""

    def both(value: int, form: str) -> bytes:
        return struct.pack(f"<{form}", value) + struct.pack(f">{form}", value)

    root_block, place = 20, 21
    placed = []
    for name, data in files.items():
        placed.append((f"{name};1".encode(), place, data))
        place += max(1, -(-len(data) // 2048))
    root = _iso_record(b"\x00", root_block, 2048, True) + _iso_record(b"\x01", root_block, 2048, True)
    root += b"".join(_iso_record(name, block, len(data), False) for name, block, data in placed)
    table = bytes([1, 0]) + struct.pack("<IH", root_block, 1) + b"\x00\x00"
    primary = b"\x01CD001\x01\x00" + b" " * 64 + bytes(8) + both(place, "I") + bytes(32)
    primary += both(1, "H") + both(1, "H") + both(2048, "H") + both(len(table), "I")
    primary += struct.pack("<II", 18, 0) + struct.pack(">II", 19, 0) + _iso_record(b"\x00", root_block, 2048, True)
    primary += b" " * (128 * 4 + 37 * 3) + b"2026010100000000\x00" * 4 + b"\x01\x00"
    big_table = bytes([1, 0]) + struct.pack(">IH", root_block, 1) + b"\x00\x00"
    blocks = [bytes(16 * 2048), primary, b"\xffCD001\x01", table, big_table, root]
    image = b"".join(block.ljust(-(-len(block) // 2048) * 2048, b"\x00") for block in blocks)
    return image + b"".join(data.ljust(max(1, -(-len(data) // 2048)) * 2048, b"\x00") for _, _, data in placed)


def dmg_bytes(files: Mapping[str, bytes]) -> bytes:
    """An Apple disk image (UDIF) of one zlib-compressed block list, with an ISO image of the files in it."""
    image = iso_bytes(files)
    sectors, data = len(image) // 512, zlib.compress(image)
    runs = struct.pack(">IIQQQQ", 0x80000005, 0, 0, sectors, 0, len(data))
    runs += struct.pack(">IIQQQQ", 0xFFFFFFFF, 0, sectors, 0, len(data), 0)
    table = b"mish" + struct.pack(">IQQQII", 1, 0, sectors, 0, sectors, 0) + bytes(24 + 136)
    table += struct.pack(">I", 2) + runs
    name = "disk image (Apple_ISO : 1)"
    plist = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict><key>resource-fork</key><dict>'
        f"<key>blkx</key><array><dict><key>Attributes</key><string>0x0050</string><key>CFName</key><string>{name}"
        f"</string><key>Data</key><data>{base64.b64encode(table).decode()}</data><key>ID</key><string>0</string>"
        f"<key>Name</key><string>{name}</string></dict></array></dict></dict></plist>\n"
    ).encode()
    trailer = struct.pack(">4sIIIQQQQQII", b"koly", 4, 512, 1, 0, 0, len(data), 0, 0, 1, 1) + bytes(16 + 136)
    trailer += struct.pack(">QQ", len(data), len(plist)) + bytes(120 + 136) + struct.pack(">IQ", 1, sectors) + bytes(12)
    return data + plist + trailer
