"""Packing releases anew with the real 7-Zip, and what two generations of clients then make of them."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from knossos.packaging.archives import Limits, inspect_archive
from knossos.packaging.description import Action
from knossos.publishing.checks import Findings, StoredFile, check_release
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.layout import apply_actions_to, plan_repacking, with_symlinks_listed
from knossos.publishing.repack import Packed, Repacker
from knossos.settings import Settings
from tests.support.archives import Member, compressed, seven, tar_bytes, zip_bytes, zip_of
from tests.support.conversions import NotingReporter
from tests.support.documents import Draft, RepositoryInMemory, draft
from tests.support.installing import SEVENZIP, installed_by_net, installed_by_old, tree


class Bench:
    """Real archives in a folder, packed anew as a release job would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(data_path=folder / "data")
        self.archives: dict[str, Path] = {}
        self.draft = draft()

    def package(self, name: str, *archives: tuple[str, bytes | Path], **more: Any) -> dict[str, Any]:
        """Add a package with its archives inspected and listed as they are unpacked; the answer may be changed."""
        inspections, contents, number = {}, [], len(self.draft.packages)
        for filename, data in archives:
            path = self.folder / f"stored-{number}-{filename}"
            if isinstance(data, bytes):
                path.write_bytes(data)
            else:
                data.rename(path)
            found = inspect_archive(path, limits=Limits(), sevenzip=SEVENZIP, name=filename)
            inspections[filename] = found
            contents.append((filename, {entry.name: b"" for entry in found.entries}))
        self.draft.package(name, *contents, inspections=inspections, **more)
        package = self.draft.packages[-1]
        sums = {(file, entry.name): entry.sha256 for file, found in inspections.items() for entry in found.entries}
        for entry in package["filelist"]:
            entry["checksum"] = ("sha256", sums[entry["archive"], entry["orig_name"]])
        for index, file in enumerate(package["files"]):
            path = self.folder / f"stored-{number}-{file['filename']}"
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            file |= {"checksum": ("sha256", sha256), "filesize": path.stat().st_size}
            self.archives[sha256] = path
            self.draft.stored[number, index] = StoredFile(path.stat().st_size, inspections[file["filename"]])
        return package

    def pack(self, *actions: Action, any_format: bool = False) -> tuple[ReleaseDocument, list[Packed]]:
        findings = Findings()
        layout = apply_actions_to(self.draft.document, self.draft.stored, actions, findings, 1000)
        check_release(
            layout.document, self.draft.stored, RepositoryInMemory(), findings,
            dropped=layout.dropped, any_format=any_format,
        )  # fmt: skip
        assert findings.errors == []
        layout = with_symlinks_listed(layout, self.draft.stored)
        plan = plan_repacking(layout, self.draft.stored)
        work = self.folder / f"work-{len(list(self.folder.glob('work-*')))}"
        repacker = Repacker(self.settings, NotingReporter(), work, self.archives.__getitem__)
        document, made = repacker.carry_out(layout.document, plan, self.draft.stored)
        self.archives |= {packed.sha256: packed.path for packed in made}
        return document, made


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def action(kind: str, *paths: str, **more: Any) -> Action:
    return Action(type=kind, paths=list(paths), **more)  # type: ignore[arg-type]


def test_a_release_that_needs_actions_is_the_same_mod_for_both_clients(bench: Bench, tmp_path: Path) -> None:
    files = {"MyMod/mod.ini": b"ini", "MyMod/data/a.tbl": b"table", "MyMod/junk.txt": b"junk", "docs/read me.txt": b"r"}
    bench.package("Core", ("core.zip", zip_of(files)), ("extra.zip", zip_of({"x.vp": b"vp"})), dest="sub")
    document, (packed,) = bench.pack(
        action("delete", "sub/MyMod/junk.txt"),
        action("move", "sub/MyMod/*", dest=""),
        action("copy", "sub/docs/read me.txt", dest="help/"),
        action("move", "sub/x.vp", dest="vps/"),
    )
    first, second = document.packages[0].files
    assert (first.filename, first.dest, first.checksum[1]) == ("core.7z", "", packed.sha256)
    assert (second.filename, second.dest) == ("extra.zip", "vps")
    installed_by_net(document, bench.archives, tmp_path / "net")
    installed_by_old(document, bench.archives, tmp_path / "old")
    wanted = {"mod.ini": b"ini", "data/a.tbl": b"table", "help/read me.txt": b"r", "vps/x.vp": b"vp"}
    assert tree(tmp_path / "net") == tree(tmp_path / "old") == {**wanted, "sub/docs/read me.txt": b"r"}


def test_packing_the_same_again_gives_the_same_bytes(bench: Bench) -> None:
    bench.package("Core", ("core.zip", zip_of({"a/b": os.urandom(100_000), "a/c": b"", "d": b"1" * 1000})))
    _, first = bench.pack(action("move", "a/*", dest=""))
    _, again = bench.pack(action("move", "a/*", dest=""))
    assert [packed.sha256 for packed in first] == [packed.sha256 for packed in again]


def test_a_filelist_that_renames_is_packed_so_that_nothing_has_to_be_renamed(bench: Bench, tmp_path: Path) -> None:
    archive = seven(SEVENZIP.program, tmp_path / "x.7z", {"One.TXT": b"1", "two": b"2"}, tmp_path / "scratch")
    package = bench.package("Core", ("core.7z", archive))
    package["filelist"][0]["filename"] = "data/one.txt"
    document, (packed,) = bench.pack()
    assert document.packages[0].files[0].filename == "core.7z"
    assert all(entry.filename == entry.orig_name for entry in document.packages[0].filelist)
    installed_by_net(document, bench.archives, tmp_path / "net")
    assert tree(tmp_path / "net") == {"data/one.txt": b"1", "two": b"2"}
    assert packed.path.stat().st_size == packed.size == document.packages[0].files[0].filesize


def test_where_everything_lies_below_one_folder_only_the_dest_changes(bench: Bench, tmp_path: Path) -> None:
    package = bench.package("Core", ("core.zip", zip_of({"a": b"1", "b/c": b"2"})))
    for entry in package["filelist"]:
        entry["filename"] = f"deep/er/{entry['orig_name']}"
    document, packed = bench.pack()
    assert (packed, document.packages[0].files[0].dest) == ([], "deep/er")
    installed_by_net(document, bench.archives, tmp_path / "net")


def test_symlinks_move_along_and_still_lead_to_their_files(bench: Bench, tmp_path: Path) -> None:
    members = [
        Member("app/lib/libx.so.1", b"lib", mode=0o755),
        Member("app/lib/libx.so", kind=tarfile.SYMTYPE, target="libx.so.1"),
        Member("app/run", kind=tarfile.SYMTYPE, target="lib/libx.so.1"),
        Member("app/current", kind=tarfile.SYMTYPE, target="lib"),
        Member("app/same", kind=tarfile.LNKTYPE, target="app/lib/libx.so.1"),
    ]
    bench.package("Core", ("core.tar.gz", compressed(tar_bytes(members), "gz")))
    document, (packed,) = bench.pack(action("move", "app/lib", dest="libs"), action("move", "app/*", dest=""))
    assert document.packages[0].files[0].filename == "core.tar.gz"
    installed_by_net(document, bench.archives, tmp_path / "net")
    mod = tmp_path / "net"
    assert os.readlink(mod / "libs/libx.so") == "libx.so.1"
    assert os.readlink(mod / "run") == "libs/libx.so.1"
    assert os.readlink(mod / "current") == "libs"
    installed_by_old(document, bench.archives, tmp_path / "old")
    assert tree(tmp_path / "old") == {name: data for name, data in tree(mod).items() if "current" not in name}
    assert tree(mod)["same"] == b"lib"
    assert (mod / "libs/libx.so.1").stat().st_mode & 0o777 == 0o755
    assert bench.pack(action("move", "app/lib", dest="libs"), action("move", "app/*", dest=""))[1] == [
        Packed(bench.folder / "work-1/repack-0/packed.tar.gz", packed.sha256, packed.size)
    ]


def test_a_program_that_is_a_symlink_is_installed_by_both_clients(bench: Bench, tmp_path: Path) -> None:
    members = [
        Member("bin/game-1.2", b"elf", mode=0o755),
        Member("bin/game", kind=tarfile.SYMTYPE, target="game-1.2"),
        Member("play", kind=tarfile.SYMTYPE, target="bin/game"),
    ]
    bench.package("Core", ("core.tar.gz", compressed(tar_bytes(members), "gz")), dest="sub")
    document, packed = bench.pack()
    assert packed == []
    assert [entry.filename for entry in document.packages[0].filelist] == [
        "sub/bin/game-1.2",
        "sub/bin/game",
        "sub/play",
    ]
    installed_by_net(document, bench.archives, tmp_path / "net")
    installed_by_old(document, bench.archives, tmp_path / "old")
    assert tree(tmp_path / "net") == tree(tmp_path / "old")


def test_what_is_listed_by_way_of_symlinked_folders_is_listed_where_it_lies(bench: Bench, tmp_path: Path) -> None:
    members = [
        Member("X.framework/Versions/A/X", b"lib", mode=0o755),
        Member("X.framework/Versions/Current", kind=tarfile.SYMTYPE, target="A"),
        Member("X.framework/X", kind=tarfile.SYMTYPE, target="Versions/Current/X"),
    ]
    package = bench.package("Core", ("core.tar.gz", compressed(tar_bytes(members), "gz")))
    (entry,) = package["filelist"]
    for name in ("X.framework/Versions/Current/X", "X.framework/X"):
        package["filelist"].append(entry | {"filename": name, "orig_name": name})
    document, packed = bench.pack()
    assert packed == []
    assert [entry.filename for entry in document.packages[0].filelist] == ["X.framework/Versions/A/X"]
    installed_by_net(document, bench.archives, tmp_path / "net")
    installed_by_old(document, bench.archives, tmp_path / "old")
    assert (tmp_path / "net/X.framework/X").read_bytes() == b"lib"
    package["filelist"][1]["checksum"] = ("sha256", "0" * 64)
    with pytest.raises(AssertionError, match="has the SHA-256"):
        bench.pack()


@pytest.mark.parametrize("kind", ["zip", "7z", "tar.gz"])
def test_names_with_backslashes_become_folders_on_every_system(bench: Bench, tmp_path: Path, kind: str) -> None:
    members = [Member("data\\maps\\a.dds", b"1"), Member("mod.ini", b"2")]
    archive: bytes | Path = zip_bytes(members)
    if kind == "tar.gz":
        archive = compressed(tar_bytes(members), "gz")
    elif kind == "7z":
        archive = seven(SEVENZIP.program, tmp_path / "x.7z", {one.name: one.data for one in members}, tmp_path)
    bench.package("Core", (f"core.{kind}", archive))
    document, _ = bench.pack()
    installed_by_net(document, bench.archives, tmp_path / "net")
    installed_by_old(document, bench.archives, tmp_path / "old")
    assert tree(tmp_path / "net") == tree(tmp_path / "old") == {"data/maps/a.dds": b"1", "mod.ini": b"2"}


@pytest.mark.parametrize("kind", ["tar", "tar.bz2", "tar.xz"])
def test_formats_that_not_every_client_reads_become_a_7z(bench: Bench, tmp_path: Path, kind: str) -> None:
    data = tar_bytes([Member("./a//b", b"1"), Member("c", b"2" * 3_000_000)])
    packing = kind.partition(".")[2]
    bench.package("Core", (f"core.{kind}", compressed(data, packing) if packing else data))
    document, _ = bench.pack(any_format=True)
    assert document.packages[0].files[0].filename == "core.7z"
    installed_by_net(document, bench.archives, tmp_path / "net")
    assert tree(tmp_path / "net") == {"a/b": b"1", "c": b"2" * 3_000_000}


def test_a_plain_file_is_packed(bench: Bench, tmp_path: Path) -> None:
    data = b"a readme"
    sha256 = hashlib.sha256(data).hexdigest()
    bench.archives[sha256] = tmp_path / "plain"
    bench.archives[sha256].write_bytes(data)
    checksum = ("sha256", sha256)
    made: Draft = bench.draft.package("Core")
    made.packages[0]["files"] = [
        {"filename": "readme.txt", "dest": "docs", "checksum": checksum, "filesize": len(data), "is_archive": False}
    ]
    made.packages[0]["filelist"] = [
        {"filename": "docs/readme.txt", "archive": "readme.txt", "orig_name": "readme.txt", "checksum": checksum}
    ]
    made.stored[0, 0] = StoredFile(len(data))
    document, _ = bench.pack()
    file = document.packages[0].files[0]
    assert (file.filename, file.dest, file.is_archive) == ("readme.txt.7z", "", True)
    installed_by_net(document, bench.archives, tmp_path / "net")


def test_filelists_may_speak_of_before_or_after_the_actions_or_be_left_out(bench: Bench) -> None:
    package = bench.package("Core", ("core.zip", zip_of({"in/a": b"1", "in/b": b"2"})))
    actions = [action("move", "in/a", dest="a"), action("delete", "in/b")]
    before, _ = bench.pack(*actions)
    package["filelist"] = [{**package["filelist"][0], "filename": "a"}]
    after, _ = bench.pack(*actions)
    package["filelist"] = []
    without, _ = bench.pack(*actions)
    assert before == after == without
    assert [entry.filename for entry in after.packages[0].filelist] == ["a"]


def test_actions_that_cannot_be_done_and_filelists_that_do_not_fit_are_named() -> None:
    made = draft().package("Core", ("core.7z", {"in/a": b"1", "in/b": b"2"}))
    findings = Findings()
    apply_actions_to(made.document, made.stored, [action("move", "in/a", dest="in/a/b")], findings, 1000)
    assert [one["path"] for one in findings.errors] == ["actions.0"]
    findings = Findings()
    made.packages[0]["filelist"][0]["filename"] = "wrong"
    apply_actions_to(made.document, made.stored, [action("move", "in/a", dest="a")], findings, 1000)
    assert [one["path"] for one in findings.errors] == [
        "packages.0.filelist", "packages.0.filelist.0.filename",
    ]  # fmt: skip
