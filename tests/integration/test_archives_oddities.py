"""Archives that are fine, but odd: no names, no files, programs in front of them. What 7-Zip unpacks is what counts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from knossos.packaging.archives import Inspection, Limits, SevenZip, inspect_archive
from knossos.packaging.archives.errors import ArchiveNamesCollide, ArchiveSpecialFile
from knossos.settings import Settings
from tests.support.archives import FIFO_MODE, Member, rar5_bytes, split, zip_bytes


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
