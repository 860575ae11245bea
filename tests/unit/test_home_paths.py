"""Paths in homes: whatever somebody sends, nothing outside of the home is reached."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from knossos.errors import KnossosError
from knossos.homes import BadPath, Home, HomeFull, Homes, LeavesHome, NoSuchPath, NotAFile, OpenedFile, PathTaken
from knossos.homes.paths import MAX_PARTS, parts_of, plain_name
from knossos.homes.scripts import title_of
from knossos.settings import Settings

SECRET = b"a secret of the server"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("/", ()),
        (".", ()),
        ("./", ()),
        ("a", ("a",)),
        ("/a//b/./c/", ("a", "b", "c")),
        ("...", ("...",)),
        ("..a/b..", ("..a", "b..")),
        ("%2e%2e/x", ("%2e%2e", "x")),
        ("..\\..\\x", ("..\\..\\x",)),
        ("C:/x", ("C:", "x")),
        ("ü ß/\n", ("ü ß", "\n")),
        ("a" * 255, ("a" * 255,)),
    ],
)
def test_a_path_is_the_names_in_it(text: str, parts: tuple[str, ...]) -> None:
    assert parts_of(text) == parts


@pytest.mark.parametrize("text", ["..", "../x", "a/..", "a/../b", "/../", "a/b/../../../../etc/passwd", "./.."])
def test_two_dots_are_refused_wherever_they_are(text: str) -> None:
    with pytest.raises(LeavesHome):
        parts_of(text)


@pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800", "a" * 256, "ü" * 128, "a/" * (MAX_PARTS + 1)])
def test_what_no_file_can_be_called_is_refused(text: str) -> None:
    with pytest.raises(BadPath):
        parts_of(text)


@pytest.mark.parametrize("text", ["", "/", "a/b", "a/", "/a", "."])
def test_a_name_is_one_name(text: str) -> None:
    with pytest.raises(BadPath):
        plain_name(text)


@given(st.text() | st.lists(st.sampled_from(["..", ".", "", "a", "ü", "\0", "%2e%2e", "\\"])).map("/".join))
def test_the_parts_of_a_path_are_names_and_lead_down(text: str) -> None:
    with contextlib.suppress(LeavesHome, BadPath):
        parts = parts_of(text)
        assert not {"", ".", ".."} & set(parts)
        assert not [part for part in parts if "/" in part or "\0" in part]
        assert parts_of("/".join(parts)) == parts


@pytest.mark.parametrize(
    ("script", "title"),
    [
        (b"#!/bin/sh\n\n  echo 1\n", "echo 1"),
        (b"\x00\xff\x1b[31m", "\ufffd[31m"),
        (b"x" * 200, "x" * 77 + "..."),
        (b"#!/bin/sh\n", "A script"),
    ],
)
def test_a_script_is_called_by_its_first_line(script: bytes, title: str) -> None:
    assert title_of(script) == title


# --- with files ----------------------------------------------------------------------------------------


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    return Homes(Settings(data_path=tmp_path / "data", home_quota_bytes=1_000_000))


@pytest.fixture
def home(homes: Homes) -> Iterator[Home]:
    with homes.open(7) as made:
        yield made


@pytest.fixture
def folder(homes: Homes, home: Home) -> Path:
    return homes.folder(7)


def put(home: Home, path: str, data: bytes) -> None:
    with home.receive(path, len(data)) as upload:
        upload.write(data)


def get(home: Home, path: str) -> bytes:
    found = home.open(path)
    try:
        assert isinstance(found, OpenedFile)
        return b"".join(found.read(0, found.size))
    finally:
        found.close()


def names(home: Home, path: str = "/") -> dict[str, int | None]:
    found = home.open(path)
    try:
        assert not isinstance(found, OpenedFile)
        return {entry.name: entry.size for entry in found.entries()}
    finally:
        found.close()


def left_over(homes: Homes) -> list[str]:
    """What lies beside the homes."""
    root = homes.folder(7).parent
    return [str(path) for one in (".incoming/7", ".removed") for path in (root / one).glob("*")]


def test_a_home_is_its_owners_alone(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_files_come_go_and_are_replaced(homes: Homes, home: Home) -> None:
    put(home, "a.txt", b"one")
    put(home, "/a.txt", b"three")
    home.make_folder("", "d")
    put(home, "d/ü.txt", b"")
    assert names(home) == {"a.txt": 5, "d": None}
    assert names(home, "d") == {"ü.txt": 0}
    home.copy("d", "e")
    home.move("a.txt", "/e")
    home.move("d/ü.txt", "/e/v.txt")
    assert get(home, "e/a.txt") == b"three"
    assert names(home, "e") == {"a.txt": 5, "v.txt": 0, "ü.txt": 0}
    home.remove("e")
    assert names(home) == {"d": None}
    assert not left_over(homes)


def test_nothing_is_replaced_by_a_move_a_copy_or_a_new_folder(home: Home) -> None:
    put(home, "a", b"a")
    put(home, "b", b"b")
    home.make_folder("/", "d")
    home.make_folder("/d", "a")
    for refused in (
        lambda: home.move("a", "b"),
        lambda: home.copy("a", "b"),
        lambda: home.copy("a", "a"),
        lambda: home.make_folder("", "b"),
        lambda: home.make_folder("", "d"),
        lambda: home.move("/d/a", "/"),
    ):
        with pytest.raises(PathTaken):
            refused()
    assert (get(home, "a"), get(home, "b"), names(home, "d")) == (b"a", b"b", {"a": None})


def test_a_folder_does_not_go_into_itself_but_a_copy_of_it_may(home: Home) -> None:
    home.make_folder("", "d")
    put(home, "d/f", b"f")
    with pytest.raises(BadPath):
        home.move("d", "d/e")
    with pytest.raises(BadPath):
        home.move("d", "d")
    home.copy("d", "d/e")
    assert names(home, "d") == {"e": None, "f": 1}
    assert names(home, "d/e") == {"f": 1}


def test_the_home_itself_stays(home: Home) -> None:
    for refused in (lambda: home.remove("/"), lambda: home.move("", "x"), lambda: put(home, "/", b"x")):
        with pytest.raises(BadPath):
            refused()


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_script_takes_away_at_the_last_moment_is_said_to_be_not_there(
    home: Home, homes: Homes, monkeypatch: pytest.MonkeyPatch, is_folder: bool
) -> None:
    found = Home._existing

    def vanishing(self: Home, folder: int, name: str) -> os.stat_result:
        about = found(self, folder, name)
        os.rename(name, "elsewhere", src_dir_fd=folder, dst_dir_fd=folder)
        return about

    for change in (lambda: home.copy("d/a", "b"), lambda: home.move("d/a", "b"), lambda: home.remove("d/a")):
        home.make_folder("", "d")
        if is_folder:
            home.make_folder("d", "a")
        else:
            put(home, "d/a", b"a")
        with monkeypatch.context() as patched:
            patched.setattr(Home, "_existing", vanishing)
            with pytest.raises(NoSuchPath):
                change()
        assert names(home, "d").keys() == {"elsewhere"}
        home.remove("d")
    assert names(home) == {}
    assert not left_over(homes)


def test_what_is_not_there_is_said_to_be_not_there(home: Home) -> None:
    put(home, "f", b"f")
    for refused in (
        lambda: get(home, "x"),
        lambda: get(home, "f/x"),
        lambda: put(home, "x/y", b"x"),
        lambda: put(home, "f/y", b"x"),
        lambda: home.remove("x"),
        lambda: home.move("x", "y"),
        lambda: home.copy("x", "y"),
        lambda: home.move("f", "x/y"),
        lambda: home.make_folder("x", "y"),
    ):
        with pytest.raises(NoSuchPath):
            refused()


def test_links_lead_nowhere(home: Home, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in outside.rglob("*"))
    put(home, "f", b"f")
    (folder / "to-file").symlink_to(outside / "secret")
    (folder / "to-folder").symlink_to(outside)
    (folder / "up").symlink_to("../..")
    (folder / "round").symlink_to("round")
    (folder / "within").symlink_to("f")
    for path in ("to-file", "to-folder", "to-folder/secret", "up", "up/outside/secret", "round", "within"):
        for refused in (
            lambda path=path: get(home, path),
            lambda path=path: put(home, path, b"x"),
            lambda path=path: put(home, path + "/x", b"x"),
            lambda path=path: home.make_folder(path, "x"),
            lambda path=path: home.remove(path + "/secret"),
            lambda path=path: home.move("f", path + "/x"),
            lambda path=path: home.copy("f", path + "/x"),
            lambda path=path: home.copy(path + "/secret", "stolen"),
        ):
            with pytest.raises(LeavesHome):
                refused()
    # The links themselves can be moved, copied and removed.
    home.move("to-folder", "moved")
    home.copy("moved", "copied")
    assert os.readlink(folder / "copied") == str(outside)
    for link in ("moved", "copied", "to-file", "up", "round", "within"):
        home.remove(link)
    assert names(home) == {"f": 1}
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in outside.rglob("*")) == before


def test_a_folder_full_of_links_is_copied_and_removed_without_following_them(
    homes: Homes, home: Home, folder: Path, tmp_path: Path
) -> None:
    home.make_folder("", "d")
    (folder / "d" / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "d" / "pipe")
    home.copy("d", "e")
    assert (folder / "e" / "link").is_symlink()
    assert set(names(home, "e")) == {"link"}
    home.remove("d")
    home.remove("e")
    assert (tmp_path / "outside" / "secret").read_bytes() == SECRET
    assert names(home) == {}
    assert not left_over(homes)


def test_pipes_and_sockets_are_no_files(home: Home, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(NotAFile):
        home.open("pipe")
    home.remove("pipe")
    assert names(home) == {}


def test_what_a_script_has_shut_can_be_read_and_removed(homes: Homes, home: Home, folder: Path) -> None:
    home.make_folder("", "d")
    put(home, "d/f", b"f")
    (folder / "d" / "f").chmod(0)
    (folder / "d").chmod(0)
    folder.chmod(0)
    with homes.open(7) as again:
        assert get(again, "d/f") == b"f"
        (folder / "d").chmod(0o500)
        again.remove("d")
        assert names(again) == {}


def test_folders_deeper_than_any_path_can_be_removed(homes: Homes, home: Home, folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    with pytest.raises(KnossosError):
        home.copy("deep", "copy")
    home.remove("deep")
    assert names(home) == {}
    assert not left_over(homes)


def test_an_upload_that_breaks_off_leaves_what_was_there(homes: Homes, home: Home) -> None:
    put(home, "f", b"before")
    with pytest.raises(BadPath), home.receive("f", 10) as upload:
        upload.write(b"12345")
    with pytest.raises(BadPath), home.receive("f", 10) as upload:
        upload.write(b"12345678901")
    with contextlib.suppress(ZeroDivisionError), home.receive("f", 10) as upload:
        upload.write(b"1234567890")
        raise ZeroDivisionError
    assert get(home, "f") == b"before"
    assert not left_over(homes)


def test_a_home_holds_no_more_than_its_quota(homes: Homes, home: Home, folder: Path) -> None:
    put(home, "half", b"x" * 600_000)
    for refused in (lambda: put(home, "more", b"x" * 600_000), lambda: home.copy("half", "other")):
        with pytest.raises(HomeFull):
            refused()
    put(home, "half", b"x" * 300_000)  # what it replaces counts until it is replaced
    with pytest.raises(BadPath), home.receive("slow", 400_000), pytest.raises(HomeFull):
        put(home, "quick", b"x" * 400_000)
    home.remove("half")
    put(home, "quick", b"x" * 900_000)
    with contextlib.suppress(HomeFull):
        for number in range(100):
            home.make_folder("", str(number))
    assert 20 <= len(names(home)) <= 30
    assert not left_over(homes)


def test_what_a_killed_server_left_does_not_count_and_goes(homes: Homes, home: Home, folder: Path) -> None:
    put(home, "f", b"f")
    (folder.parent / ".incoming" / "7" / "0123456789abcdef.900000").write_bytes(b"x")
    put(home, "g", b"x" * 900_000)
    assert not left_over(homes)
    (folder.parent / ".incoming" / "7" / "0123456789abcdef.900000").write_bytes(b"x")
    assert homes.tidy() == 1
    assert not left_over(homes)
    assert set(names(home)) == {"f", "g"}


def test_a_home_that_is_a_link_is_not_used(homes: Homes, home: Home, folder: Path, tmp_path: Path) -> None:
    (folder.parent / "8").symlink_to(tmp_path / "outside")
    with pytest.raises(KnossosError, match="home cannot be used"):
        homes.open(8)


PATHS = st.lists(st.sampled_from(["..", "a", "b", "link", "up", "", ".", "secret", "outside", "\0"]), max_size=4).map(
    "/".join
)


@hypothesis_settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=150)
@given(steps=st.lists(st.tuples(st.sampled_from(["put", "mkdir", "move", "copy", "remove", "get"]), PATHS, PATHS)))
def test_whatever_is_done_in_a_home_nothing_outside_changes(
    homes: Homes, tmp_path: Path, steps: list[tuple[str, str, str]]
) -> None:
    outside = tmp_path / "outside"
    with homes.open(9) as home:
        folder = homes.folder(9)
        for name, target in (("link", outside), ("up", Path("../../.."))):
            if not (folder / name).is_symlink():
                with contextlib.suppress(KnossosError):
                    home.remove(name)
                (folder / name).symlink_to(target)
        for action, path, other in steps:
            with contextlib.suppress(KnossosError):
                match action:
                    case "put":
                        put(home, path, b"x")
                    case "mkdir":
                        home.make_folder(path, "a")
                    case "get":
                        found = home.open(path)
                        found.close()
                        if isinstance(found, OpenedFile):
                            assert get(home, path) != SECRET
                    case "remove":
                        home.remove(path)
                    case _:
                        getattr(home, action)(path, other)
        for parent, _, files in os.walk(folder):
            for file in files:
                path_of = Path(parent, file)
                assert path_of.is_symlink() or path_of.read_bytes() == b"x"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == SECRET
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "data"}
