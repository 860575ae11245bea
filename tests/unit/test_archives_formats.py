"""The type of a file by its content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knossos.packaging.archives.errors import (
    ArchiveEmpty,
    ArchiveError,
    ArchiveIncomplete,
    ArchiveIsWebPage,
    ArchiveTypeUnknown,
    ArchiveUnreadable,
)
from knossos.packaging.archives.formats import Kind, name_without_suffix, opened, volume_of
from tests.support.archives import Member, compressed, rar4_bytes, rar5_bytes, tar_of, zip_of

FILES = {"a.txt": b"hello"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (zip_of(FILES), Kind.ZIP),
        (zip_of({}), Kind.ZIP),
        (tar_of(FILES), Kind.TAR),
        (compressed(b"x", "gz"), Kind.GZIP),
        (compressed(b"x", "bz2"), Kind.BZIP2),
        (compressed(b"x", "xz"), Kind.XZ),
        (rar4_bytes([Member("a", b"x")]), Kind.RAR4),
        (rar5_bytes([Member("a", b"x")]), Kind.RAR5),
    ],
)
def test_the_content_decides_and_not_the_name(content: bytes, kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with opened(path) as archive:
        assert archive.kind is kind


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.7z", b"", ArchiveEmpty),
        ("a.7z", b"<!DOCTYPE html><html>Please wait", ArchiveIsWebPage),
        ("a.7z", b"\xef\xbb\xbf\n  <html lang=en>", ArchiveIsWebPage),
        ("a.7z", b"<!-- hi -->\n<HTML>", ArchiveIsWebPage),
        ("a.7z", b"This is text", ArchiveTypeUnknown),
        ("a.7z", b"7", ArchiveTypeUnknown),
        ("a.7z", bytes(5000), ArchiveTypeUnknown),
        ("a.7z.002", b"\x01\x02", ArchiveIncomplete),
    ],
)
def test_what_is_no_archive_says_what_it_is(name: str, content: bytes, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error) as caught, opened(path):
        pass
    assert isinstance(caught.value, ArchiveError)
    assert caught.value.archive == name


def test_a_fifo_or_folder_in_place_of_the_archive_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.7z")
    for path in (tmp_path / "a.7z", tmp_path, tmp_path / "missing.7z"):
        with pytest.raises(ArchiveUnreadable), opened(path):
            pass


def test_volumes_are_known_by_their_names() -> None:
    assert volume_of("a.7z.001") == ("a.7z", 1)
    assert volume_of("a.7z.012") == ("a.7z", 12)
    assert volume_of("a.7z") is None


@pytest.mark.parametrize(
    ("archive", "entry"),
    [("a.vp.gz", "a.vp"), ("a.tgz", "a.tar"), ("A.TXZ", "A.tar"), ("a.dat", "a.dat"), (".gz", ".gz"), ("a.zst", "a")],
)
def test_a_single_file_without_a_name_is_called_after_its_archive(archive: str, entry: str) -> None:
    assert name_without_suffix(archive) == entry
