"""The client's tools as commands, against a server on loopback and with real archives."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knossos.client.client_command import main
from knossos.client.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED
from knossos.client.tools import mirror_check
from knossos.packaging.archives import SevenZip
from knossos.packaging.description import parse_request
from knossos.settings import Settings
from tests.support.archives import Member, compressed, seven, tar_bytes, zip_bytes
from tests.support.file_server import Answer, FileServer, Refuse, Request, Reset

LOOPBACK = ["--allow-private", "127.0.0.0/8"]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.py"
    file.write_text("READ_TIMEOUT_SECONDS = 5\nDOWNLOAD_TRIES = 1\n")
    monkeypatch.setenv("KNOSSOS_SETTINGS", str(file))
    monkeypatch.setattr(mirror_check, "PAUSE_SECONDS", 0.0)


def write(path: Path, data: Any) -> str:
    path.write_text(json.dumps(data))
    return str(path)


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def sums(data: bytes) -> dict[str, Any]:
    return {"md5sum": hashlib.md5(data).hexdigest(), "checksum": ["sha256", hashlib.sha256(data).hexdigest()]}


def repository(*files: dict[str, Any], **mod: Any) -> dict[str, Any]:
    packages = [{"name": "Core", "files": list(files)}]
    return {"mods": [{"id": "tiny", "title": "Tiny", "version": "1.0.0", "packages": packages, **mod}]}


# --- mirrors ------------------------------------------------------------------------------------------


def test_dead_and_wrong_mirrors_are_found_and_the_report_says_which(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = server.file("/good.7z", b"x" * 500, etag='"1"')
    no_head = server.handle("/no-head.7z", _without_head)
    moved = server.redirect("/moved.7z", "/good.7z")
    shaky = server.file("/shaky.7z", b"x" * 500, faults=[Refuse(503), Refuse(503)])
    wrong = server.file("/wrong.7z", b"x" * 400)
    page = server.page("/page.7z", "<p>Please log in</p>")
    dead = server.url("/dead.7z")
    private = "http://10.1.2.3/a.7z"
    hoster = "https://www.mediafire.com/file/abc/a.7z/file"
    source = write(
        tmp_path / "repo.json",
        repository(
            {"filename": "a.7z", "filesize": 500, "urls": [good, no_head, moved, shaky, wrong, dead]},
            {"filename": "b.7z", "urls": [good, page]},
            {"filename": "c.7z", "urls": [private, hoster]},
        ),
    )
    report = tmp_path / "report.html"
    assert main(["mirrors", source, str(report), *LOOPBACK]) == EXIT_FAILED
    assert "5 of 9 links are broken, and 1 of 3 files cannot be had at all" in capsys.readouterr().err
    text = report.read_text("utf-8")
    broken = text[text.index("What is broken") : text.index("<h2>Hosts")]
    assert [url for url in (good, no_head, moved, shaky, wrong, dead, page, private, hoster) if url in broken] == [
        wrong,
        dead,
        page,
        private,
        hoster,
    ]
    assert f'leads to <a href="{good}"' in text
    # Only the first byte is asked for, and what is checked for two files is asked once.
    assert [request.headers.get("Range") for request in server.asked("/no-head.7z")] == [None, "bytes=0-0"]
    assert [request.method for request in server.asked("/good.7z")] == ["HEAD", "HEAD"]


def _without_head(request: Request) -> Answer:
    if request.method == "HEAD":
        return Answer(405)
    assert request.headers["Range"] == "bytes=0-0"
    return Answer(206, {"Content-Range": "bytes 0-0/500"}, b"x")


def test_a_repository_at_an_address_whose_mirrors_are_good_is_told_so(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [server.file(f"/{number}.7z", b"x") for number in range(30)]
    source = server.page("/repo.json", json.dumps(repository({"filename": "a.7z", "filesize": 1, "urls": urls})))
    report = tmp_path / "report.html"
    assert main(["mirrors", source, str(report), "--jobs", "20", "--timeout", "5", "--json", *LOOPBACK]) == EXIT_DONE
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["arguments"] for event in events if event["event"] == "progress"][-1] == [1.0, "30 of 30 links"]
    assert "Every link gives" in report.read_text("utf-8")


def test_one_host_is_asked_little_at_once(server: FileServer, tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def slow(request: Request) -> Answer:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        server.closing.wait(0.01)
        with lock:
            now[0] -= 1
        return Answer(200, {"Content-Length": "5"}, b"12345")

    urls = [server.handle(f"/{number}.7z", slow) for number in range(12)]
    source = write(tmp_path / "repo.json", repository({"filename": "a.7z", "urls": urls}))
    assert main(["mirrors", source, str(tmp_path / "r.html"), "--jobs", "12", *LOOPBACK]) == EXIT_DONE
    assert 1 <= most[0] <= mirror_check.PER_HOST


@pytest.mark.parametrize(
    "arguments",
    [["missing.json"], ["--jobs", "0"], ["--timeout", "-1"], ["--allow-private", "nowhere"], ["text.json"]],
    ids=lambda arguments: arguments[0],
)
def test_a_wrong_call_is_told_and_writes_nothing(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.json").write_text("[1]")
    source = write(tmp_path / "repo.json", repository())
    given = [str(tmp_path / arguments.pop(0))] if arguments[0].endswith(".json") else [source]
    assert main(["mirrors", *given, str(tmp_path / "report.html"), *arguments]) == EXIT_BAD_INPUT
    assert capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


# --- nightlies ----------------------------------------------------------------------------------------

BUILD = "nightly_20241118_1a2b3c4-builds"
OLDER = "nightly_20241101_abcdef0-builds"


def windows(version: str = "24_3_0") -> bytes:
    return zip_bytes(
        [
            Member(f"fs2_open_{version}_x64_AVX.exe", b"game"),
            Member(f"fs2_open_{version}_x64_AVX-FASTDBG.exe", b"debug"),
            Member("openal32.dll", b"sound"),
        ]
    )


def listing(server: FileServer, folder: str, *names: str) -> str:
    links = "".join(f'<a href="{name}">{name}</a>\n' for name in ("../", *names))
    return server.page(folder, f"<html><body><h1>Index of {folder}</h1><pre>{links}</pre></body></html>")


def nightlies(server: FileServer, tmp_path: Path, *options: str) -> int:
    return main(
        ["nightlies", server.url("/nightly/"), str(tmp_path / "out.json"), "--id", "FSO", "--title", "FS2 Open",
         *options, *LOOPBACK]
    )  # fmt: skip


def test_builds_of_a_listing_become_releases_with_their_programs(server: FileServer, tmp_path: Path) -> None:
    listing(server, "/nightly/", "20241118_1a2b3c4/", f"{OLDER}-Win64.zip")
    listing(server, "/nightly/20241118_1a2b3c4/", f"{BUILD}-Win64.zip", f"{BUILD}-Linux.tar.gz", "readme.txt")
    linux = compressed(tar_bytes([Member("fs2_open_24_3_0_x64.AppImage", b"game", mode=0o755)]), "gz")
    server.file(f"/nightly/20241118_1a2b3c4/{BUILD}-Win64.zip", windows())
    server.file(f"/nightly/20241118_1a2b3c4/{BUILD}-Linux.tar.gz", linux)
    server.file(f"/nightly/{OLDER}-Win64.zip", windows("24_1_0"))
    assert nightlies(server, tmp_path) == EXIT_DONE
    first = read(tmp_path / "out.json")
    assert [(mod["version"], mod["stability"], mod["type"]) for mod in first["mods"]] == [
        ("24.1.0-20241101+abcdef0", "nightly", "engine"),
        ("24.3.0-20241118+1a2b3c4", "nightly", "engine"),
    ]
    newest = first["mods"][1]
    assert (newest["first_release"], newest["last_update"]) == ("2024-11-01", "2024-11-18")
    assert {package["name"]: package["environment"] for package in newest["packages"]} == {
        "Windows (64 bit)": "windows && x86_64",
        "Linux (64 bit)": "linux && x86_64",
    }
    (win,) = [package for package in newest["packages"] if "Windows" in package["name"]]
    assert [(one["file"], one["label"], one["debug"]) for one in win["executables"]] == [
        ("fs2_open_24_3_0_x64_AVX.exe", None, False),
        ("fs2_open_24_3_0_x64_AVX-FASTDBG.exe", "Fast Debug", True),
    ]
    assert win["executables"][0]["properties"] == {"x64": True, "sse2": False, "avx": True, "avx2": False}
    assert {entry["filename"] for entry in win["filelist"]} >= {one["file"] for one in win["executables"]}
    assert win["files"][0]["checksum"] == sums(windows())["checksum"]
    assert [mod.stability for mod in parse_request((tmp_path / "out.json").read_bytes()).mods] == ["nightly"] * 2

    # The same again fetches nothing; a new file of the newest build and a new build are taken in.
    before = len(server.requests)
    assert nightlies(server, tmp_path) == EXIT_DONE
    assert [request.path for request in server.requests[before:]] == ["/nightly/", "/nightly/20241118_1a2b3c4/"]
    assert read(tmp_path / "out.json")["mods"] == first["mods"]
    mac = f"{BUILD}-MacOSX.tar.gz"
    listing(
        server, "/nightly/20241118_1a2b3c4/", f"{BUILD}-Win64.zip", f"{BUILD}-Linux.tar.gz", mac
    )  # fmt: skip
    bundle = Member("FS2_Open.app/Contents/MacOS/fs2_open_24_3_0", b"game", mode=0o755)
    server.file(f"/nightly/20241118_1a2b3c4/{mac}", compressed(tar_bytes([bundle]), "gz"))
    assert nightlies(server, tmp_path) == EXIT_DONE
    mods = read(tmp_path / "out.json")["mods"]
    assert [len(mod["packages"]) for mod in mods] == [1, 3]
    assert mods[1]["packages"][2]["executables"][0]["file"] == bundle.name


def test_a_build_that_cannot_be_had_does_not_hold_up_the_others(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [
        {"name": f"{BUILD}-Win64.zip", "type": "file"},
        {"name": f"{OLDER}-Win64.zip", "type": "file"},
        {"name": "nightly_20240101_0000000-builds-Win64.zip", "type": "file"},
        {"name": "gone", "type": "directory"},
    ]
    server.handle(
        "/nightly/", lambda request: Answer(200, {"Content-Type": "application/json"}, json.dumps(entries).encode())
    )
    server.file(f"/nightly/{BUILD}-Win64.zip", b"", always=Reset())
    server.file(f"/nightly/{OLDER}-Win64.zip", windows())
    server.file("/nightly/nightly_20240101_0000000-builds-Win64.zip", zip_bytes([Member("fs2_open.exe", b"x")]))
    out = tmp_path / "out.json"
    write(out, {"mods": [{"id": "other", "title": "Other", "version": "1.0.0"}], "kept": 1})
    assert nightlies(server, tmp_path) == EXIT_FAILED
    told = capsys.readouterr().err
    assert "2 of 3 new builds could not be packaged: 20241118+1a2b3c4, 20240101+0000000" in told
    assert f"folders that could not be looked into: {server.url('/nightly/gone/')}" in told
    assert "--base-version" in told
    data = read(out)
    assert [mod["version"] for mod in data["mods"]] == ["1.0.0", "24.3.0-20241101+abcdef0"]
    assert data["kept"] == 1
    assert nightlies(server, tmp_path, "--base-version", "23.0.0") == EXIT_FAILED
    assert "23.0.0-20240101+0000000" in [mod["version"] for mod in read(out)["mods"]]
    assert nightlies(server, tmp_path, "--newest", "0", "--base-version", "new") == EXIT_BAD_INPUT
    assert "--base-version: expected a semantic version" in capsys.readouterr().err


def test_entries_that_are_no_mods_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {"id": "a", "packages": [{"files": [{"urls": "http://127.0.0.1/a.7z"}]}]}
    source, report = write(tmp_path / "repo.json", {"mods": [1, odd]}), tmp_path / "report.html"
    assert main(["mirrors", source, str(report)]) == EXIT_FAILED
    assert "odd entries: 2" in capsys.readouterr().err
    assert "2 entries cannot be read as meant" in report.read_text("utf-8")
    assert main(["checksums", source, str(tmp_path / "out.json")]) == EXIT_FAILED
    assert "- mods.0: expected an object, but this is a number" in capsys.readouterr().err


def test_a_listing_without_builds_is_no_repository(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing(server, "/nightly/", "readme.txt")
    assert nightlies(server, tmp_path) == EXIT_FAILED
    assert "nightly_20241118_1a2b3c4-builds-Win64.zip" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


# --- checksums ----------------------------------------------------------------------------------------

INNER = {"data/tables/a.tbl": b"table", "readme.txt": b"read me"}


def old_entry(archive: str, inner: str, data: bytes) -> dict[str, Any]:
    return {"filename": inner, "archive": archive, "orig_name": f"./{inner}", "md5sum": sums(data)["md5sum"]}


def test_an_old_repository_gets_what_it_lacks_and_keeps_what_it_has(server: FileServer, tmp_path: Path) -> None:
    packed = seven(
        SevenZip.locate(Settings(data_path=tmp_path)).program, tmp_path / "a.7z", INNER, tmp_path / "tree"
    ).read_bytes()  # fmt: skip
    url, plain = server.file("/a.7z", packed), server.file("/plain.vp", b"vp")
    archive = {"filename": "a.7z", "filesize": len(packed), "md5sum": sums(packed)["md5sum"].upper(), "urls": [url]}
    packages = [
        {
            "name": "Core",
            "files": [archive],
            "filelist": [old_entry("a.7z", name, data) for name, data in INNER.items()],
            "status": "Required",
            "environment": [{"type": "os", "value": "windows"}],
            "odd": 1,
        },
        {
            "name": "Extra",
            "files": [{"filename": "plain.vp", "is_archive": False, "dest": "data", "urls": [plain]}],
            "filelist": [{"filename": "data/plain.vp", "archive": "plain.vp", "orig_name": None}],
        },
    ]
    first = {"id": "tiny", "title": "Tiny", "version": "1.0.0", "packages": packages}
    second = {
        "id": "tiny", "title": "Tiny", "version": "1.1.0", "type": "addon", "unknown": [1], "actions": [
            {"type": "move", "paths": ["readme.txt"], "dest": "docs/"}],
        "packages": [{"name": "Core", "files": [archive]}],
    }  # fmt: skip
    source = write(tmp_path / "in.json", {"mods": [first, second], "note": "kept"})
    out = tmp_path / "out.json"
    assert main(["checksums", source, str(out), *LOOPBACK]) == EXIT_DONE
    data = read(out)
    assert data["note"] == "kept"
    assert type(data["generated"]) is int
    core, extra = data["mods"][0]["packages"]
    assert core["files"] == [{**archive, **sums(packed), "is_archive": True, "dest": ""}]
    assert core["filelist"] == [{**old_entry("a.7z", name, inner), **sums(inner)} for name, inner in INNER.items()]
    assert (core["status"], core["environment"], core["odd"], core["dependencies"]) == ("required", "windows", 1, [])
    assert extra["files"][0]["filesize"] == 2
    assert extra["filelist"] == [{"filename": "data/plain.vp", "archive": "plain.vp", "orig_name": None, **sums(b"vp")}]
    derived = data["mods"][1]
    assert (derived["type"], derived["folder"], derived["unknown"]) == ("mod", "tiny", [1])
    assert {entry["filename"]: entry["checksum"] for entry in derived["packages"][0]["filelist"]} == {
        "data/tables/a.tbl": sums(b"table")["checksum"],
        "docs/readme.txt": sums(b"read me")["checksum"],
    }
    assert (server.count("/a.7z"), server.count("/plain.vp")) == (1, 1)
    parse_request(out.read_bytes())
    # What lacks nothing is not fetched again.
    assert main(["checksums", str(out), str(tmp_path / "again.json"), *LOOPBACK]) == EXIT_DONE
    assert read(tmp_path / "again.json")["mods"] == data["mods"]
    assert (server.count("/a.7z"), server.count("/plain.vp")) == (1, 1)


def test_what_is_not_as_the_repository_says_is_named_and_left_as_it_was(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = zip_bytes([Member(name, data) for name, data in INNER.items()])
    url = server.file("/a.zip", packed)
    swapped = {"filename": "swapped.zip", "md5sum": "0" * 32, "filesize": 7, "urls": [server.file("/s.zip", packed)]}
    good = {"filename": "a.zip", "md5sum": sums(packed)["md5sum"], "urls": [url]}
    lists = {
        "name": "Core",
        "files": [good, swapped, {"filename": "gone.zip", "urls": [server.url("/gone.zip")]}],
        "filelist": [
            {"filename": "x.txt", "archive": "a.zip", "orig_name": "readme.txt", "md5sum": "1" * 32},
            {"filename": "y.txt", "archive": "a.zip", "orig_name": "nothing.txt"},
            {"filename": "z.txt", "archive": "swapped.zip", "orig_name": "readme.txt", "md5sum": "2" * 32},
            {"filename": "w.txt", "archive": "other.zip", "orig_name": "readme.txt"},
            {"filename": "readme.txt", "archive": "a.zip", "orig_name": "readme.txt"},
        ],
    }
    broken = {"id": "broken", "title": "Broken", "version": "not one", "packages": []}
    mod = {"id": "tiny", "title": "Tiny", "version": "1.0.0", "packages": [lists]}
    source = write(tmp_path / "in.json", {"mods": [broken, mod, 5]})
    assert main(["checksums", source, str(tmp_path / "out.json"), *LOOPBACK]) == EXIT_FAILED
    told = capsys.readouterr().err
    for text in (
        "broken: version: ",
        "swapped.zip: its md5sum is",
        "swapped.zip: it has",
        "a.zip: readme.txt: its md5sum is",
        "y.txt: a.zip holds no nothing.txt",
        "w.txt: the archive other.zip is not among",
        "gone.zip",
        "mods.2: ",
    ):
        assert text in told, text
    data = read(tmp_path / "out.json")
    assert data["mods"][0] == broken
    assert data["mods"][2] == 5
    (package,) = data["mods"][1]["packages"]
    assert package["files"][0]["checksum"] == sums(packed)["checksum"]
    assert ["checksum" in file for file in package["files"]] == [True, False, False]
    assert ["checksum" in entry for entry in package["filelist"]] == [False, False, False, False, True]
    assert package["filelist"][0]["md5sum"] == "1" * 32
    assert re.search(r"8 things|9 things", told)


def test_the_volumes_of_a_split_archive_are_read_as_one(server: FileServer, tmp_path: Path) -> None:
    program = SevenZip.locate(Settings(data_path=tmp_path)).program
    seven(program, tmp_path / "a.7z", {"a.bin": bytes(range(256)) * 8}, tmp_path / "tree", "-mx0", "-v1k")
    volumes = [path.read_bytes() for path in sorted(tmp_path.glob("a.7z.*"))]
    assert len(volumes) == 3
    files = [
        {"filename": f"a.7z.{number:03}", "urls": [server.file(f"/a.7z.{number:03}", data)]}
        for number, data in enumerate(volumes, 1)
    ]
    filelist = [{"filename": "a.bin", "archive": "a.7z.001", "orig_name": "a.bin"}]
    mod = {
        "id": "m",
        "title": "M",
        "version": "1.0.0",
        "packages": [{"name": "C", "files": files, "filelist": filelist}],
    }
    source = write(tmp_path / "in.json", mod)
    assert main(["checksums", source, str(tmp_path / "out.json"), *LOOPBACK]) == EXIT_DONE
    (package,) = read(tmp_path / "out.json")["mods"][0]["packages"]
    assert [file["checksum"] for file in package["files"]] == [sums(data)["checksum"] for data in volumes]
    assert package["filelist"][0]["checksum"] == sums(bytes(range(256)) * 8)["checksum"]
