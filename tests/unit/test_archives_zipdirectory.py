"""The look at a zip's central directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knossos.packaging.archives.zipdirectory import ZipDirectory, look_at_zip
from tests.support.archives import Member, zip_bytes


def look(content: bytes, tmp_path: Path) -> ZipDirectory:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return look_at_zip(descriptor, len(content))
    finally:
        os.close(descriptor)


def test_an_ordinary_zip_is_known_completely(tmp_path: Path) -> None:
    content = zip_bytes([Member("a_b"), Member("d/c", b"x" * 100)], comment=b"hello")
    assert look(content, tmp_path) == ZipDirectory(2, False)


def test_a_line_break_in_a_name_is_seen(tmp_path: Path) -> None:
    assert look(zip_bytes([Member("a"), Member("b\nc")]), tmp_path) == ZipDirectory(2, True)


def test_line_breaks_elsewhere_are_none_in_a_name(tmp_path: Path) -> None:
    assert look(zip_bytes([Member("a", b"\n" * 10)], comment=b"one\ntwo"), tmp_path) == ZipDirectory(1, False)


def test_a_second_name_in_an_extra_field_is_left_to_7zip(tmp_path: Path) -> None:
    content = bytearray(zip_bytes([Member("name")]))
    at = content.index(b"PK\x01\x02")
    extra = b"\x75\x70\x05\x00\x01abcd"
    content[at + 30 : at + 32] = len(extra).to_bytes(2, "little")
    content[at + 50 : at + 50] = extra
    end = content.index(b"PK\x05\x06")
    content[end + 12 : end + 16] = (50 + len(extra)).to_bytes(4, "little")
    assert look(bytes(content), tmp_path) == ZipDirectory(1, None)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06", b"x" * 100_000])
def test_what_has_no_end_is_left_to_7zip(content: bytes, tmp_path: Path) -> None:
    assert look(content, tmp_path) == ZipDirectory()


def test_an_end_inside_of_a_comment_or_before_other_bytes_is_left_to_7zip(tmp_path: Path) -> None:
    imitation = b"PK\x05\x06" + bytes(8) + b"\x00\x00\x00\x00" + bytes(6)
    assert look(zip_bytes([Member("a")], comment=imitation + b"!"), tmp_path) == ZipDirectory()
    assert look(zip_bytes([Member("a")]) + b"garbage", tmp_path) == ZipDirectory()


def test_a_directory_that_is_not_where_it_should_be_is_left_to_7zip(tmp_path: Path) -> None:
    content = bytearray(zip_bytes([Member("a")]))
    end = content.index(b"PK\x05\x06")
    content[end + 16 : end + 20] = (3).to_bytes(4, "little")
    assert look(bytes(content), tmp_path) == ZipDirectory(1, None)


def test_a_harmless_directory_that_7zip_would_not_take_is_not_believed(tmp_path: Path) -> None:
    plain = zip_bytes([Member("a")])
    start, end = plain.index(b"PK\x01\x02"), plain.index(b"PK\x05\x06")
    decoy = zip_bytes([Member("b")])
    # It lies where the end says; 7-Zip takes the one right before the end.
    content = decoy[:start] + decoy[start:end] + plain
    assert look(content, tmp_path) == ZipDirectory(1, None)
