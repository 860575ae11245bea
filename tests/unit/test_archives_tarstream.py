"""Reading a tar as it streams by."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knossos.packaging.archives.errors import ArchiveDamaged, ArchiveError, ArchiveNameRefused, ArchiveSpecialFile
from knossos.packaging.archives.hashing import hash_stream
from knossos.packaging.archives.tarstream import TarCutter, TarMember
from tests.support.archives import Member, tar_bytes


def read(data: bytes, piece: int = 1 << 20) -> tuple[list[TarMember], list[str], TarCutter]:
    members: list[TarMember] = []

    def note(member: TarMember) -> bool:
        members.append(member)
        return True

    cutter = TarCutter("a.tar", note)
    stream = io.BytesIO(data)
    digests = hash_stream(lambda view: stream.readinto(view[:piece]), cutter)
    return members, [digest.sha256 for digest in digests], cutter


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


FILE_NAMES = st.text(
    st.characters(exclude_characters="\x00/", exclude_categories=["Cs"]), min_size=1, max_size=150
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=60)
@given(
    st.dictionaries(FILE_NAMES, st.binary(max_size=1500), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.sampled_from([7, 512, 700, 4096, 1 << 20]),
)
def test_every_tar_that_python_writes_is_read_back(files: dict[str, bytes], form: int, piece: int) -> None:
    data = tar_bytes([Member(name, content) for name, content in files.items()], form)
    members, digests, cutter = read(data, piece)
    assert [(member.name, member.size) for member in members] == [(name, len(c)) for name, c in files.items()]
    assert digests == [sha256(content) for content in files.values()]
    assert {name: bytes(kept) for name, kept in cutter.kept.items()} == files


@settings(max_examples=200)
@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_a_damaged_tar_is_a_named_error_or_reads_but_nothing_else(noise: bytes, at: int) -> None:
    data = bytearray(tar_bytes([Member("a", b"x" * 700, pax={"path": "b" * 200}), Member("link", target="a")]))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(ArchiveError):
        read(bytes(data))


def test_links_and_folders_are_told_apart() -> None:
    data = tar_bytes(
        [
            Member("d", kind=tarfile.DIRTYPE),
            Member("d/f", b"text"),
            Member("s", target="d/f", kind=tarfile.SYMTYPE),
            Member("h", target="d/f", kind=tarfile.LNKTYPE),
        ]
    )
    members, digests, _ = read(data)
    assert [(member.name.rstrip("/"), member.kind, member.target) for member in members] == [
        ("d", "folder", ""),
        ("d/f", "file", ""),
        ("s", "symlink", "d/f"),
        ("h", "hard link", "d/f"),
    ]
    assert digests == [sha256(b"text")]


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_fifo_or_device_is_refused(kind: bytes) -> None:
    with pytest.raises(ArchiveSpecialFile) as caught:
        read(tar_bytes([Member("pipe", kind=kind)]))
    assert caught.value.entry == "pipe"


@pytest.mark.parametrize("cut", [100, 512, 900, 1024, 1536])
def test_a_truncated_tar_is_an_error(cut: int) -> None:
    whole = tar_bytes([Member("a", b"x" * 600), Member("b", b"y")])
    with pytest.raises(ArchiveDamaged):
        read(whole[:cut])


def test_a_name_header_that_claims_gigabytes_is_refused_without_reading_it() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 * 2**30
    with pytest.raises(ArchiveDamaged, match="megabyte"):
        read(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_a_thousand_headers_in_a_row_do_no_harm() -> None:
    info = tarfile.TarInfo("p" * 200)
    header = info.create_pax_header(info.get_info(), "utf-8")
    pax_only = header[: -tarfile.BLOCKSIZE]
    members, _, _ = read(pax_only * 1000 + tar_bytes([Member("a", b"1")]))
    assert [member.name for member in members] == ["p" * 200]


def test_a_name_that_is_no_unicode_is_refused() -> None:
    data = tar_bytes([Member("abc")], tarfile.GNU_FORMAT).replace(b"abc", b"a\xffc", 1)
    block = bytearray(data[:512])
    block[148:156] = b" " * 8
    data = bytes(block[:148]) + b"%06o\0 " % sum(block) + bytes(block[156:]) + data[512:]
    with pytest.raises(ArchiveNameRefused):
        read(data)


def test_what_follows_the_end_is_ignored() -> None:
    members, _, _ = read(tar_bytes([Member("a", b"1")]) + b"garbage" * 1000)
    assert [member.name for member in members] == ["a"]
