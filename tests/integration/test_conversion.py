"""Conversions from beginning to end, with real downloads from a loopback server, real 7-Zip and a real mirror."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.packaging.archives import SevenZip
from knossos.packaging.conversion import ConversionFailed
from knossos.settings import Settings
from tests.support.archives import seven, split, zip_of
from tests.support.conversions import MIRROR_URL, Place, file, installed, mod, sums
from tests.support.file_server import FileServer

JPEG = b"\xff\xd8\xff\xe0 a small picture"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def sevenzip(tmp_path: Path) -> Path:
    return SevenZip.locate(Settings(data_path=tmp_path)).program


def test_a_mod_of_several_files_comes_out_exactly_as_clients_read_it(
    place: Place, server: FileServer, sevenzip: Path, tmp_path: Path
) -> None:
    models = {"models/ship.pof": b"ship" * 1000, "empty.txt": b""}
    packed = seven(sevenzip, tmp_path / "models.7z", models, tmp_path / "tree").read_bytes()
    zipped = zip_of({"tables/ships.tbl": b"$Name: Ship", "mod.ini": b"[launcher]"})
    description = mod(
        {
            "name": "Core",
            "status": "Required",
            "environment": [{"type": "os", "value": "windows"}],
            "dependencies": [{"id": "FSO", "version": ">=3.8"}],
            "files": [
                file(server.file("/core.zip", zipped)),
                [[server.url("")], {"models.7z": {"dest": "/data/"}}],
                file(server.file("/readme.txt", b"Read me"), is_archive=False, dest="docs"),
            ],
        },
        actions=[{"type": "move", "paths": ["tables/*.tbl"], "dest": "data/tables"}],
    )
    server.file("/models.7z", packed)
    repository = place.convert(description)
    (out,) = repository["mods"]
    (package,) = out["packages"]
    assert isinstance(repository["generated"], int)
    assert package["environment"] == "windows"
    assert package["status"] == "required"
    assert package["files"] == [
        {
            "filename": name,
            "is_archive": name != "readme.txt",
            "dest": dest,
            "urls": [server.url(f"/{name}"), f"{MIRROR_URL}/mymod/1.0.0/{name}"],
            "filesize": len(data),
            **sums(data),
        }
        for name, dest, data in [
            ("core.zip", "", zipped),
            ("models.7z", "data", packed),
            ("readme.txt", "docs", b"Read me"),
        ]
    ]
    assert package["filelist"] == [
        {"filename": name, "archive": archive, "orig_name": original, **sums(data)}
        for name, archive, original, data in [
            ("data/empty.txt", "models.7z", "empty.txt", b""),
            ("data/models/ship.pof", "models.7z", "models/ship.pof", b"ship" * 1000),
            ("data/tables/ships.tbl", "core.zip", "tables/ships.tbl", b"$Name: Ship"),
            ("docs/readme.txt", "readme.txt", None, b"Read me"),
            ("mod.ini", "core.zip", "mod.ini", b"[launcher]"),
        ]
    ]
    assert place.mirrored() == {
        "mymod/1.0.0/core.zip": zipped,
        "mymod/1.0.0/models.7z": packed,
        "mymod/1.0.0/readme.txt": b"Read me",
    }
    fractions = place.reporter.fractions
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {state.phase for state in place.reporter.states[-1]} == {"done"}


def test_packages_with_files_of_the_same_name_do_not_mix(place: Place, server: FileServer) -> None:
    for number in range(4):
        server.file(f"/{number}/data.zip", zip_of({f"file{number}": b"%d" % number}))
    packages = [[file(server.url(f"/{number}/data.zip"))] for number in range(4)]
    for round_ in range(3):
        out = place.convert(mod(*packages, version=f"1.0.{round_}"))["mods"][0]["packages"]
        for number in range(4):
            data = zip_of({f"file{number}": b"%d" % number})
            assert out[number]["files"][0] | sums(data) == out[number]["files"][0]
            assert [entry["filename"] for entry in out[number]["filelist"]] == [f"file{number}"]
            own = out[number]["files"][0]["urls"][-1].removeprefix(f"{MIRROR_URL}/")
            assert place.mirrored()[own] == data


def test_packaging_it_again_reads_nothing(place: Place, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of({"a": b"one", "logo.jpg": JPEG})
    description = mod([file(server.file("/a.zip", data, etag='"1"'))])
    first = place.convert(description)
    for name in ("knossos.packaging.conversion.acquire.inspect_archive", "knossos.packaging.mirror_index._hash",
                 "knossos.packaging.conversion.logos.read_entry"):  # fmt: skip
        monkeypatch.setattr(name, None)
    second = place.convert(description)
    assert second["mods"] == first["mods"]
    assert [request.headers.get("If-None-Match") for request in server.asked("/a.zip")] == [None, '"1"']
    assert place.reporter.said("a.zip: unchanged")
    other = place.convert({**description, "version": "2.0.0"})
    assert other["mods"][0]["packages"][0]["files"][0]["urls"][-1] == f"{MIRROR_URL}/mymod/2.0.0/a.zip"
    inodes = [(place.settings.mirror_folder / f"mymod/{version}/a.zip").stat().st_ino for version in ("1.0.0", "2.0.0")]
    assert inodes[0] == inodes[1]


def test_a_file_that_changed_at_its_link_is_fetched_and_kept_beside_the_old_one(
    place: Place, server: FileServer
) -> None:
    description = mod([file(server.file("/a.zip", zip_of({"a": b"one"}), etag='"1"'))])
    place.convert(description)
    changed = zip_of({"a": b"two"})
    server.file("/a.zip", changed, etag='"2"')
    out = place.convert(description)
    assert out["mods"][0]["packages"][0]["files"][0]["urls"][-1] == f"{MIRROR_URL}/mymod/1.0.0/1_a.zip"
    assert installed(out)["a"] | sums(b"two") == installed(out)["a"]
    assert place.mirrored() == {"mymod/1.0.0/a.zip": zip_of({"a": b"one"}), "mymod/1.0.0/1_a.zip": changed}


@pytest.mark.parametrize("tampered", [True, False])
def test_a_mirrored_file_that_is_gone_or_changed_is_fetched_again(
    place: Place, server: FileServer, tampered: bool
) -> None:
    data = zip_of({"a": b"one"})
    description = mod([file(server.file("/a.zip", data, etag='"1"'))])
    first = place.convert(description)
    kept = place.settings.mirror_folder / "mymod/1.0.0/a.zip"
    kept.unlink()
    if tampered:
        kept.write_bytes(b"x" * len(data))
    second = place.convert(description)
    assert [request.headers.get("If-None-Match") for request in server.asked("/a.zip")] == [None, None]
    assert second["mods"][0]["packages"][0]["filelist"] == first["mods"][0]["packages"][0]["filelist"]
    name = "1_a.zip" if tampered else "a.zip"
    assert second["mods"][0]["packages"][0]["files"][0]["urls"][-1] == f"{MIRROR_URL}/mymod/1.0.0/{name}"
    assert place.mirrored()[f"mymod/1.0.0/{name}"] == data


def test_a_link_into_the_mirror_is_read_from_disk_and_replaced(place: Place, server: FileServer) -> None:
    data = zip_of({"a": b"one"})
    upload = place.settings.mirror_folder / "uploads" / "0123abcd"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(data)
    other = server.file("/a.zip", b"never asked for")
    link = f"{MIRROR_URL}/uploads/0123abcd"
    out = place.convert(mod([{"filename": "a.zip", "urls": [other, link]}]))
    assert out["mods"][0]["packages"][0]["files"][0]["urls"] == [other, f"{MIRROR_URL}/mymod/1.0.0/a.zip"]
    assert server.count("/a.zip") == 0
    assert place.mirrored() == {"mymod/1.0.0/a.zip": data, "uploads/0123abcd": data}
    again = [f"{MIRROR_URL}/mymod/1.0.0/a.zip"]
    out = place.convert(mod([{"filename": "a.zip", "urls": again}]))
    assert out["mods"][0]["packages"][0]["files"][0]["urls"] == again


def test_a_file_has_to_be_the_one_that_the_description_says(place: Place, server: FileServer) -> None:
    old, new = zip_of({"a": b"old"}), zip_of({"a": b"something new"})
    link, other = server.file("/core.zip", old), server.file("/other/core.zip", new)
    place.convert(mod({"name": "Core", "files": [file(link)]}))
    for said in ({"filesize": len(new)}, {"md5sum": sums(new)["md5sum"].upper()}, {"checksum": sums(new)["checksum"]}):
        described = mod({"name": "Core", "files": [file(link, **said)]})
        with pytest.raises(ConversionFailed, match=r"another file than is meant: it has .*the description, .* says"):
            place.convert(described)
        described["packages"][0]["files"][0]["urls"] = [link, other]
        ((package,),) = [one["packages"] for one in place.convert(described)["mods"]]
        assert package["files"][0]["filesize"] == len(new)
        mirrored = [url for url in package["files"][0]["urls"] if url.startswith(MIRROR_URL)]
        described["packages"][0]["files"][0]["urls"] = [f"{MIRROR_URL}/mymod/1.0.0/core.zip", *mirrored]
        ((package,),) = [one["packages"] for one in place.convert(described)["mods"]]
        assert package["files"][0]["checksum"] == sums(new)["checksum"]  # the first one there is the old one


def test_a_link_into_the_mirror_that_is_gone_leaves_the_other_links(place: Place, server: FileServer) -> None:
    url = server.file("/a.zip", zip_of({"a": b"one"}))
    out = place.convert(mod([{"filename": "a.zip", "urls": [f"{MIRROR_URL}/old/a.zip", url]}]))
    assert out["mods"][0]["packages"][0]["files"][0]["urls"] == [url, f"{MIRROR_URL}/mymod/1.0.0/a.zip"]
    assert place.reporter.said("there is no such file in the mirror")


def test_pages_of_hosters_are_no_links_for_players(place: Place, server: FileServer) -> None:
    url = server.file("/a.zip", zip_of({"a": b"one"}))
    page = "https://www.mediafire.com/file/abcdefghijk/a.zip/file"
    out = place.convert(mod([{"filename": "a.zip", "urls": [url, page]}]))
    assert out["mods"][0]["packages"][0]["files"][0]["urls"] == [url, f"{MIRROR_URL}/mymod/1.0.0/a.zip"]


def test_several_mods_in_one_request_share_a_folder_without_mixing(place: Place, server: FileServer) -> None:
    mods = []
    for name in ("one", "two"):
        url = server.file(f"/{name}/a.zip", zip_of({"file": name.encode()}))
        mods.append({**mod([file(url)]), "id": name})
    out = place.convert({"mods": mods, "remote_includes": ["https://other.example/repo.json"]})
    links = [one["packages"][0]["files"][0]["urls"][-1] for one in out["mods"]]
    assert links == [f"{MIRROR_URL}/general/a.zip", f"{MIRROR_URL}/general/1_a.zip"]
    for number, name in enumerate(("one", "two")):
        assert installed(out, number)["file"] | sums(name.encode()) == installed(out, number)["file"]
    assert out["remote_includes"] == ["https://other.example/repo.json"]


def test_a_logo_is_taken_from_the_archive_and_named_by_its_hash(place: Place, server: FileServer) -> None:
    url = server.file("/a.zip", zip_of({"logo.jpg": JPEG}))
    out = place.convert(mod([file(url)]))
    name = f"mymod/1.0.0/{sums(JPEG)['checksum'][1]}.jpg"
    assert out["mods"][0]["logo"] == f"{MIRROR_URL}/{name}"
    assert place.mirrored()[name] == JPEG
    assert "logo.jpg" in installed(out)
    given = place.convert(mod([file(url)], logo="https://example.org/logo.png"))
    assert given["mods"][0]["logo"] == "https://example.org/logo.png"


def test_a_logo_that_is_no_picture_is_left_alone(place: Place, server: FileServer) -> None:
    out = place.convert(mod([file(server.file("/a.zip", zip_of({"logo.jpg": b"<script>"})))]))
    assert out["mods"][0]["logo"] is None
    assert place.reporter.said("no JPEG")


def test_a_file_called_logo_jpg_beside_the_archives_is_a_logo_as_well(place: Place, server: FileServer) -> None:
    out = place.convert(mod([file(server.file("/logo.jpg", JPEG), is_archive=False)]))
    assert out["mods"][0]["logo"] == f"{MIRROR_URL}/mymod/1.0.0/{sums(JPEG)['checksum'][1]}.jpg"


def test_a_mod_ini_in_a_folder_comes_to_the_top(place: Place, server: FileServer) -> None:
    url = server.file("/a.zip", zip_of({"MyMod/mod.ini": b"x", "MyMod/data/y": b"y"}))
    out = place.convert(mod([file(url)], first_release="2020-01-31"))
    assert set(installed(out)) == {"mod.ini", "data/y"}
    assert installed(out)["mod.ini"]["orig_name"] == "MyMod/mod.ini"
    assert out["mods"][0]["actions"][-1]["type"] == "move"
    assert place.reporter.said("WARNING: mymod: mod.ini lies in MyMod")


def test_the_volumes_of_a_split_archive_are_read_as_one(
    place: Place, server: FileServer, sevenzip: Path, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 40
    whole = seven(sevenzip, tmp_path / "big.7z", {"data.bin": content}, tmp_path / "tree", "-mx0")
    parts = split(whole, 4000)
    files = [
        file(server.file(f"/{part.name}", part.read_bytes(), etag=f'"{part.name}"'), dest="data")
        for part in reversed(parts)
    ]
    for round_ in range(2):
        out = place.convert(mod(files, version=f"1.0.{round_}"))
        assert installed(out) == {
            "data/data.bin": {
                "filename": "data/data.bin",
                "archive": parts[0].name,
                "orig_name": "data.bin",
                **sums(content),
            }
        }
        sizes = [one["filesize"] for one in out["mods"][0]["packages"][0]["files"]]
        assert sizes == [part.stat().st_size for part in reversed(parts)]
    assert place.reporter.said(f"{parts[0].name}: unchanged")


def test_unknown_keys_are_named_in_the_log(place: Place, server: FileServer) -> None:
    place.convert(mod([file(server.file("/a.zip", zip_of({"a": b""})), colour="red")]))
    assert place.reporter.said("packages.0.files.0.colour: this key is not known")


def test_a_mod_without_files_is_fine(place: Place) -> None:
    out = place.convert(mod())
    assert out["mods"][0]["packages"] == []
    assert place.reporter.fractions[-1] == 1.0


def test_where_nothing_is_mirrored_the_links_stay_as_they_are(place: Place, server: FileServer) -> None:
    shutil.rmtree(place.folder / "data", ignore_errors=True)
    url = server.file("/a.zip", zip_of({"a": b"one", "logo.jpg": JPEG}))
    out = place.convert(mod([file(url)]), mirrored=False)
    assert out["mods"][0]["packages"][0]["files"][0]["urls"] == [url]
    assert out["mods"][0]["logo"] is None
    assert not place.settings.mirror_folder.exists()
