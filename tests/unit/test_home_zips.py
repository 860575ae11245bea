"""A folder as a zip, read by Python's own zipfile: what goes in, what is left out, and how it ends when it cannot."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.homes import BadPath, NoSuchPath
from knossos.homes.zips import TornFile, zip_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"a secret of the server")
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def packed(opened: int) -> zipfile.ZipFile:
    found = zipfile.ZipFile(io.BytesIO(b"".join(zip_of(opened, sorted(os.listdir(opened))))))
    assert found.testzip() is None
    return found


def test_links_and_pipes_are_left_out_and_names_lead_nowhere(folder: Path, opened: int) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "f").write_bytes(b"f")
    (folder / "shut").mkdir()
    (folder / "shut" / "g").write_bytes(b"g")
    (folder / "shut").chmod(0)
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "a" / "secret").symlink_to(folder.parent / "outside" / "secret")
    os.mkfifo(folder / "pipe")
    (folder / "..\\..\\x").write_bytes(b"x")
    for name in (b"\xff.txt", b"\xfe.txt"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    found = packed(opened)
    assert set(found.namelist()) == {"a/f", "shut/g", ".._.._x", "\ufffd.txt", "\ufffd (2).txt"}
    assert {found.read("\ufffd.txt"), found.read("\ufffd (2).txt")} == {b"\xff.txt", b"\xfe.txt"}


def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(folder: Path, opened: int) -> None:
    (folder / "a").write_bytes(os.urandom(300_000))
    (folder / "b").mkdir()
    (folder / "b" / "secret").write_bytes(b"one's own")
    pieces = zip_of(opened, ["a", "b"])
    data = next(pieces)
    (folder / "b").rename(folder / "c")
    (folder / "b").symlink_to(folder.parent / "outside")
    data += b"".join(pieces)
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["a"]
    assert b"a secret" not in data


def test_a_file_that_vanishes_before_its_turn_is_passed_over_and_one_that_grows_is_bounded(
    folder: Path, opened: int
) -> None:
    (folder / "a").write_bytes(os.urandom(3_000_000))
    (folder / "b").write_bytes(b"b")
    pieces = zip_of(opened, ["a", "b"])
    data = next(pieces)
    with open(folder / "a", "ab") as file:
        file.write(b"more")
    (folder / "b").unlink()
    found = zipfile.ZipFile(io.BytesIO(data + b"".join(pieces)))
    assert [(one.filename, one.file_size) for one in found.infolist()] == [("a", 3_000_000)]


def broken(pieces: Iterator[bytes], kind: type[Exception], data: bytes = b"") -> None:
    received = io.BytesIO(data)
    received.seek(0, io.SEEK_END)
    with pytest.raises(kind):
        received.writelines(pieces)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(received)


def test_what_goes_wrong_midway_leaves_no_zip_that_looks_whole(folder: Path, opened: int) -> None:
    (folder / "a").write_bytes(os.urandom(3_000_000))
    pieces = zip_of(opened, ["a"])
    data = next(pieces)
    os.truncate(folder / "a", 10)
    broken(pieces, TornFile, data)
    deep = folder / "deep"
    for _ in range(120):
        deep = deep / "d"
    deep.mkdir(parents=True)
    broken(zip_of(opened, ["deep"]), BadPath)


def test_a_name_that_is_not_there_is_told_before_anything_is_sent(opened: int) -> None:
    with pytest.raises(NoSuchPath, match="missing"):
        zip_of(opened, ["missing"])


@pytest.mark.slow
def test_more_files_than_an_old_zip_can_count_fit(folder: Path, opened: int) -> None:
    (folder / "f").write_bytes(b"x")
    # The same file often: what counts are the entries.
    data = b"".join(zip_of(opened, ["f"] * 70_000))
    assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == 70_000
