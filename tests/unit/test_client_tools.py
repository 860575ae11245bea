"""The decisions of the client's tools: listings, names of builds, verdicts on links, the report."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from knossos.client.tools.builds import (
    build_key,
    executables_of,
    find_builds,
    packages_of,
    platform_of,
    version_of,
)
from knossos.client.tools.listing import read_listing
from knossos.client.tools.mirror_check import Answer
from knossos.client.tools.mirror_links import links_of, listed_mods
from knossos.client.tools.mirror_report import report_page
from knossos.client.tools.mirror_verdict import ModReport, State, judge
from knossos.errors import InvalidInput

BASE = "https://builds.example.org/nightly/"

APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN"><html><head><title>Index of /nightly</title></head>
<body><h1>Index of /nightly</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td></tr>
<tr><td><a href="20241118_1a2b3c4/">20241118_1a2b3c4/</a></td></tr>
<tr><td><a href="a%20b%26c.zip">a b&amp;c.zip</a></td><td>2024-11-18</td></tr>
<tr><td><a href="/nightly/absolute.7z">absolute.7z</a></td></tr>
<tr><td><a href="https://elsewhere.example.org/nightly/x.zip">x</a></td></tr>
<tr><td><a href="a%2Fb.zip">odd</a><a href="http://[">broken</a></td></tr>
<tr><td><a href="a%20b%26c.zip">again</a></td></tr></table></body></html>"""

NGINX = """<html><head><title>Index of /nightly/</title></head><body><h1>Index of /nightly/</h1><hr><pre>
<a href="../">../</a>
<a href="old/">old/</a>                                               18-Nov-2024 03:12                   -
<a href="one.tar.gz">one.tar.gz</a>                                   18-Nov-2024 03:12            12345678
</pre><hr></body></html>"""


def test_apaches_and_nginxs_listings_are_read_and_nothing_outside_of_them() -> None:
    found = read_listing(BASE, "text/html;charset=UTF-8", APACHE)
    assert [(entry.name, entry.url.removeprefix(BASE), entry.is_folder) for entry in found] == [
        ("20241118_1a2b3c4", "20241118_1a2b3c4/", True),
        ("a b&c.zip", "a%20b%26c.zip", False),
        ("absolute.7z", "absolute.7z", False),
    ]
    assert [entry.name for entry in read_listing(BASE.rstrip("/"), "text/html", NGINX)] == ["old", "one.tar.gz"]


def test_a_broken_page_is_read_as_far_as_it_goes() -> None:
    found = read_listing(BASE, "text/html", '<a href="x.7z">x</a><![\x01junk<a href="y.7z">y</a>')
    assert [entry.name for entry in found] == ["x.7z"]


def test_nginxs_json_listing_is_read() -> None:
    text = """[{"name": "sub dir", "type": "directory", "mtime": "Mon, 18 Nov 2024 03:12:00 GMT"},
               {"name": "x#1.zip", "type": "file", "size": 5}, {"name": "../x"}, {"name": ".."}, 7, {"name": 3}]"""
    found = read_listing(BASE, "application/json", text)
    assert [(entry.name, entry.url, entry.is_folder) for entry in found] == [
        ("sub dir", BASE + "sub%20dir/", True),
        ("x#1.zip", BASE + "x%231.zip", False),
    ]
    for broken in ("[", '{"name": "x"}', "[" * 100_000):
        with pytest.raises(InvalidInput):
            read_listing(BASE, "application/json", broken)


def names(*files: str) -> list[tuple[str, str]]:
    return [(name, BASE + name) for name in files]


def test_builds_are_found_by_the_names_of_their_files_oldest_first() -> None:
    found = find_builds(
        names(
            "nightly_20241118_1a2b3c4-builds-Win64.zip",
            "nightly_20241118_1a2b3c4-builds-Linux.tar.gz",
            "nightly_20241118_1a2b3c4-builds-MacOSX.tar.gz",
            "fs2_open_24_3_0_20241101_ABCDEF0-builds-Win32-SSE2.7z",
            "nightly_20241118_1a2b3c4-debug-Win64.7z",
            "nightly_20241318_1a2b3c4-builds-Win64.zip",
            "nightly_20241118_1a2b3c4-builds-Amiga.zip",
            "nightly_20241118_1a2b3c4-builds-Win64.zip.sha256",
            "README.html",
        )
    )
    assert [(build.day, build.hash, build.version, len(build.files)) for build in found] == [
        (date(2024, 11, 1), "abcdef0", "24.3.0", 1),
        (date(2024, 11, 18), "1a2b3c4", None, 3),
    ]
    assert found[1].key == build_key("20241118_1a2b3c4") == "20241118+1a2b3c4"
    assert build_key("latest") is None


@pytest.mark.parametrize(
    ("word", "environment", "label"),
    [
        ("Win64", "windows && x86_64", "Windows (64 bit)"),
        ("Win64-AVX2", "windows && x86_64 && avx2", "Windows (64 bit, AVX2)"),
        ("Win32-SSE2", "windows && sse2", "Windows (32 bit, SSE2)"),
        ("Linux", "linux && x86_64", "Linux (64 bit)"),
        ("linux-arm64", "linux && arm64", "Linux (ARM, 64 bit)"),
        ("MacOSX", "macosx", "macOS"),
        ("macOS-x86_64", "macosx && x86_64", "macOS (64 bit)"),
    ],
)
def test_a_platform_becomes_an_environment(word: str, environment: str, label: str) -> None:
    found = platform_of(word)
    assert found is not None
    assert (found.environment, found.label) == (environment, label)


def test_builds_that_one_computer_may_both_get_do_not_meet_in_one_folder() -> None:
    (build,) = find_builds(
        names(
            "nightly_20241118_1a2b3c4-builds-Win64.zip",
            "nightly_20241118_1a2b3c4-builds-Win32.zip",
            "nightly_20241118_1a2b3c4-builds-Linux.tar.gz",
        )
    )
    assert {package.name: package.files[0].dest for package in packages_of(build)} == {
        "Windows (64 bit)": "Win64",
        "Windows (32 bit)": "Win32",
        "Linux (64 bit)": "",
    }


def programs(word: str, *paths: str) -> list[tuple[str, str | None, set[str], bool]]:
    platform = platform_of(word)
    assert platform is not None
    return [
        (one.file, one.label, {key for key, value in (one.properties or {}).items() if value}, one.debug)
        for one in executables_of(paths, platform)
    ]


def test_programs_are_found_and_labelled_by_their_names() -> None:
    assert programs(
        "Win64",
        "openal32.dll",
        "fs2_open_24_3_0_x64_AVX-FASTDBG.exe",
        "fs2_open_24_3_0_x64_AVX.exe",
        "fs2_open_24_3_0_x64_AVX.pdb",
        "bin/qtfred_24_3_0_x64_AVX.exe",
        "fred2_open_24_3_0_x64_AVX-FASTDBG.exe",
        "unins000.exe",
    ) == [
        ("fs2_open_24_3_0_x64_AVX.exe", None, {"x64", "avx"}, False),
        ("fred2_open_24_3_0_x64_AVX-FASTDBG.exe", "FRED2 Debug", {"x64", "avx"}, True),
        ("fs2_open_24_3_0_x64_AVX-FASTDBG.exe", "Fast Debug", {"x64", "avx"}, True),
        ("bin/qtfred_24_3_0_x64_AVX.exe", "QtFRED", {"x64", "avx"}, False),
    ]
    assert programs("Win32-SSE2", "fs2_open_3_8_1_SSE2.exe") == [("fs2_open_3_8_1_SSE2.exe", None, {"sse2"}, False)]
    assert programs("Linux", "fs2_open_24_3_0_x64.AppImage", "fs2_open_24_3_0_x64", "libfoo.so", "readme.txt") == [
        ("fs2_open_24_3_0_x64", None, {"x64"}, False),
        ("fs2_open_24_3_0_x64.AppImage", None, {"x64"}, False),
    ]
    inner = "FS2_Open.app/Contents/MacOS/fs2_open_24_3_0_arm64-FASTDBG"
    assert programs("MacOSX-arm64", inner, "FS2_Open.app/Contents/Info.plist") == [
        (inner, "Fast Debug", {"arm64"}, True)
    ]


def test_the_engines_version_is_taken_from_its_programs() -> None:
    assert version_of(["readme.txt", "x/fs2_open_24_3_0_x64.exe"]) == "24.3.0"
    assert version_of(["fs2_open_3.8.1-RC2.AppImage"]) == "3.8.1"
    assert version_of(["fs2_open.exe"]) is None


# --- mirrors ------------------------------------------------------------------------------------------

GOOD, BAD, OTHER = "https://a.example.org/a.7z", "https://b.example.org/a.7z", "https://c.example.org/a.7z"


def judged(file: dict[str, Any], *answers: Answer, **mod: Any) -> list[ModReport]:
    data = {"id": "m", "title": "Mod", "version": "1.0.0", "packages": [{"name": "Core", "files": [file]}], **mod}
    return judge(listed_mods({"mods": [data]}), {answer.url: answer for answer in answers})


def states(file: dict[str, Any], *answers: Answer) -> list[State]:
    return [link.state for link in judged(file, *answers)[0].files[0].links]


def test_a_link_is_judged_by_what_it_would_give() -> None:
    file = {"filename": "a.7z", "filesize": 100, "urls": [GOOD, BAD]}
    assert states(file, Answer(GOOD, size=100), Answer(BAD, size=99)) == [State.GOOD, State.WRONG]
    assert states(file, Answer(GOOD, size=None), Answer(BAD, "it answers 404")) == [State.GOOD, State.DEAD]
    assert states(file, Answer(GOOD, size=100, seconds=9), Answer(BAD, is_page=True)) == [State.SLOW, State.WRONG]
    assert states({**file, "filename": "a.html"}, Answer(GOOD), Answer(BAD, is_page=True)) == [State.GOOD, State.GOOD]


def test_an_etag_that_is_the_checksum_is_told() -> None:
    file = {"filename": "a.7z", "md5sum": "0" * 32, "checksum": ["sha256", "A" * 64], "urls": [GOOD, BAD, OTHER]}
    answers = Answer(GOOD, etag=f'"{"a" * 64}"'), Answer(BAD, etag=f'W/"{"0" * 32}"'), Answer(OTHER, etag='"1"')
    notes = [link.text for link in judged(file, *answers)[0].files[0].links]
    assert ["checksum" in note for note in notes] == [True, True, False]


def test_a_repository_with_odd_parts_is_read_as_far_as_it_goes() -> None:
    files = [{"urls": None}, {"urls": []}, {"urls": [GOOD]}]
    mods = listed_mods(
        {
            "mods": [
                7,
                {"id": "b", "title": "beta", "packages": "none"},
                {"id": "c", "title": "Alpha", "packages": [1, {"files": files}]},
            ]
        }
    )  # fmt: skip
    assert [(mod.id, len(mod.files), len(mod.problems)) for mod in mods] == [
        ("mods.0", 0, 1),
        ("c", 2, 3),
        ("b", 0, 1),
    ]
    assert links_of(mods) == [GOOD]


def page(reports: list[ModReport]) -> str:
    return "".join(report_page("repo.json", reports, made_at=0))


def test_the_report_shows_what_is_broken_first_and_escapes_everything() -> None:
    evil = '"><script>alert(1)</script>'
    urls = [GOOD, "javascript:alert(1)"]
    reports = judged(
        {"filename": evil, "filesize": 5, "urls": urls},
        Answer(GOOD, size=6, leads_to=OTHER),
        Answer(urls[1], evil, etag=evil),
        title=evil,
    )
    text = page(reports)
    assert "<script" not in text
    assert 'href="javascript' not in text
    assert "2 links of 2 are broken; 1 file cannot be had at all" in text
    assert text.index("What is broken") < text.index("<h2>Hosts") < text.index("All mods")
    assert "it gives 6 bytes, the repository says 5" in text
    assert OTHER in text
    assert "src=" not in text


def test_a_report_without_faults_says_so() -> None:
    text = page(judged({"filename": "a.7z", "urls": [GOOD]}, Answer(GOOD, size=1)))
    assert "Every link gives what the repository says." in text
    assert "What is broken" not in text
