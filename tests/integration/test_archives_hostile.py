"""Archives that are broken or made to do harm: each a named error, and the process lives on, unharmed."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from knossos.packaging.archives import ArchiveError, Inspection, Limits, SevenZip, inspect_archive
from knossos.packaging.archives import errors as e
from knossos.settings import Settings
from tests.support.archives import (
    FIFO_MODE,
    RAR5_HARD_LINK,
    RAR5_SYMLINK,
    SYMLINK_MODE,
    Member,
    compressed,
    encrypted_zip_bytes,
    rar4_bytes,
    rar5_bytes,
    seven,
    seven_of_folder,
    split,
    tar_bytes,
    tar_of,
    zip_bytes,
    zip_of,
    zip_with_lying_sizes,
)

NOISE = random.Random(1).randbytes(50_000)


@pytest.fixture(scope="module")
def sevenzip() -> SevenZip:
    return SevenZip.locate(Settings())


def look(path: Path, sevenzip: SevenZip, limits: Limits | None = None) -> Inspection:
    return inspect_archive(path, limits=limits or Limits(), sevenzip=sevenzip)


def refused(
    content: bytes,
    error: type[ArchiveError],
    sevenzip: SevenZip,
    tmp_path: Path,
    name: str = "mod.bin",
    limits: Limits | None = None,
) -> ArchiveError:
    """Hand over such an archive and get the error, having seen that nothing was written and nothing stays open."""
    folder = tmp_path / "archives"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    descriptors = set(os.listdir("/proc/self/fd"))
    with pytest.raises(ArchiveError) as caught:
        look(folder / name, sevenzip, limits)
    assert type(caught.value) is error, caught.value
    assert caught.value.archive == name
    assert os.listdir(folder) == [name]
    assert set(os.listdir("/proc/self/fd")) <= descriptors
    (folder / name).unlink()
    return caught.value


BAD_NAMES = [
    "../x",
    "/etc/x",
    "a/../../x",
    "C:/x",
    "C:\\x",
    "..\\x",
    "NUL",
    "a/con.txt",
    "a\x01b",
    "a\nb",
    "x.",
    "x /y",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_dangerous_name_is_refused_in_every_format(name: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    members = [Member("ok", b"1"), Member(name, b"2")]
    for content in (
        zip_bytes(members),
        tar_bytes(members),
        compressed(tar_bytes(members), "gz"),
        rar5_bytes(members),
        rar4_bytes(members),
    ):
        error = refused(content, e.ArchiveNameRefused, sevenzip, tmp_path)
        assert error.entry


@pytest.mark.parametrize("data", [b"", b"content"])
def test_a_line_break_in_a_name_in_a_7z_is_found_though_the_listing_hides_it(
    data: bytes, sevenzip: SevenZip, tmp_path: Path
) -> None:
    path = seven(sevenzip.program, tmp_path / "mod.7z", {"a\nb": data, "a_c": b"1"}, tmp_path / "src")
    error = refused(path.read_bytes(), e.ArchiveNameRefused, sevenzip, tmp_path)
    assert "line break" in error.message


def test_an_underscore_in_a_name_is_nothing_special(sevenzip: SevenZip, tmp_path: Path) -> None:
    path = seven(sevenzip.program, tmp_path / "mod.7z", {"a_b": b"1"}, tmp_path / "src")
    assert [entry.name for entry in look(path, sevenzip).entries] == ["a_b"]


@pytest.mark.parametrize(
    ("first", "second"), [("same", "same"), ("Readme", "README"), ("a/b", "a//b"), ("a", "a/b"), ("a/b", "A")]
)
def test_two_entries_for_one_place_are_an_error_that_names_both(
    first: str, second: str, sevenzip: SevenZip, tmp_path: Path
) -> None:
    members = [Member(first, b"1"), Member(second, b"2")]
    for content in (zip_bytes(members), tar_bytes(members), rar5_bytes(members)):
        error = refused(content, e.ArchiveNamesCollide, sevenzip, tmp_path)
        assert error.entry
        assert error.other


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "C:\\Windows"])
def test_a_symlink_that_leaves_the_tree_is_refused_in_every_format(
    target: str, sevenzip: SevenZip, tmp_path: Path
) -> None:
    soft = Member("d/link", target=target, mode=SYMLINK_MODE)
    for content in (
        zip_bytes([soft]),
        tar_bytes([Member("d/link", target=target, kind=tarfile.SYMTYPE)]),
        rar4_bytes([soft]),
        rar5_bytes([Member("d/link", target=target, kind=RAR5_SYMLINK)]),
    ):
        error = refused(content, e.ArchiveLinkRefused, sevenzip, tmp_path)
        assert (error.entry, error.target) == ("d/link", e.printable(target))


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "not there"])
def test_a_hard_link_that_leaves_the_tree_is_refused(target: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    for content in (
        tar_bytes([Member("h", target=target, kind=tarfile.LNKTYPE)]),
        rar5_bytes([Member("h", b"x", target=target, kind=RAR5_HARD_LINK)]),
    ):
        refused(content, e.ArchiveLinkRefused, sevenzip, tmp_path)


def test_a_file_that_goes_through_a_symlink_is_refused(sevenzip: SevenZip, tmp_path: Path) -> None:
    members = [Member("link", target="d", kind=tarfile.SYMTYPE), Member("link/file", b"x")]
    refused(tar_bytes(members), e.ArchiveNamesCollide, sevenzip, tmp_path)


def test_a_fifo_or_device_in_an_archive_is_refused_and_never_opened(sevenzip: SevenZip, tmp_path: Path) -> None:
    pipe = Member("pipe", kind=tarfile.FIFOTYPE)
    refused(tar_bytes([pipe]), e.ArchiveSpecialFile, sevenzip, tmp_path)
    refused(compressed(tar_bytes([pipe]), "xz"), e.ArchiveSpecialFile, sevenzip, tmp_path)
    refused(zip_bytes([Member("pipe", b"", mode=FIFO_MODE)]), e.ArchiveSpecialFile, sevenzip, tmp_path)


def test_an_encrypted_archive_is_said_to_be_encrypted_and_does_not_hang(sevenzip: SevenZip, tmp_path: Path) -> None:
    files = {"secret.txt": b"x" * 100}
    with_names = seven(sevenzip.program, tmp_path / "a.7z", files, tmp_path / "src", "-psecret")
    without = seven(sevenzip.program, tmp_path / "b.7z", files, tmp_path / "src", "-psecret", "-mhe=on")
    zipped = seven(sevenzip.program, tmp_path / "c.zip", files, tmp_path / "src", "-psecret", "-mem=AES256")
    secret = [Member("secret.txt", b"hello", encrypted=True), Member("z", b"1")]
    for content in (
        with_names.read_bytes(),
        zipped.read_bytes(),
        encrypted_zip_bytes("secret.txt", b"hello"),
        rar4_bytes(secret),
        rar5_bytes(secret),
    ):
        assert refused(content, e.ArchiveEncrypted, sevenzip, tmp_path).entry == "secret.txt"
    refused(without.read_bytes(), e.ArchiveEncrypted, sevenzip, tmp_path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_archive_is_an_error_in_every_format(share: float, sevenzip: SevenZip, tmp_path: Path) -> None:
    files = {"a": NOISE, "b": NOISE[::-1]}
    members = [Member(name, data) for name, data in files.items()]
    path = seven(sevenzip.program, tmp_path / "mod.7z", files, tmp_path / "src")
    for content in (
        path.read_bytes(),
        zip_of(files),
        tar_of(files),
        rar4_bytes(members),
        rar5_bytes(members),
        *(compressed(tar_of(files), kind) for kind in ("gz", "bz2", "xz", "zst")),
        *(compressed(NOISE, kind) for kind in ("gz", "bz2", "xz", "zst")),
    ):
        refused(content[: int(len(content) * share)], e.ArchiveDamaged, sevenzip, tmp_path)


def test_a_wrong_checksum_names_the_file(sevenzip: SevenZip, tmp_path: Path) -> None:
    good = zip_bytes([Member("a", b"1"), Member("victim", b"unique content"), Member("z", b"2")], method=0)
    error = refused(good.replace(b"unique", b"UNIQUE"), e.ArchiveDamaged, sevenzip, tmp_path)
    assert error.entry == "victim"
    wrong = rar5_bytes([Member("a", b"1"), Member("victim", b"x", crc=5)])
    assert refused(wrong, e.ArchiveDamaged, sevenzip, tmp_path).entry == "victim"
    # With hard links 7-Zip always says that something is broken: that must not hide what really is.
    members = [Member("victim", b"x", crc=5), Member("h", b"x", target="victim", kind=RAR5_HARD_LINK)]
    assert refused(rar5_bytes(members), e.ArchiveDamaged, sevenzip, tmp_path).entry == "victim"


def test_broken_data_in_a_7z_or_a_compressor_is_an_error(sevenzip: SevenZip, tmp_path: Path) -> None:
    path = seven(sevenzip.program, tmp_path / "mod.7z", {"a": b"text " * 5000}, tmp_path / "src")
    for content in (path.read_bytes(), *(compressed(b"text %d " * 999, kind) for kind in ("gz", "xz", "bz2"))):
        broken = bytearray(content)
        middle = 40 if content[:2] == b"7z" else len(content) // 2
        broken[middle] ^= 0xFF
        refused(bytes(broken), e.ArchiveDamaged, sevenzip, tmp_path)


@pytest.mark.parametrize("stated", [1, 5000, 10**9, 2**32 - 2])
def test_a_size_that_lies_is_an_error(stated: int, sevenzip: SevenZip, tmp_path: Path) -> None:
    content = zip_with_lying_sizes("liar", b"text" * 2000, stated)
    error = e.ArchiveDamaged if stated < 10**6 else e.ArchiveTooBig
    refused(content, error, sevenzip, tmp_path)


def test_a_small_zip_with_300_megabytes_in_it_is_refused_before_it_is_unpacked(
    sevenzip: SevenZip, tmp_path: Path
) -> None:
    content = zip_bytes([Member("bomb", bytes(300 * 2**20))])
    error = refused(content, e.ArchiveTooBig, sevenzip, tmp_path)
    assert error.limit == "ratio"


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_bomb_in_a_compressor_is_stopped_while_it_streams(kind: str, sevenzip: SevenZip, tmp_path: Path) -> None:
    bomb = compressed(bytes(70 * 2**20), kind)
    assert refused(bomb, e.ArchiveTooBig, sevenzip, tmp_path).limit == "ratio"
    tarred = compressed(tar_bytes([Member("bomb", bytes(70 * 2**20))]), kind)
    assert refused(tarred, e.ArchiveTooBig, sevenzip, tmp_path).limit == "ratio"


def test_bytes_beyond_the_limit_are_refused_in_every_format(sevenzip: SevenZip, tmp_path: Path) -> None:
    limits = Limits(max_bytes=10_000)
    files = {"a": NOISE}
    for content in (zip_of(files), tar_of(files), compressed(tar_of(files), "gz"), compressed(NOISE, "gz")):
        assert refused(content, e.ArchiveTooBig, sevenzip, tmp_path, limits=limits).limit == "bytes"


def test_a_sparse_tar_that_claims_terabytes_is_refused(sevenzip: SevenZip, tmp_path: Path) -> None:
    pax = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "huge",
        "GNU.sparse.realsize": str(2**42),
    }
    content = tar_bytes([Member("x", b"1\n0\n1\n".ljust(512, b"\x00") + b"d", pax=pax)])
    assert refused(content, e.ArchiveTooBig, sevenzip, tmp_path).limit == "bytes"


def test_too_many_entries_are_refused_in_every_format(sevenzip: SevenZip, tmp_path: Path) -> None:
    files = {f"f{n}": b"" for n in range(300)}
    path = seven(sevenzip.program, tmp_path / "mod.7z", files, tmp_path / "src")
    for content in (path.read_bytes(), zip_of(files), tar_of(files), compressed(tar_of(files), "gz")):
        error = refused(content, e.ArchiveTooBig, sevenzip, tmp_path, limits=Limits(max_entries=299))
        assert error.limit == "entries"
        (tmp_path / "fine").write_bytes(content)
        assert len(look(tmp_path / "fine", sevenzip, Limits(max_entries=300)).entries) == 300


def test_folders_that_are_only_in_names_are_entries_too(sevenzip: SevenZip, tmp_path: Path) -> None:
    names = [f"{number}/" + "a/" * 400 + "x" for number in range(3)]
    for content in (zip_of(dict.fromkeys(names, b"")), tar_of(dict.fromkeys(names, b""))):
        error = refused(content, e.ArchiveTooBig, sevenzip, tmp_path, limits=Limits(max_entries=1000))
        assert error.limit == "entries"


def test_a_zip_that_states_ten_million_entries_is_refused_before_7zip_loads_them(tmp_path: Path) -> None:
    directory = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**7, 10**7, 46 * 10**7, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 30, 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    content = b"PK\x03\x04" + bytes(26) + directory + locator + end
    # There is no such program: it would be an error of another kind to start it.
    error = refused(content, e.ArchiveTooBig, SevenZip(Path("/nonexistent")), tmp_path)
    assert error.limit == "entries"


def test_a_tar_of_a_million_entries_is_left_early(sevenzip: SevenZip, tmp_path: Path) -> None:
    header = tarfile.TarInfo("x").tobuf()
    blocks = []
    for number in range(5000):
        name = f"{number:07d}".encode()
        block = bytearray(name + header[len(name) :])
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\x00 " % sum(block)
        blocks.append(bytes(block))
    content = compressed(b"".join(blocks) + bytes(1024), "gz")
    error = refused(content, e.ArchiveTooBig, sevenzip, tmp_path, limits=Limits(max_entries=1000))
    assert error.limit == "entries"


def test_an_archive_in_an_archive_stays_closed(sevenzip: SevenZip, tmp_path: Path) -> None:
    inner = zip_bytes([Member("bomb", bytes(300 * 2**20))])
    for content in (zip_of({"inner.zip": inner}), tar_of({"inner.zip": inner}), compressed(inner, "gz")):
        (tmp_path / "outer").write_bytes(content)
        found = look(tmp_path / "outer", sevenzip)
        assert [entry.size for entry in found.entries] == [len(inner)]


def test_a_comment_that_imitates_a_listing_changes_nothing(sevenzip: SevenZip, tmp_path: Path) -> None:
    comment = b"\n----------\nPath = fake\nSize = 3\n\nPath = fake2\nSize = 0\n\n"
    (tmp_path / "a.zip").write_bytes(zip_bytes([Member("real", b"1")], comment=comment))
    assert [entry.name for entry in look(tmp_path / "a.zip", sevenzip).entries] == ["real"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", e.ArchiveEmpty),
        (b"<!doctype html><html>Not Found</html>", e.ArchiveIsWebPage),
        (b"GIF89a...", e.ArchiveTypeUnknown),
        (b"MZ\x90\x00" + bytes(500), e.ArchiveTypeUnknown),
    ],
)
def test_what_is_no_archive_never_reaches_7zip(content: bytes, error: type[ArchiveError], tmp_path: Path) -> None:
    refused(content, error, SevenZip(Path("/nonexistent")), tmp_path)


def test_a_missing_or_later_volume_is_said_to_be_that(sevenzip: SevenZip, tmp_path: Path) -> None:
    path = seven(sevenzip.program, tmp_path / "mod.7z", {"a": NOISE}, tmp_path / "src")
    volumes = split(path, 10_000)
    with pytest.raises(e.ArchiveIncomplete):
        look(volumes[1], sevenzip)
    volumes[-1].unlink()
    with pytest.raises(e.ArchiveIncomplete):
        look(volumes[0], sevenzip)
    volumes[1].unlink()
    with pytest.raises(e.ArchiveIncomplete):
        look(volumes[0], sevenzip)


def test_a_method_that_7zip_does_not_know_is_named_unsupported(sevenzip: SevenZip, tmp_path: Path) -> None:
    raw = bytearray(zip_bytes([Member("odd", b"text" * 10)]))
    struct.pack_into("<H", raw, 8, 77)
    struct.pack_into("<H", raw, raw.index(b"PK\x01\x02") + 10, 77)
    refused(bytes(raw), e.ArchiveUnsupported, sevenzip, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_archives_with_random_damage_read_or_are_refused_but_nothing_else(
    seed: int, sevenzip: SevenZip, tmp_path: Path
) -> None:
    generator = random.Random(seed)
    files = {f"dir/file{n}": generator.randbytes(generator.randrange(2000)) + b"text" * 50 for n in range(5)}
    members = [Member(name, data) for name, data in files.items()]
    path = seven(sevenzip.program, tmp_path / "mod.7z", files, tmp_path / "src", "-mhc=off")
    for content in (
        path.read_bytes(),
        zip_of(files),
        compressed(tar_of(files), "gz"),
        rar4_bytes(members),
        rar5_bytes(members),
    ):
        broken = bytearray(content)
        for _ in range(generator.randrange(1, 6)):
            broken[generator.randrange(8, len(broken))] = generator.randrange(256)
        (tmp_path / "broken").write_bytes(broken)
        try:
            found = look(tmp_path / "broken", sevenzip, Limits(max_bytes=10**8, seconds=30))
        except ArchiveError:
            continue
        # What is still let through is right in all that is checked.
        assert found.total_bytes == sum(entry.size for entry in found.entries)


MEASURE = """
import resource, sys
from pathlib import Path
from knossos.packaging.archives import Limits, SevenZip, inspect_archive
from knossos.settings import Settings
inspect_archive(Path(sys.argv[1]), limits=Limits(), sevenzip=SevenZip.locate(Settings()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_is_the_same_for_a_small_and_a_large_archive(sevenzip: SevenZip, tmp_path: Path) -> None:
    peaks = []
    for name, megabytes in (("small", 12), ("large", 400)):
        folder = tmp_path / name
        folder.mkdir()
        with open(folder / "noise", "wb") as file:
            file.truncate(megabytes * 2**20)
        archive = seven_of_folder(sevenzip.program, tmp_path / f"{name}.7z", folder, "-mx=0")
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(archive)], capture_output=True, text=True, check=True, timeout=200
        )
        peaks.append(int(done.stdout) * 1024)
        archive.unlink()
    assert peaks[1] - peaks[0] < 8 * 2**20
