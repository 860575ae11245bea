"""Real archives of every format, read by the real 7-Zip."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from knossos.packaging.archives import (
    Inspection,
    Limits,
    Link,
    LinkKind,
    SevenZip,
    inspect_archive,
    read_entry,
)
from knossos.packaging.archives.errors import EntryNotFound, EntryTooBig
from knossos.settings import Settings
from tests.support.archives import (
    RAR5_COPY,
    RAR5_HARD_LINK,
    RAR5_SYMLINK,
    SYMLINK_MODE,
    Member,
    compressed,
    dmg_bytes,
    rar4_bytes,
    rar5_bytes,
    seven,
    seven_of_folder,
    split,
    tar_bytes,
    tar_of,
    write_tree,
    zip_bytes,
    zip_of,
)

FILES = {
    "mod.ini": b"[launcher]\n",
    "empty.txt": b"",
    "data/tables/objecttypes.tbl": b"#Ship Types\n" * 400,
    "data/maps/noise.dds": random.Random(1).randbytes(70_000),
    "data/-dash": b"-",
    "data/@at": b"@",
    "data/Grüße.txt": "Grüße".encode(),
}


@pytest.fixture(scope="module")
def sevenzip() -> SevenZip:
    return SevenZip.locate(Settings())


def look(path: Path, sevenzip: SevenZip, **more: object) -> Inspection:
    return inspect_archive(path, limits=Limits(), sevenzip=sevenzip, **more)  # type: ignore[arg-type]


def assert_holds(found: Inspection, files: dict[str, bytes]) -> None:
    """Every file is there with the right digests, and no other."""
    assert sorted(entry.name for entry in found.entries) == sorted(files)
    for entry in found.entries:
        data = files[entry.name]
        assert (entry.size, entry.md5) == (len(data), hashlib.md5(data).hexdigest())
        assert entry.sha256 == hashlib.sha256(data).hexdigest()
        assert entry.crc32 in (None, zlib.crc32(data))
    assert found.total_bytes == sum(len(data) for data in files.values())


@pytest.mark.parametrize(
    "switches",
    [
        (),
        ("-ms=off",),
        ("-m0=ppmd",),
        ("-m0=bcj", "-m1=lzma2"),
        ("-m0=copy",),
        ("-m0=bzip2",),
        ("-m0=deflate",),
        ("-mx=9",),
        ("-mhc=off",),
    ],
)
def test_a_7z_of_every_method_gives_up_its_files(switches: tuple[str, ...], sevenzip: SevenZip, tmp_path: Path) -> None:
    path = seven(sevenzip.program, tmp_path / "mod.7z", FILES, tmp_path / "src", *switches)
    found = look(path, sevenzip)
    assert found.format == "7z"
    assert_holds(found, FILES)


@pytest.mark.parametrize(("switches", "threads"), [(("-m0=lzma2:c=1m", "-mmt=2"), None), (("-m0=lzma2",), 1)])
def test_a_7z_of_one_block_is_decoded_as_it_is_read_and_one_of_several_by_several_threads(
    switches: tuple[str, ...], threads: int | None, sevenzip: SevenZip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number}.dds": random.Random(number).randbytes(900_000) for number in range(5)}
    path = seven(sevenzip.program, tmp_path / "mod.7z", files, tmp_path / "src", *switches)
    asked: list[int | None] = []
    contents = SevenZip.contents

    def spy(self: SevenZip, *arguments: Any, **named: Any) -> Any:
        asked.append(named["threads"])
        return contents(self, *arguments, **named)

    monkeypatch.setattr(SevenZip, "contents", spy)
    assert_holds(look(path, sevenzip), files)
    assert asked == [threads]


def test_an_updated_7z_with_garbage_at_its_end_reads(sevenzip: SevenZip, tmp_path: Path) -> None:
    seven(sevenzip.program, tmp_path / "mod.7z", FILES, tmp_path / "src")
    newer = {"mod.ini": b"newer", "added": b"1" * 100}
    path = seven(sevenzip.program, tmp_path / "mod.7z", newer, tmp_path / "src2")
    path.write_bytes(path.read_bytes() + b"garbage" * 50)
    assert_holds(look(path, sevenzip), FILES | newer)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_of_every_method_gives_up_its_files(method: int, sevenzip: SevenZip, tmp_path: Path) -> None:
    path = tmp_path / "mod.zip"
    path.write_bytes(zip_bytes([Member(name, data) for name, data in FILES.items()], method))
    found = look(path, sevenzip)
    assert found.format == "zip"
    assert_holds(found, FILES)


def test_a_zip_written_as_a_stream_with_data_descriptors_reads(sevenzip: SevenZip, tmp_path: Path) -> None:
    class Pipe:
        """A file that cannot seek."""

        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += data
            return len(data)

        def flush(self) -> None: ...

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, data in FILES.items():
            archive.writestr(name, data)
    (tmp_path / "mod.zip").write_bytes(pipe.data)
    assert_holds(look(tmp_path / "mod.zip", sevenzip), FILES)


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz", "zst"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_tar_in_every_compressor_gives_up_its_files(kind: str, form: int, sevenzip: SevenZip, tmp_path: Path) -> None:
    files = {**FILES, "deep/" * 40 + "long name": b"far down", "big": random.Random(2).randbytes(1_000_000)}
    data = tar_bytes([Member(f"./{name}", content) for name, content in files.items()], form)
    path = tmp_path / f"mod.tar.{kind}"
    path.write_bytes(compressed(data, kind) if kind else data)
    found = look(path, sevenzip)
    assert found.format == ("tar" if not kind else f"tar.{kind}")
    assert_holds(found, files)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_plain_compressed_file_is_one_file_called_after_the_archive(
    kind: str, sevenzip: SevenZip, tmp_path: Path
) -> None:
    path = tmp_path / f"core.vp.{kind}"
    path.write_bytes(compressed(FILES["data/maps/noise.dds"] * 40, kind))
    found = look(path, sevenzip)
    assert found.format == kind
    assert found.named_after_archive
    assert_holds(found, {"core.vp": FILES["data/maps/noise.dds"] * 40})
    assert_holds(look(path, sevenzip, name=f"other.{kind}"), {"other": FILES["data/maps/noise.dds"] * 40})


def test_a_gzip_that_names_its_file_is_believed_unless_the_name_has_folders(sevenzip: SevenZip, tmp_path: Path) -> None:
    raw = compressed(b"hello", "gz")
    (tmp_path / "a.gz").write_bytes(raw[:3] + b"\x08" + raw[4:10] + b"../../real.vp\x00" + raw[10:])
    found = look(tmp_path / "a.gz", sevenzip)
    assert_holds(found, {"real.vp": b"hello"})
    assert not found.named_after_archive


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024])
def test_small_compressed_files_of_any_size_read(size: int, sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(compressed(bytes(size), "gz"))
    assert_holds(look(tmp_path / "a.gz", sevenzip), {"a": bytes(size)})


@pytest.mark.parametrize("writer", [rar4_bytes, rar5_bytes])
def test_a_rar_of_both_generations_gives_up_its_files(writer: object, sevenzip: SevenZip, tmp_path: Path) -> None:
    members = [Member("data/"), *(Member(name, data) for name, data in FILES.items() if name.isascii())]
    (tmp_path / "mod.rar").write_bytes(writer(members))  # type: ignore[operator]
    found = look(tmp_path / "mod.rar", sevenzip)
    assert found.format == "rar"
    assert_holds(found, {name: data for name, data in FILES.items() if name.isascii()})


def test_links_in_a_rar5_do_not_shift_what_comes_after_them(sevenzip: SevenZip, tmp_path: Path) -> None:
    members = [
        Member("d/a.txt", b"hello"),
        Member("soft", target="d/a.txt", kind=RAR5_SYMLINK),
        Member("hard", b"hello", target="d/a.txt", kind=RAR5_HARD_LINK),
        Member("copy", b"hello", target="d/a.txt", kind=RAR5_COPY),
        Member("blake", b"x" * 3000, blake2=True),
        Member("last", b"end"),
    ]
    (tmp_path / "mod.rar").write_bytes(rar5_bytes(members))
    found = look(tmp_path / "mod.rar", sevenzip)
    files = {"d/a.txt": b"hello", "hard": b"hello", "copy": b"hello", "blake": b"x" * 3000, "last": b"end"}
    assert_holds(found, files)
    assert found.links == [Link("soft", "d/a.txt"), Link("hard", "d/a.txt", LinkKind.HARD)]


@pytest.mark.parametrize("kind", ["zip", "rar4", "tar"])
def test_symlinks_are_no_entries(kind: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    symlink = Member("d/link", target="../a", mode=SYMLINK_MODE, kind=tarfile.SYMTYPE if kind == "tar" else None)
    members = [Member("a", b"1"), symlink, Member("z", b"2")]
    content = {"zip": zip_bytes, "rar4": rar4_bytes, "tar": tar_bytes}[kind](members)
    (tmp_path / "mod").write_bytes(content)
    found = look(tmp_path / "mod", sevenzip)
    assert_holds(found, {"a": b"1", "z": b"2"})
    assert found.links == [Link("d/link", "../a")]


def test_symlinks_in_a_7z_are_no_entries(sevenzip: SevenZip, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src", {"a": b"1", "z": b"2"})
    (folder / "link").symlink_to("a")
    path = seven_of_folder(sevenzip.program, tmp_path / "mod.7z", folder, "-snl")
    found = look(path, sevenzip)
    assert_holds(found, {"a": b"1", "z": b"2"})
    assert found.links == [Link("link", "a")]


def test_hard_links_in_a_tar_are_files_with_their_target_s_digests(sevenzip: SevenZip, tmp_path: Path) -> None:
    members = [
        Member("a", b"same"),
        Member("h", target="a", kind=tarfile.LNKTYPE),
        Member("z", b"2"),
        Member("mod.ini", target="h", kind=tarfile.LNKTYPE),
    ]
    (tmp_path / "mod.tar").write_bytes(tar_bytes(members))
    found = look(tmp_path / "mod.tar", sevenzip)
    assert_holds(found, {"a": b"same", "h": b"same", "z": b"2", "mod.ini": b"same"})
    data = read_entry(tmp_path / "mod.tar", "mod.ini", 10, limits=Limits(), sevenzip=sevenzip)
    assert data == b"same"


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")
@pytest.mark.parametrize("form", ["gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"])
def test_sparse_files_in_a_tar_are_hashed_with_their_holes(form: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "src", {"first": b"1", "last": b"2"})
    size, block = 3_000_000, b"data" * 2048
    with open(folder / "holes", "wb") as file:
        for at in range(100_000, size, 250_000):
            file.seek(at - at % 4096)
            file.write(block)
        file.truncate(size)
    switches = ["--format=gnu"] if form == "gnu" else ["--format=posix", form]
    os.spawnvp(os.P_WAIT, "tar", ["tar", "-C", str(folder), "-cSf", str(tmp_path / "mod.tar"), *switches, "."])
    found = look(tmp_path / "mod.tar", sevenzip)
    assert_holds(found, {"first": b"1", "last": b"2", "holes": (folder / "holes").read_bytes()})
    assert (tmp_path / "mod.tar").stat().st_size < 1_000_000


@pytest.mark.parametrize("inner", [b"hello", b"x" * 100_000])
def test_a_disk_image_gives_up_its_files(inner: bytes, sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "mod.dmg").write_bytes(dmg_bytes({"INNER.TXT": inner}))
    found = look(tmp_path / "mod.dmg", sevenzip)
    assert found.format == "dmg"
    assert_holds(found, {"INNER.TXT": inner})


def test_volumes_that_lie_together_are_read_as_one(sevenzip: SevenZip, tmp_path: Path) -> None:
    volumes = split(seven(sevenzip.program, tmp_path / "mod.7z", FILES, tmp_path / "src"), 20_000)
    assert len(volumes) > 2
    assert_holds(look(volumes[0], sevenzip), FILES)


def test_volumes_may_be_links_to_where_they_are_kept(sevenzip: SevenZip, tmp_path: Path) -> None:
    volumes = split(seven(sevenzip.program, tmp_path / "mod.7z", FILES, tmp_path / "src"), 20_000)
    (tmp_path / "together").mkdir()
    for volume in volumes:
        (tmp_path / "together" / volume.name).symlink_to(volume)
    assert_holds(look(tmp_path / "together" / volumes[0].name, sevenzip), FILES)


@pytest.mark.parametrize("name", ["-x.zip", "@list", "-si", "a*b?.zip", "a b.zip", "Grüße.zip", "x\n.zip", "[1].zip"])
def test_no_file_name_of_an_archive_is_taken_for_something_else(name: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(zip_of({"right": b"1"}))
    (tmp_path / "aXbY.zip").write_bytes(zip_of({"wrong": b"2"}))
    assert_holds(look(tmp_path / name, sevenzip), {"right": b"1"})


@pytest.mark.parametrize("name", ["mod.rar", "mod.7z", "mod.txt", "mod", "mod.tar.gz"])
def test_a_wrong_extension_does_not_matter(name: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(zip_of(FILES))
    assert_holds(look(tmp_path / name, sevenzip), FILES)
    (tmp_path / name).write_bytes(compressed(tar_of(FILES), "xz"))
    assert_holds(look(tmp_path / name, sevenzip), FILES)


def test_an_archive_without_files_has_no_entries(sevenzip: SevenZip, tmp_path: Path) -> None:
    folder = Member("folder", kind=tarfile.DIRTYPE)
    for content in (zip_of({}), zip_bytes([Member("folder/")]), compressed(tar_bytes([folder]), "gz")):
        (tmp_path / "a").write_bytes(content)
        assert look(tmp_path / "a", sevenzip).entries == []


def test_the_small_files_that_describe_a_mod_are_kept(sevenzip: SevenZip, tmp_path: Path) -> None:
    files = {"Sub/Mod.INI": b"ini", "sub/logo.jpg": b"\xff\xd8", "other": b"x", "b/logo.jpg": bytes(2 * 2**20)}
    for name, content in (("a.zip", zip_of(files)), ("a.tar", tar_of(files))):
        (tmp_path / name).write_bytes(content)
        found = look(tmp_path / name, sevenzip)
        assert found.captured == {"Sub/Mod.INI": b"ini", "sub/logo.jpg": b"\xff\xd8"}


def test_one_file_can_be_read_by_its_name(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of(FILES))
    path = tmp_path / "a.zip"
    assert read_entry(path, "mod.ini", 100, limits=Limits(), sevenzip=sevenzip) == FILES["mod.ini"]
    noise = read_entry(path, "data/maps/noise.dds", 70_000, limits=Limits(), sevenzip=sevenzip)
    assert noise == FILES["data/maps/noise.dds"]
    with pytest.raises(EntryTooBig):
        read_entry(path, "data/maps/noise.dds", 69_999, limits=Limits(), sevenzip=sevenzip)
    with pytest.raises(EntryNotFound):
        read_entry(path, "nowhere", 10, limits=Limits(), sevenzip=sevenzip)


def test_progress_reaches_the_end_and_nothing_is_left_open(sevenzip: SevenZip, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of(FILES))
    told: list[tuple[int, int]] = []
    before = os.listdir("/proc/self/fd")
    look(tmp_path / "a.zip", sevenzip, progress=lambda done, total: told.append((done, total)))
    total = sum(len(data) for data in FILES.values())
    assert told[-1] == (total, total)
    assert os.listdir("/proc/self/fd") == before


def test_thousands_of_small_files_come_out_right(sevenzip: SevenZip, tmp_path: Path) -> None:
    generator = random.Random(3)
    files = {f"d{n % 7}/file_{n}": generator.randbytes(generator.randrange(3000)) for n in range(2000)}
    path = seven(sevenzip.program, tmp_path / "mod.7z", files, tmp_path / "src", "-mx=1")
    assert_holds(look(path, sevenzip), files)
