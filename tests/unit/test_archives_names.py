"""Which names may be in an archive, and that no two of them want one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.packaging.archives.errors import ArchiveNameRefused, ArchiveNamesCollide
from knossos.packaging.archives.names import Names, safe_name

REFUSED = [
    "../x", "a/../b", "a/..", "..", "..\\x", "/x", "\\x", "//server/share/x", "C:x", "c:/x", "C:\\x", "a/b:stream",
    "CON", "con.txt", "data/NUL", "aux .c", "COM1", "com9.tbl", "lpt1/x", "COM\u00b9", "CONIN$", "a/PRN.tar.gz",
    "a.", "a /b", "a./b", "dir/trailing ", "a\tb", "a\nb", "a\x00b", "a\x7f", "a\u2028b", "invoice\u202egpj.exe",
    "lone\udcff", "x" * 256, "/".join(["abcdefgh"] * 200),
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_dangerous_name_is_refused_with_the_name_in_the_error(name: str) -> None:
    with pytest.raises(ArchiveNameRefused) as caught:
        safe_name(name, "mod.7z")
    assert caught.value.archive == "mod.7z"
    assert caught.value.entry.isprintable()
    assert "mod.7z" in caught.value.message


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("./a", "a"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("a\\b\\c.txt", "a/b/c.txt"),
        ("data/tables/my mod-shp.tbm", "data/tables/my mod-shp.tbm"),
        (".hidden/x", ".hidden/x"),
        ("...x", "...x"),
        ("console.txt", "console.txt"),
        ("com10", "com10"),
        ("nullify/aux2.c", "nullify/aux2.c"),
        ("Schöne Grüße.txt", "Schöne Grüße.txt"),
        (" leading", " leading"),
        ("-rf", "-rf"),
        ("@list", "@list"),
    ],
)
def test_what_only_looks_odd_is_put_straight(raw: str, name: str) -> None:
    assert safe_name(raw, "mod.7z") == name


@given(st.text(min_size=1, max_size=60))
def test_a_name_that_passes_stays_inside_and_passes_again_unchanged(raw: str) -> None:
    try:
        name = safe_name(raw, "x")
    except ArchiveNameRefused:
        return
    assert safe_name(name, "x") == name
    parts = name.split("/") if name else []
    assert not any(part in ("", ".", "..") or part[-1] in ". " or ":" in part or "\\" in part for part in parts)


@given(st.lists(st.sampled_from(["a", "A", "b", ".", "..", "", "con", "x.", "C:"]), min_size=1, max_size=6))
def test_no_mix_of_parts_gets_out(parts: list[str]) -> None:
    try:
        name = safe_name("/".join(parts), "x")
    except ArchiveNameRefused:
        return
    assert not name.startswith("/")
    assert ".." not in name.split("/")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.txt", "a.txt"),
        ("a.txt", "./a.txt"),
        ("a/b", "a\\b"),
        ("Readme.txt", "README.TXT"),
        ("data/a", "Data/A"),
        ("größe", "GRÖSSE"),
        ("e\u0301", "\u00e9"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("a/b/c", "A/B"),
    ],
)
def test_two_names_that_want_one_place_are_an_error_that_names_both(first: str, second: str) -> None:
    names = Names("mod.zip")
    names.add_file(first)
    with pytest.raises(ArchiveNamesCollide) as caught:
        names.add_file(second)
    assert caught.value.entry
    assert caught.value.other
    assert caught.value.archive == "mod.zip"


def test_a_file_where_a_folder_is_is_an_error_in_either_order() -> None:
    names = Names("mod.zip")
    names.add_folder("data/")
    with pytest.raises(ArchiveNamesCollide):
        names.add_file("Data")
    names = Names("mod.zip")
    names.add_file("data")
    with pytest.raises(ArchiveNamesCollide):
        names.add_folder("data")


def test_folders_may_come_again_and_differ_in_case() -> None:
    names = Names("mod.zip")
    for folder in ("data", "data/", "Data", "data/maps", ".", "./"):
        names.add_folder(folder)
    assert names.add_file("data/a") == "data/a"
    assert names.add_file("Data/b") == "Data/b"


@pytest.mark.parametrize("name", ["/etc/", "/", "..", "../x/", "C:/"])
def test_a_folder_elsewhere_is_refused_too(name: str) -> None:
    with pytest.raises(ArchiveNameRefused):
        Names("x").add_folder(name)


def test_a_file_without_a_name_is_refused() -> None:
    with pytest.raises(ArchiveNameRefused):
        Names("x").add_file(".")
