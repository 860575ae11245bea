"""Archives that are fine, but odd: no names, no files, programs in front of them. What 7-Zip unpacks is what counts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from knossos.packaging.archives import Inspection, Limits, SevenZip, inspect_archive
from knossos.packaging.archives.errors import (
    ArchiveDamaged,
    ArchiveNameRefused,
    ArchiveNamesCollide,
    ArchiveSpecialFile,
    ArchiveTypeUnknown,
)
from knossos.settings import Settings
from tests.support.archives import (
    FIFO_MODE,
    Member,
    compressed,
    rar4_bytes,
    rar5_bytes,
    seven,
    split,
    tar_of,
    zip_bytes,
    zip_of,
)


@pytest.fixture(scope="module")
def sevenzip() -> SevenZip:
    return SevenZip.locate(Settings())


def look(path: Path, sevenzip: SevenZip, name: str | None = None) -> Inspection:
    return inspect_archive(path, limits=Limits(), sevenzip=sevenzip, name=name)


def found(inspection: Inspection) -> list[str]:
    return sorted(entry.name for entry in inspection.entries)


def unpacked(path: Path, sevenzip: SevenZip) -> Mapping[str, bytes]:
    """What 7-Zip makes of an archive on disk."""
    folder = path.parent / f"{path.name} unpacked"
    subprocess.run(
        [str(sevenzip.program), "x", "-y", "-bso0", "-bsp0", f"-o{folder}", "--", str(path)],
        check=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def from_standard_input(path: Path, sevenzip: SevenZip, data: bytes = b"hello\n", *, name: str = "") -> Path:
    command = [str(sevenzip.program), "a", "-bso0", "-bsp0", f"-si{name}", "--", str(path)]
    subprocess.run(command, input=data, check=True, timeout=60)
    return path


@pytest.mark.parametrize("name", ["foo.7z", "foo.zip", "foo.bar.7z", "foo.exe", "noending", ".7z", "3~.7z"])
def test_an_entry_without_a_name_is_called_what_7zip_calls_it(name: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    made = from_standard_input(tmp_path / f"made.{'zip' if name.endswith('zip') else '7z'}", sevenzip)
    archive = made.rename(tmp_path / name)
    inspection = look(archive, sevenzip)
    assert {entry.name: entry.size for entry in inspection.entries} == {
        name: len(data) for name, data in unpacked(archive, sevenzip).items()
    }
    assert inspection.named_after_archive == inspection.entries[0].name


def test_a_file_packed_from_a_pipe_is_a_file(sevenzip: SevenZip, tmp_path: Path) -> None:
    archive = from_standard_input(tmp_path / "a.7z", sevenzip, name="in.txt")
    assert found(look(archive, sevenzip)) == list(unpacked(archive, sevenzip)) == ["in.txt"]
    empty = from_standard_input(tmp_path / "b.7z", sevenzip, b"")
    assert found(look(empty, sevenzip)) == list(unpacked(empty, sevenzip)) == ["b"]


def test_a_fifo_is_still_refused(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_bytes([Member("pipe", mode=FIFO_MODE)]))
    with pytest.raises(ArchiveSpecialFile):
        look(tmp_path / "a.zip", sevenzip)


def test_a_nameless_entry_beside_others_gets_its_name_in_zip_and_rar(sevenzip: SevenZip, tmp_path: Path) -> None:
    members = [Member("", b"1"), Member("ok.txt", b"2")]
    for name, data in {"n22.zip": zip_bytes(members), "n23.rar": rar5_bytes(members)}.items():
        (tmp_path / name).write_bytes(data)
        inspection = look(tmp_path / name, sevenzip)
        assert found(inspection) == sorted(unpacked(tmp_path / name, sevenzip)) == [name[:3], "ok.txt"]


def test_entries_that_are_truly_called_like_descriptors_keep_their_names(sevenzip: SevenZip, tmp_path: Path) -> None:
    names = [f"{number}~" for number in range(64)]
    (tmp_path / "a.zip").write_bytes(zip_bytes(Member(name, b"1") for name in names))
    inspection = look(tmp_path / "a.zip", sevenzip)
    assert found(inspection) == sorted(names)
    assert not inspection.named_after_archive


def test_the_same_archive_under_another_name_has_another_entry(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "n22.zip").write_bytes(zip_bytes([Member("", b"1"), Member("ok.txt", b"2")]))
    inspection = look(tmp_path / "n22.zip", sevenzip)
    other = inspection.for_archive("other.zip")
    assert found(other) == ["ok.txt", "other"]
    assert found(other.for_archive("third.zip")) == ["ok.txt", "third"]
    with pytest.raises(ArchiveNamesCollide):
        inspection.for_archive("OK.txt.zip")


def test_a_split_archive_names_its_nameless_entry_after_itself(sevenzip: SevenZip, tmp_path: Path) -> None:
    made = from_standard_input(tmp_path / f"{'5' * 64}.7z", sevenzip, bytes(range(256)) * 9)
    first = split(made, 100)[0]
    inspection = look(first, sevenzip, "foo.7z.001")
    assert found(inspection) == ["foo"]
    assert inspection.named_after_archive == "foo"


@pytest.mark.parametrize("stub", [b"MZ" + bytes(3000), b"\x7fELF" + bytes(70_000), b"#!/bin/sh\nexit 1\n"])
@pytest.mark.parametrize("kind", ["zip", "rar4", "rar5", "7z"])
def test_an_archive_behind_a_program_is_read(stub: bytes, kind: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    files = {"a_b.txt": b"1" * 100, "data/c.tbl": b"2"}
    members = [Member(name, data) for name, data in files.items()]
    match kind:
        case "zip":
            data = zip_of(files)
        case "7z":
            data = seven(sevenzip.program, tmp_path / "made.7z", files, tmp_path / "made").read_bytes()
        case "rar4":
            data = rar4_bytes(members)
        case _:
            data = rar5_bytes(members)
    (tmp_path / "setup.exe").write_bytes(stub + data)
    inspection = look(tmp_path / "setup.exe", sevenzip)
    assert inspection.format == kind[:3].rstrip("45")
    assert found(inspection) == sorted(unpacked(tmp_path / "setup.exe", sevenzip)) == sorted(files)


@pytest.mark.parametrize("marker", [b"PK00", b"PK\x07\x08"])
def test_a_zip_with_the_marker_of_a_spanned_one_is_read(marker: bytes, sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(marker + zip_of({"a_b.txt": b"1"}))
    assert found(look(tmp_path / "a.zip", sevenzip)) == ["a_b.txt"]


def test_a_program_without_an_archive_is_still_unknown(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "setup.exe").write_bytes(b"MZ" + bytes(3000))
    with pytest.raises(ArchiveTypeUnknown):
        look(tmp_path / "setup.exe", sevenzip)


@pytest.mark.parametrize("first", [0x50, 0x5F])
def test_zstd_may_begin_with_frames_for_others(first: int, sevenzip: SevenZip, tmp_path: Path) -> None:
    skipped = bytes([first]) + b"\x2a\x4d\x18\x03\x00\x00\x00abc"
    (tmp_path / "a.tar.zst").write_bytes(skipped * 2 + compressed(tar_of({"a.txt": b"1"}), "zst"))
    inspection = look(tmp_path / "a.tar.zst", sevenzip)
    assert (inspection.format, found(inspection)) == ("tar.zst", ["a.txt"])
    (tmp_path / "b.zst").write_bytes(skipped)
    with pytest.raises(ArchiveTypeUnknown):
        look(tmp_path / "b.zst", sevenzip)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.tar.xz"])
def test_an_empty_tar_is_an_archive_without_files(name: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    kind = {"a.tgz": "gz"}.get(name, name.rpartition(".")[2])
    content = tar_of({})
    (tmp_path / name).write_bytes(content if kind == "tar" else compressed(content, kind))
    inspection = look(tmp_path / name, sevenzip)
    assert inspection.entries == []
    assert inspection.warnings == ["there are no files in it"]
    assert inspection.format.startswith("tar")


def test_zeros_that_are_not_called_a_tar_are_a_file(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.vp.gz").write_bytes(compressed(bytes(10_240), "gz"))
    assert found(look(tmp_path / "a.vp.gz", sevenzip)) == ["a.vp"]


@pytest.mark.parametrize("character", '?*<>|"')
def test_names_that_windows_cannot_store_are_refused(character: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of({f"data/a{character}b": b"1"}))
    with pytest.raises(ArchiveNameRefused, match="Windows cannot store"):
        look(tmp_path / "a.zip", sevenzip)


def test_a_name_in_an_old_code_page_is_refused_with_what_to_do(sevenzip: SevenZip, tmp_path: Path) -> None:
    data = zip_bytes([Member("Uebung.txt", b"1")]).replace(b"Uebung.txt", b"\x9abung1.txt")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ArchiveNameRefused) as caught:
        look(tmp_path / "a.zip", sevenzip)
    assert caught.value.entry == "\\x9abung1.txt"
    assert "-mcu=on" in caught.value.message


def test_a_disk_image_that_is_none_has_no_entry_in_its_error(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.dmg").write_bytes(bytes(range(256)) * 20 + b"koly" + bytes(508))
    with pytest.raises(ArchiveDamaged) as caught:
        look(tmp_path / "a.dmg", sevenzip)
    assert "Cannot open" not in caught.value.message
    assert "entry" not in caught.value.details
